"""compare.json, and what stands for runs on the command line."""

import json
from pathlib import Path

import pytest

from lrnn_cli.errors import CheckpointError, InputError
from lrnn_cli.studies import comparison_file
from lrnn_cli.studies.collect import collect_each
from lrnn_cli.studies.comparison import compare
from lrnn_cli.studies.siblings import adopt, merge_copies
from tests.studies.folders import write_run


def stored(folder: Path) -> Path:
    runs = [write_run(folder / "jobs" / str(s), seed=s) for s in range(2)]
    write_run(folder / "tuning" / "jobs" / "0", seed=1000)
    tables = [("a.png", compare(adopt([r for run in runs for r in collect_each(run)])))]
    record = comparison_file.encode(
        tables,
        stored=comparison_file.Stored({"trials": 2}, "25,30", True),
        tuning="as told",
        question={"runs": ["x"]},
        command=["lrnn", "compare"],
    )
    comparison_file.write(record, folder)
    return folder


def test_a_comparison_stands_for_its_runs_wherever_it_lies(tmp_path: Path) -> None:
    moved = stored(tmp_path / "here").rename(tmp_path / "there")
    record = comparison_file.read(moved)
    assert (record["schema"], record["runs"]) == ("lrnn.compare/1", ["jobs/0", "jobs/1"])
    assert record["tables"][0]["rows"][0]["measures"]["psnr_db"]["mean"] == 30.0
    records, told = comparison_file.gather([moved])
    assert [run.seed for run in records] == [0, 1]  # and not the trials
    assert told == comparison_file.Stored({"trials": 2}, "25,30", True)


def test_folders_count_once_and_trials_of_several_comparisons_are_not_mixed(tmp_path: Path) -> None:
    folder = stored(tmp_path / "c")
    records, told = comparison_file.gather([folder, folder / "jobs" / "0", folder / "jobs"])
    assert len(records) == 2
    assert told == comparison_file.Stored()


def test_what_is_no_comparison_is_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path / "c")
    (folder / "jobs" / "1" / "metrics.json").unlink()
    (folder / "jobs" / "1").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"a run of .* that is gone; repeat the comparison"):
        comparison_file.gather([folder])
    (folder / "compare.json").write_text(json.dumps({"schema": "lrnn.compare/7"}))
    with pytest.raises(CheckpointError, match=r"expected schema lrnn\.compare/1, got 'lrnn\.compare/7'"):
        comparison_file.gather([folder])
    (folder / "compare.json").write_text("{")
    with pytest.raises(CheckpointError, match="not readable as JSON"):
        comparison_file.gather([folder])


def test_every_method_of_a_reconstruction_is_a_row(tmp_path: Path) -> None:
    methods = {
        "lrnn": {"psnr_db": 35.0, "ssim": 0.9, "seconds": 30.0},
        "fbp": {"psnr_db": 24.0, "ssim": 0.6, "seconds": 0.2},
    }
    chosen = {"lrnn": {"params": 900, "steps": 50}, "fbp": {"filter": "hann"}}
    runs = [
        write_run(tmp_path / str(s), kind="slice", seed=s, change={"methods": methods, "chosen": chosen})
        for s in range(2)
    ]
    others = {"siren": methods["lrnn"], "fbp": methods["fbp"]}
    change = {"methods": others, "chosen": {"siren": chosen["lrnn"]}}
    again = write_run(tmp_path / "siren", model="siren", kind="slice", change=change)
    records = adopt([record for run in (*runs, again) for record in collect_each(run)])
    named = [(run.model, run.seed, run.params) for run in records]
    assert sorted(named, key=str) == [
        ("fbp", 0, None), ("fbp", 0, None), ("fbp", 1, None), ("lrnn", 0, 900), ("lrnn", 1, 900),
        ("siren", 0, 900),
    ]  # fmt: skip
    (fbp,) = [run for run in merge_copies(records) if run.model == "fbp"]
    assert (fbp.seed, fbp.copies) == (0, (1,))
