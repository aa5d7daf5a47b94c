"""Reading run folders: what is kept, what counts as a failure, what is refused."""

import json
import math
from pathlib import Path

import pytest

from lrnn_cli.errors import CheckpointError, InputError
from lrnn_cli.studies.collect import collect, find_runs
from lrnn_cli.studies.siblings import adopt
from tests.studies.folders import course, specification, write_crash, write_run


def test_a_run_is_read(tmp_path: Path) -> None:
    run = collect(write_run(tmp_path / "r", seed=3, log=course((0.5, 1, 20.0)), limit={"time_s": 60.0}))
    assert (run.kind, run.input_name, run.model, run.seed, run.status, run.ok) == (
        "image", "a.png", "lrnn", 3, "ok", True,
    )  # fmt: skip
    assert run.metrics == {"psnr_db": 30.0, "ssim": 0.9}
    assert (run.params, run.budget, run.steps, run.train_s, run.s_per_step) == (1000, 1000, 100, 10.0, 0.1)
    assert (run.limit_steps, run.limit_s, run.peak_mb) == (100, 60.0, 300.0)
    assert [(p.seconds, p.step, p.values["psnr_db"]) for p in run.log] == [(0.5, 1, 20.0)]
    assert run.machine == "A processor (cpu, 1 threads), Linux, torch 2"


def test_an_exact_fit_has_an_infinite_psnr(tmp_path: Path) -> None:
    assert collect(write_run(tmp_path / "r", psnr=None)).metrics["psnr_db"] == math.inf


def test_repetitions_differ_by_seed_and_machine_alone(tmp_path: Path) -> None:
    first, second = collect(write_run(tmp_path / "1", seed=0)), collect(write_run(tmp_path / "2", seed=1))
    other = collect(write_run(tmp_path / "3", settings={"omega_first": 80.0}))
    assert first.variant == second.variant != other.variant


def test_an_input_is_the_file_and_how_it_was_read(tmp_path: Path) -> None:
    plain, cropped = (
        collect(write_run(tmp_path / "1")),
        collect(write_run(tmp_path / "2", reader={"grey": True})),
    )
    assert plain.input_id != cropped.input_id


def test_a_problem_is_its_equations_not_its_name(tmp_path: Path) -> None:
    def solved(name: str, f: str) -> str:
        source = {"kind": "poisson", "problem": {"name": name, "f": f}}
        return collect(write_run(tmp_path / (name + f), change={"input": source})).input_id

    assert solved("a", "1") == solved("b", "1") != solved("a", "2")


@pytest.mark.parametrize(
    ("status", "reason"), [("failed", "the fit diverged"), ("interrupted", "interrupted before its end")]
)
def test_failures_stay_failures(tmp_path: Path, status: str, reason: str) -> None:
    run = collect(write_run(tmp_path / "r", status=status))
    assert (run.ok, run.status, run.reason) == (False, status, reason)


def test_a_killed_job_is_a_crashed_run_of_its_row_and_input(tmp_path: Path) -> None:
    runs = adopt(
        [
            collect(write_crash(tmp_path / "1")),
            collect(write_run(tmp_path / "2", seed=1, job={"label": "lrnn"})),
        ]
    )
    assert [run.status for run in runs] == ["crashed", "ok"]
    assert "SIGKILL" in runs[0].reason
    assert runs[0].input_id == runs[1].input_id
    assert runs[0].settings == runs[1].settings
    assert runs[0].params is None


def test_a_killed_job_alone_is_known_by_its_file(tmp_path: Path) -> None:
    (run,) = adopt([collect(write_crash(tmp_path / "1"))])
    assert (run.kind, run.input_id) == ("image", "digest of a.png")


def bad(folder: Path, name: str, text: str) -> Path:
    write_run(folder)
    (folder / name).write_text(text)
    return folder


def test_what_is_no_record_of_a_run_is_refused(tmp_path: Path) -> None:
    cases = {
        "not readable as JSON": bad(tmp_path / "1", "metrics.json", "{"),
        "expected schema lrnn.metrics/1, got 'lrnn.metrics/9'": bad(
            tmp_path / "2", "metrics.json", '{"schema": "lrnn.metrics/9"}'
        ),
        "not a complete record of a run ('status' is missing)": bad(
            tmp_path / "3", "metrics.json", '{"schema": "lrnn.metrics/1"}'
        ),
        "status: expected one of ok, failed, interrupted, crashed, got 'fine'": write_run(
            tmp_path / "4", status="fine"
        ),
        "line 1 is no record of training": bad(tmp_path / "5", "train.jsonl", "{}\n"),
        "config.yaml: not readable as YAML": bad(tmp_path / "6", "config.yaml", "{"),
        "not the specification of a job": bad(tmp_path / "7", "job.json", "[]"),
    }
    for words, folder in cases.items():
        with pytest.raises(CheckpointError) as caught:
            collect(folder)
        assert words in str(caught.value)


def test_a_run_without_metrics_has_not_finished(tmp_path: Path) -> None:
    write_run(tmp_path / "r")
    (tmp_path / "r" / "metrics.json").unlink()
    with pytest.raises(CheckpointError, match=r"metrics\.json is missing, the run has not finished"):
        collect(tmp_path / "r")
    (tmp_path / "r" / "job.json").write_text(json.dumps(specification("lrnn", 0, "a.png")))
    with pytest.raises(CheckpointError, match="the job has not been run yet"):
        collect(tmp_path / "r")


def test_a_folder_stands_for_the_runs_below_it_finished_or_not(tmp_path: Path) -> None:
    write_run(tmp_path / "all" / "b")
    write_run(tmp_path / "all" / "a" / "x")
    (tmp_path / "all" / "a" / "x" / "metrics.json").unlink()
    assert find_runs(tmp_path / "all") == [tmp_path / "all" / "a" / "x", tmp_path / "all" / "b"]
    assert find_runs(tmp_path / "all" / "b") == [tmp_path / "all" / "b"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no run, metrics\.json is missing"):
        find_runs(tmp_path / "empty")
    with pytest.raises(InputError, match="no such run folder"):
        find_runs(tmp_path / "nowhere")
