"""Rows, marks and targets, against figures worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.studies.collect import RunRecord, collect
from lrnn_cli.studies.comparison import as_dict, compare
from lrnn_cli.studies.measures import parse_targets, time_to
from lrnn_cli.studies.siblings import adopt
from tests.studies.folders import course, write_crash, write_run
from tests.studies.records import record


def runs(tmp_path: Path, figures: dict[str, list[float]], **more: object) -> list[RunRecord]:
    """Runs of models on two inputs with seeds 0, 1, …: figures in the order (input, seed)."""
    found = []
    for model, values in figures.items():
        for k, psnr in enumerate(values):
            file, seed = "ab"[2 * k // len(values)] + ".png", k % (len(values) // 2)
            name = tmp_path / f"{model}-{file}-{seed}"
            found.append(collect(write_run(name, model=model, psnr=psnr, file=file, seed=seed, **more)))
    return found


def test_mean_and_deviation_are_over_seeds_and_inputs(tmp_path: Path) -> None:
    table = compare(runs(tmp_path, {"lrnn": [30.0, 31.0, 40.0, 43.0]}))
    cell = table.rows[0].cells["psnr_db"]
    assert (cell.n, cell.mean) == (4, 36.0)
    assert cell.std == pytest.approx(np.std([30, 31, 40, 43], ddof=1))
    assert cell.std_seeds == pytest.approx(math.sqrt((0.5 + 4.5) / 2))
    assert (table.inputs, table.seeds, table.rows[0].params) == (["a.png", "b.png"], [0, 1], [1000, 1000])


def test_best_and_what_the_test_does_not_separate(tmp_path: Path) -> None:
    best = [30.0, 30.2, 30.4, 30.1, 40.0, 40.2, 40.4, 40.5]
    near = [29.9, 30.3, 30.3, 30.0, 40.1, 39.9, 40.5, 40.4]
    far = [25.0, 25.1, 25.3, 25.2, 35.0, 35.3, 35.1, 35.4]
    table = compare(runs(tmp_path, {"lrnn": best, "siren": near, "wire": far}))
    cells = {row.label: row.cells["psnr_db"] for row in table.rows}
    assert {label: cell.mark for label, cell in cells.items()} == {
        "lrnn": "best",
        "siren": "tied",
        "wire": "",
    }
    # all eight differences have one sign: 2 of 2^8 choices, times the number of pairs of three rows
    assert cells["wire"].p == pytest.approx(3 * 2 / 256)
    assert cells["siren"].test == "sign-flip"


def test_the_best_of_many_equal_rows_is_rarely_called_better(tmp_path: Path) -> None:
    """Rows of pure noise: the best is chosen by the figures that test it, which must not make it better."""
    random = np.random.default_rng(0)
    trials, wrong = 60, 0
    for trial in range(trials):
        figures = {f"m{k}": random.normal(30, 1, 10) for k in range(6)}
        records = [
            record(label, "a.png", seed, float(psnr))
            for label, values in figures.items()
            for seed, psnr in enumerate(values)
        ]
        cells = [row.cells["psnr_db"] for row in compare(records).rows]
        wrong += any(cell.mark == "" for cell in cells)
        assert trial or sorted({cell.mark for cell in cells}) == ["best", "tied"]
    assert wrong <= 0.05 * trials  # corrected for the five others alone it was 9 of these 60


def test_a_test_of_three_pairs_is_students(tmp_path: Path) -> None:
    records = []
    for model, values in {"lrnn": [30.0, 30.1, 30.3], "siren": [25.0, 25.2, 25.1]}.items():
        records += [
            collect(write_run(tmp_path / f"{model}{s}", model=model, psnr=v, seed=s))
            for s, v in enumerate(values)
        ]
    cell = compare(records).rows[1].cells["psnr_db"]
    theirs = stats.ttest_rel([30.0, 30.1, 30.3], [25.0, 25.2, 25.1]).pvalue
    assert (cell.test, cell.mark) == ("t", "")
    assert cell.p == pytest.approx(theirs)


def test_single_runs_cannot_be_told_apart(tmp_path: Path) -> None:
    records = [
        collect(write_run(tmp_path / m, model=m, psnr=v)) for m, v in (("lrnn", 40.0), ("siren", 20.0))
    ]
    table = compare(records)
    assert [row.cells["psnr_db"].mark for row in table.rows] == ["best", "untested"]
    assert any("no test is possible" in note for note in table.notes)


def test_exact_fits_share_the_first_place(tmp_path: Path) -> None:
    records = [
        collect(write_run(tmp_path / f"{m}{s}", model=m, psnr=v, seed=s))
        for m, v in (("lrnn", None), ("siren", None), ("wire", 60.0))
        for s in (0, 1)
    ]
    assert [row.cells["psnr_db"].mark for row in compare(records).rows] == ["best", "tied", ""]


def test_failed_runs_are_in_no_mean_and_cost_the_first_place(tmp_path: Path) -> None:
    records = adopt(
        [
            collect(write_run(tmp_path / "1", model="lrnn", psnr=50.0, job={})),
            collect(write_crash(tmp_path / "2", model="lrnn", seed=1)),
            collect(write_run(tmp_path / "3", model="lrnn", psnr=60.0, seed=2, status="failed", job={})),
            *(
                collect(write_run(tmp_path / f"s{s}", model="siren", psnr=30.0, seed=s, job={}))
                for s in range(3)
            ),
        ]
    )
    table = compare(records, parse_targets("25"))
    lrnn, siren = table.rows
    assert (lrnn.n, [run.status for run in lrnn.failures]) == (3, ["crashed", "failed"])
    assert (lrnn.cells["psnr_db"].mean, lrnn.cells["psnr_db"].n) == (50.0, 1)
    assert (lrnn.cells["psnr_db"].mark, lrnn.targets[0].reached, lrnn.targets[0].n) == ("", 1, 3)
    assert siren.targets[0].reached == 3
    told = [note for note in table.notes if "counted as a failure" in note]
    assert len(told) == 2
    assert "lrnn, a.png, seed 1: crashed (killed by SIGKILL)" in told[0]


def test_time_to_a_target(tmp_path: Path) -> None:
    log = course((1.0, 10, 20.0), (2.0, 20, 26.0), (3.0, 30, 24.0), (4.0, 40, 31.0))
    run = collect(write_run(tmp_path / "1", psnr=32.0, log=log))
    at = [time_to(run, target) for target in parse_targets("25,30,32,33")]
    assert [(a.seconds, a.step) if a else None for a in at] == [(2.0, 20), (4.0, 40), (10.0, 100), None]
    written = collect(write_run(tmp_path / "w", psnr=24.9, metrics={"psnr_db_written": 25.1}))
    assert time_to(written, parse_targets("25")[0]) is None  # by the figure of the table, not of the file
    # the log may be better than the result
    assert time_to(collect(write_run(tmp_path / "2", psnr=24.0, log=log)), parse_targets("25")[0]) is None
    failed = collect(write_run(tmp_path / "3", psnr=32.0, log=log, status="interrupted"))
    assert time_to(failed, parse_targets("25")[0]) is None


def test_target_columns(tmp_path: Path) -> None:
    fast, slow = course((1.0, 10, 31.0)), course((5.0, 50, 31.0))
    records = [collect(write_run(tmp_path / f"l{s}", psnr=32.0, log=fast, seed=s)) for s in range(3)]
    records += [
        collect(write_run(tmp_path / f"s{s}", model="siren", psnr=32.0 - 4 * (s == 2), log=slow, seed=s))
        for s in range(3)
    ]
    lrnn, siren = (row.targets[0] for row in compare(records, parse_targets("30")).rows)
    assert (lrnn.reached, lrnn.seconds.mean, lrnn.steps.mean, lrnn.at_least_s) == (3, 1.0, 10.0, 1.0)
    assert (siren.reached, siren.seconds.mean, siren.at_least_s) == (2, 5.0, pytest.approx((5 + 5 + 10) / 3))
    assert (lrnn.rate.mark, siren.rate.mark) == ("best", "tied")
    # its mean is over other runs than that of the row which always succeeded
    assert siren.seconds.mark == ""


def test_rows_of_several_budgets_compete_within_their_budget(tmp_path: Path) -> None:
    records = [
        collect(
            write_run(
                tmp_path / f"{m}{b}{s}",
                model=m,
                psnr=v + s * d,
                seed=s,
                budget=b,
                params=b,
                job={"label": f"{m} {b}"},
            )
        )
        for m, b, v, d in (
            ("lrnn", 200, 20.0, 1.0),
            ("siren", 200, 10.0, 1.1),
            ("lrnn", 400, 30.0, 1.0),
            ("siren", 400, 35.0, 1.1),
        )
        for s in (0, 1)
    ]
    table = compare(records)
    marks = {row.label: row.cells["psnr_db"].mark for row in table.rows}
    assert marks == {"lrnn 200": "best", "siren 200": "", "lrnn 400": "", "siren 400": "best"}
    assert table.equal[0].startswith("budget of parameters (200, 400;")


def test_rows_of_one_model_are_called_by_what_differs(tmp_path: Path) -> None:
    records = [
        collect(write_run(tmp_path / "1", settings={"omega_first": 30.0})),
        collect(write_run(tmp_path / "2", settings={"omega_first": 80.0})),
        collect(write_run(tmp_path / "3", model="siren")),
    ]
    assert [row.label for row in compare(records).rows] == [
        "lrnn omega_first=30",
        "lrnn omega_first=80",
        "siren",
    ]


def test_times_of_several_machines_are_not_compared(tmp_path: Path) -> None:
    records = [
        collect(write_run(tmp_path / f"{m}{s}", model=m, seed=s, device_name=m))
        for m in ("lrnn", "siren")
        for s in (0, 1)
    ]
    table = compare(records)
    assert {row.cells["ms_per_step"].mark for row in table.rows} == {""}
    assert any("times are not compared" in note for note in table.notes)


def refused(records: list[RunRecord], *words: str, equal: tuple[str, ...] = ()) -> None:
    with pytest.raises((InputError, ConfigError)) as caught:
        compare(records, equal=equal)
    assert all(word in str(caught.value) for word in words), caught.value


def test_unlike_things_share_no_table(tmp_path: Path) -> None:
    image = collect(write_run(tmp_path / "1"))
    sound = collect(write_run(tmp_path / "2", kind="audio", file="b.wav"))
    refused([image, sound], "mixed units", "a.png (image, range 1)", "b.wav (audio, range 1)", "--by-input")
    scaled = collect(write_run(tmp_path / "3", metrics={"data_range": 255.0}, model="siren"))
    refused([image, scaled], "mixed units", "range 255")
    other = collect(write_run(tmp_path / "4", model="siren", file="c.png"))
    refused([image, other], "mixed inputs", "lrnn and siren", "a.png, c.png", "--by-input")
    twin = collect(write_run(tmp_path / "5"))
    refused([image, twin], f"{tmp_path / '5'}: the same model, settings, input and seed as {tmp_path / '1'}")


def test_what_is_held_equal_is_told_and_can_be_demanded(tmp_path: Path) -> None:
    a = collect(write_run(tmp_path / "1", budget=None, limit={"time_s": 60.0}))
    b = collect(
        write_run(tmp_path / "2", model="siren", budget=None, params=1030, steps=90, limit={"time_s": 60.0})
    )
    assert compare([a, b], equal=["params", "time"]).equal == [
        "parameters (within 3.0 %)",
        "time of training (60 s each)",
    ]
    refused([a, b], "--equal steps: these runs differ: lrnn 100, siren 90 steps", equal=("steps",))
    c = collect(write_run(tmp_path / "3", model="wire", budget=None, params=2000, train_s=10.5))
    refused([a, c], "--equal params", "lrnn 1000, wire 2000 parameters", equal=("params",))
    refused([a, c], "--equal size: expected params, time, steps", equal=("size",))
    assert compare([a, c]).equal == ["time of training (10.0 to 10.5 s)", "steps (100 each)"]
    early = collect(write_run(tmp_path / "4", model="wire", train_s=4.0, limit={"time_s": 60.0}))
    assert "time of training (60 s each, 4.0 to 10.0 s of it used)" in compare([a, early]).equal


def test_the_record_of_a_table_is_plain_data(tmp_path: Path) -> None:
    record = as_dict(
        compare(runs(tmp_path, {"lrnn": [30.0, 31.0], "siren": [20.0, 21.0]}), parse_targets("25"))
    )
    assert record["rows"][0]["targets"][0]["reached"] == 2
    assert record["rows"][1]["measures"]["psnr_db"]["mean"] == 20.5
    assert record["targets"] == [{"measure": "psnr_db", "value": 25.0, "text": "25 dB"}]
