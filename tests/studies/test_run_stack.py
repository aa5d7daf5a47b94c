"""Stacks of jobs: which go together, and that a stack never costs a job anything."""

import dataclasses
from pathlib import Path

import pytest

from lrnn_cli.studies.jobs import Job, State
from lrnn_cli.studies.run_local import LocalRunner
from lrnn_cli.studies.run_stack import form_units, run_unit
from tests.studies.job_support import PROGRAM, begun, job


def stacked(one: Job, root: Path) -> int:
    path = one.folder(root).path / "stacked"
    return len(path.read_text()) if path.exists() else 0


def with_config(one: Job, **fit: object) -> Job:
    return dataclasses.replace(one, config={"fit": {"steps": 3, **fit}})


def test_jobs_that_differ_in_input_and_seed_go_together(tmp_path: Path) -> None:
    small = [job(k) for k in range(5)]
    long = [with_config(job(10 + k), steps=9) for k in range(2)]
    mixed = [small[0], long[0], *small[1:], long[1]]
    units = form_units(mixed, 3, tmp_path)
    assert units == [small[:3], long, small[3:]]
    assert form_units(mixed, 1, tmp_path) == [[one] for one in mixed]


def test_how_an_input_is_read_may_differ(tmp_path: Path) -> None:
    boxes = [dataclasses.replace(job(k), config={"fit": {"steps": 3}, "image": {"crop": [k, 0, k + 9, 9]}})
             for k in range(2)]  # fmt: skip
    assert form_units(boxes, 4, tmp_path) == [boxes]


@pytest.mark.parametrize("fit", [{"time_s": 5.0}, {"until": "30dB"}, {"lstsq": ["plateau"]}, {"steps": None}])
def test_what_cannot_go_in_step_goes_alone(tmp_path: Path, fit: dict) -> None:
    both = [with_config(job(k), **fit) for k in range(2)]
    assert form_units(both, 4, tmp_path) == [[both[0]], [both[1]]]


def test_other_commands_and_interrupted_runs_go_alone(tmp_path: Path) -> None:
    scans = [dataclasses.replace(job(k), task="reconstruct-ct") for k in range(2)]
    assert len(form_units(scans, 4, tmp_path)) == 2
    both = [job(4), job(5)]
    state = both[0].folder(tmp_path).run.state
    state.parent.mkdir(parents=True)
    state.touch()
    assert form_units(both, 4, tmp_path) == [[both[0]], [both[1]]]


def test_a_stack_is_one_process_and_every_job_has_its_folder(tmp_path: Path) -> None:
    jobs = [job(k) for k in range(5)]
    runner = LocalRunner(tmp_path, 1, PROGRAM, stack=3)
    assert [(one.seed, state) for one, state in runner.run(jobs, lambda: False)] == [
        (k, State.DONE) for k in range(5)
    ]
    for one in jobs:
        assert (stacked(one, tmp_path), begun(one, tmp_path)) == (1, 0)
        start, end = one.folder(tmp_path).attempts()
        assert start["command"][len(PROGRAM) : len(PROGRAM) + 2] == ["study", "stack"]
        assert end["code"] == 0
    assert [(one.folder(tmp_path).record() or {})["train"] for one in jobs] == [{"stack": 3}] * 3 + [
        {"stack": 2}
    ] * 2


def test_what_a_stack_leaves_is_run_alone(tmp_path: Path) -> None:
    jobs = [job(0), job(1, "diverge"), job(2, "error"), job(3)]
    assert run_unit(jobs, tmp_path, program=PROGRAM) == [
        State.DONE, State.DIVERGED, State.FAILED, State.DONE,
    ]  # fmt: skip
    assert [begun(one, tmp_path) for one in jobs] == [0, 1, 1, 0]
    first, given_up, again, end = jobs[1].folder(tmp_path).attempts()
    assert (given_up["code"], given_up["message"]) == (5, "not to be fitted in a stack")
    assert "fit-image" in again["command"] and end["code"] == 5 and "stack" in first["command"]


def test_a_stack_that_is_killed_costs_no_job(tmp_path: Path) -> None:
    jobs = [job(0), job(1, "die-together"), job(2)]
    assert run_unit(jobs, tmp_path, program=PROGRAM)[0::2] == [State.DONE, State.DONE]
    assert [begun(one, tmp_path) for one in jobs] == [1, 1, 1]
    assert jobs[0].folder(tmp_path).attempts()[1]["message"] == "killed by SIGKILL"


def test_settled_jobs_are_left_out_and_one_alone_is_no_stack(tmp_path: Path) -> None:
    jobs = [job(0), job(1)]
    assert run_unit(jobs[:1], tmp_path, program=PROGRAM) == [State.DONE]
    assert run_unit(jobs, tmp_path, program=PROGRAM) == [State.DONE, State.DONE]
    assert [(stacked(one, tmp_path), begun(one, tmp_path)) for one in jobs] == [(0, 1), (0, 1)]


def test_a_stack_that_is_stopped_begins_anew_another_time(tmp_path: Path) -> None:
    jobs = [job(0), job(1, "forever"), job(2)]

    def running() -> bool:
        return stacked(jobs[2], tmp_path) > 0

    assert run_unit(jobs, tmp_path, program=PROGRAM, should_stop=running) == [State.INTERRUPTED] * 3
    assert [begun(one, tmp_path) for one in jobs] == [0, 0, 0]
