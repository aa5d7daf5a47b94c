"""`lrnn study run --stack`: the numbers of separate runs, from one process."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Lrnn, colours, write_png

STUDY = """\
name: s
task: fit-image
inputs: in
models: [lrnn]
settings: {params: 300, steps: 12, precision: float64, engine: reference, lstsq: "start,end"}
targets: [5]
"""


def metrics(root: Path) -> dict[str, dict]:
    found = [json.loads(path.read_text()) for path in root.glob("jobs/*/metrics.json")]
    return {Path(record["input"]["path"]).name: record for record in found}


def test_results_equal_those_of_separate_runs(lrnn: Lrnn, tmp_path: Path) -> None:
    """Two pictures of one size go together, the third has another size and goes alone."""
    for name, (height, width) in {"a": (9, 8), "b": (8, 9), "c": (6, 8)}.items():
        write_png(tmp_path / "in" / f"{name}.png", colours(height, width))
    (tmp_path / "s.yaml").write_text(STUDY)
    stacked = lrnn("study", "run", "s.yaml", "--stack", 8, "--threads", 1, "-d", "stacked")
    assert (stacked.code, stacked.out) == (0, "s: 3 jobs: 3 done -> stacked\n"), stacked.err
    apart = lrnn("study", "run", "s.yaml", "--threads", 1, "--jobs", 2, "-d", "apart")
    assert apart.code == 0, apart.err
    together, alone = metrics(tmp_path / "stacked"), metrics(tmp_path / "apart")
    assert {name: record["train"].get("stack") for name, record in together.items()} == {
        "a.png": 2, "b.png": 2, "c.png": None,
    }  # fmt: skip
    for name, record in together.items():
        for key in ("psnr_db", "mse", "max_error"):
            assert record["metrics"][key] == pytest.approx(alone[name]["metrics"][key], rel=1e-9), (name, key)
        assert record["train"]["steps"] == 12
        assert record["config_sha256"] == alone[name]["config_sha256"]
        assert set(record["outputs"]) == {"output", "checkpoint", "preview"}
    for folder in tmp_path.glob("stacked/jobs/*"):
        log = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
        assert log and log[-1]["step"] <= 12
    table = lrnn("study", "table", "s.yaml", "-d", "stacked").out
    assert "2 fits in one batch: times are its time divided by 2" in table
    assert "times are not compared" in table


def test_what_is_no_job_is_left_out(lrnn: Lrnn, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "jobs" / "scan"
    folder.mkdir(parents=True)
    job = {"task": "reconstruct-ct", "model": "fbp", "seed": 0, "input": "a", "path": "a", "config": {}}
    (folder / "job.json").write_text(json.dumps(job))
    done = lrnn("study", "stack", "out", "none", "scan")
    assert (done.code, done.out) == (0, "")
    assert "none: left out of the stack: out/jobs/none/job.json: not the specification of a job" in done.err
    assert "scan: left out of the stack: out/jobs/scan/job.json: reconstruct-ct is not fitted in" in done.err


def test_a_stack_of_nothing(lrnn: Lrnn, tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "a.png", colours(4, 4))
    (tmp_path / "s.yaml").write_text(STUDY)
    assert lrnn("study", "run", "s.yaml", "--stack", 0).code == 2
