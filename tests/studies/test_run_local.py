"""Several jobs at once on this machine."""

import json
from pathlib import Path

import pytest

from lrnn_cli.studies.jobs import State, missing
from lrnn_cli.studies.run_local import LocalRunner, slot_environments, threads_each, visible_gpus
from tests.studies.job_support import PROGRAM, begun, job


def never() -> bool:
    return False


def test_every_job_ends_once_whatever_becomes_of_the_others(tmp_path: Path) -> None:
    jobs = [job(k, behaviour) for k, behaviour in enumerate(["ok", "die", "diverge", "ok", "error", "ok"])]
    found = {one.seed: state for one, state in LocalRunner(tmp_path, 3, PROGRAM).run(jobs, never)}
    expected = [State.DONE, State.FAILED, State.DIVERGED, State.DONE, State.FAILED, State.DONE]
    assert found == dict(enumerate(expected))
    assert [begun(one, tmp_path) for one in jobs] == [1] * 6
    again = missing(jobs, tmp_path)
    assert [one.seed for one in again] == [1, 4]
    assert len(list(LocalRunner(tmp_path, 3, PROGRAM).run(again, never))) == 2


def test_stopping_begins_nothing_more_and_lets_running_jobs_save(tmp_path: Path) -> None:
    jobs = [job(k, "forever") for k in range(6)]
    runner = LocalRunner(tmp_path, 2, PROGRAM)

    def both() -> bool:
        return begun(jobs[0], tmp_path) + begun(jobs[1], tmp_path) == 2

    found = [state for _, state in runner.run(jobs, both)]
    assert sorted(one.seed for one in jobs if begun(one, tmp_path)) == [0, 1]
    assert [jobs[k].folder(tmp_path).state() for k in (0, 1, 2)] == [
        State.INTERRUPTED, State.INTERRUPTED, State.PENDING,
    ]  # fmt: skip
    assert found.count(State.INTERRUPTED) == 2


def test_each_place_has_its_own_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    jobs = [job(k, "slow") for k in range(2)]
    list(LocalRunner(tmp_path, 2, PROGRAM).run(jobs, never))
    used = [json.loads((one.folder(tmp_path).path / "metrics.json").read_text())["gpu"] for one in jobs]
    assert sorted(used) == ["2", "5"]


def test_gpus_come_from_the_variable_or_from_the_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, 3")
    assert visible_gpus() == ["0", "3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\necho "GPU 0: A (UUID: x)"\necho "  MIG 1g"\necho "GPU 1: B (UUID: y)"\n')
    tool.chmod(0o755)
    assert visible_gpus() == ["0", "1"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert visible_gpus() == []


def test_places_share_gpus_and_cores() -> None:
    assert slot_environments(3, ["0", "1"]) == [{"CUDA_VISIBLE_DEVICES": g} for g in ("0", "1", "0")]
    assert slot_environments(2, []) == [{}, {}]
    assert threads_each(10**6) == 1
