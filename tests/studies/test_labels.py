"""Which runs share a row: repetitions do, the same name with other settings does not."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from lrnn_cli.errors import InputError
from lrnn_cli.studies.collect import RunRecord, collect
from lrnn_cli.studies.comparison import compare
from lrnn_cli.studies.labels import label_rows
from lrnn_cli.studies.siblings import adopt
from tests.studies.folders import write_crash, write_run


def run(root: Path, name: str, **more: Any) -> RunRecord:
    return collect(write_run(root / "jobs" / name, job={}, **more))


def test_the_same_settings_of_two_comparisons_share_a_row(tmp_path: Path) -> None:
    records = [run(tmp_path / folder, "1", seed=seed) for seed, folder in enumerate("ab")]
    assert {label: len(runs) for label, runs in label_rows(records).items()} == {"lrnn": 2}


def test_one_name_with_other_settings_is_another_row(tmp_path: Path) -> None:
    records = [run(tmp_path / f"{steps}", str(seed), seed=seed, steps=steps)
               for steps in (100, 300) for seed in (0, 1)]  # fmt: skip
    assert [row.label for row in compare(records).rows] == ["lrnn steps=100", "lrnn steps=300"]
    assert [row.n for row in compare(records).rows] == [2, 2]


def test_a_study_whose_settings_were_changed_keeps_old_and_new_apart(tmp_path: Path) -> None:
    records = [run(tmp_path, "old", steps=100), run(tmp_path, "new", steps=300)]
    assert list(label_rows(records)) == ["lrnn steps=100", "lrnn steps=300"]


def test_settings_found_for_each_input_stay_one_row(tmp_path: Path) -> None:
    """Tuning may choose another frequency for another picture."""
    tuned = [
        run(tmp_path / "t", f, file=f, settings={"omega_first": w}) for f, w in (("a", 30.0), ("b", 60.0))
    ]
    assert list(label_rows(tuned)) == ["lrnn"]
    plain = [run(tmp_path / "p", f, file=f, settings={"omega_first": 30.0}) for f in "ab"]
    assert [row.n for row in compare([*tuned, *plain]).rows] == [2, 2]
    other = [
        run(tmp_path / "o", f, file=f, settings={"omega_first": w}) for f, w in (("a", 30.0), ("b", 90.0))
    ]
    labels = list(label_rows([*tuned, *other]))
    assert labels == [f"lrnn ({tmp_path / 't'})", f"lrnn ({tmp_path / 'o'})"]


def test_the_same_run_in_two_comparisons_is_refused(tmp_path: Path) -> None:
    records = [run(tmp_path / "a", "1"), run(tmp_path / "b", "1")]
    with pytest.raises(InputError, match="leave one of them out"):
        compare(records)


def test_a_crashed_run_belongs_to_the_row_of_its_own_study(tmp_path: Path) -> None:
    crashed = collect(write_crash(tmp_path / "b" / "jobs" / "9", seed=1))
    records = adopt([run(tmp_path / "b", "1", steps=300), crashed, run(tmp_path / "a", "1", steps=100)])
    rows = label_rows(records)
    assert {label: [r.status for r in runs] for label, runs in rows.items()} == {
        "lrnn steps=300": ["ok", "crashed"],
        "lrnn steps=100": ["ok"],
    }


def trained(optimizer: str, lr: float) -> dict[str, Any]:
    """What metrics.json says of a run whose config.yaml leaves both to the command."""
    return {"train": {"steps": 100, "seed": 0, "optimizer": optimizer, "lr": lr, "engine": "fused"}}


def test_runs_of_another_optimiser_or_rate_are_another_row(tmp_path: Path) -> None:
    """Without --optimizer a GPU takes Adam where a processor takes NAdam, and config.yaml has null."""
    made = [
        dataclasses.replace(run(tmp_path, f"{o}{s}", change=trained(o, lr)), seed=s)
        for o, lr in (("nadam", 4e-3), ("adam", 2e-3))
        for s in (0, 1)
    ]
    labels = {label: len(runs) for label, runs in label_rows(made).items()}
    assert labels == {"lrnn optimizer=nadam lr=0.004": 2, "lrnn optimizer=adam lr=0.002": 2}
    plain = [dataclasses.replace(one, label="") for one in made]
    assert {label: len(runs) for label, runs in label_rows(plain).items()} == labels
    crashed = collect(write_crash(tmp_path / "jobs" / "9", seed=2))
    (row,) = label_rows(adopt([*made[:2], crashed])).values()  # of the row that it would have been in
    assert [one.status for one in row] == ["ok", "ok", "crashed"]


def test_a_rate_that_follows_the_input_is_one_row_and_said(tmp_path: Path) -> None:
    made = [run(tmp_path, f, file=f, change=trained("adam", lr)) for f, lr in (("a", 5e-4), ("b", 3e-4))]
    for records in (made, [dataclasses.replace(one, label="") for one in made]):
        table = compare(records)
        assert [(row.label, row.n) for row in table.rows] == [("lrnn", 2)]
        assert "lrnn: trained by adam at 0.0003 and adam at 0.0005, not the same on all inputs" in table.notes
