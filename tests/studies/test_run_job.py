"""One job as a process: what is recorded, and that nothing is done twice."""

import fcntl
import threading
import time
from pathlib import Path

import pytest

from lrnn_cli.errors import OutputError
from lrnn_cli.studies.jobs import State
from lrnn_cli.studies.run_job import command_line, run_job
from tests.studies.job_support import PROGRAM, begun, job


@pytest.mark.parametrize(
    ("behaviour", "state", "complaint"),
    [
        ("ok", State.DONE, ""),
        ("diverge", State.DIVERGED, "diverged"),
        ("error", State.FAILED, "a.png: holds text, not an image"),
        ("die", State.FAILED, "killed by SIGKILL"),
        ("mute", State.FAILED, "exit code 9"),
    ],
)
def test_the_end_of_a_job_is_recorded(tmp_path: Path, behaviour: str, state: State, complaint: str) -> None:
    one = job(3, behaviour)
    assert run_job(one, tmp_path, program=PROGRAM) is state
    where = one.folder(tmp_path)
    assert where.complaint() == complaint
    start, end = where.attempts()
    assert start["command"][:6] == [*PROGRAM, "fit-image", "/nowhere/a.png"]
    assert end["code"] == {"ok": 0, "diverge": 5, "error": 3, "die": 137, "mute": 9}[behaviour]


def test_what_is_done_or_diverged_is_not_done_again_and_what_failed_is(tmp_path: Path) -> None:
    for behaviour, times in (("ok", 1), ("diverge", 1), ("error", 3), ("die", 3)):
        one = job(times * 10 + len(behaviour), behaviour)
        for _ in range(3):
            run_job(one, tmp_path, program=PROGRAM)
        assert begun(one, tmp_path) == times


def test_two_who_want_the_same_job_do_it_once(tmp_path: Path) -> None:
    one = job(1, "slow")
    found: list[State] = []
    both = [
        threading.Thread(target=lambda: found.append(run_job(one, tmp_path, program=PROGRAM)))
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert found == [State.DONE, State.DONE]
    assert begun(one, tmp_path) == 1


def test_who_waits_for_another_can_be_asked_to_stop(tmp_path: Path) -> None:
    where = job(1).folder(tmp_path)
    where.path.mkdir(parents=True)
    with where.lock.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert run_job(job(1), tmp_path, program=PROGRAM, should_stop=lambda: True) is State.RUNNING
    assert begun(job(1), tmp_path) == 0


def test_a_job_asked_to_stop_saves_and_is_continued(tmp_path: Path) -> None:
    one = job(1, "forever")
    began = time.monotonic()
    state = run_job(one, tmp_path, program=PROGRAM, should_stop=lambda: begun(one, tmp_path) > 0)
    assert state is State.INTERRUPTED
    assert time.monotonic() - began < 20
    where = one.folder(tmp_path)
    assert command_line(one, where, ("lrnn",), None)[-3] == "--force"
    where.run.resume.mkdir()
    where.run.state.touch()
    assert command_line(one, where, ("lrnn",), 2) == [
        "lrnn", "fit-image", "/nowhere/a.png", "--behaviour", "forever", "--seed", "1", "--threads", "2",
        "-q", "--resume", "-o", str(where.path),
    ]  # fmt: skip


def test_a_job_asked_to_stop_before_it_began_stays_as_it_was(tmp_path: Path) -> None:
    assert run_job(job(1), tmp_path, program=PROGRAM, should_stop=lambda: True) is State.PENDING
    assert begun(job(1), tmp_path) == 0


def test_groups_go_into_a_file(tmp_path: Path) -> None:
    import dataclasses

    one = dataclasses.replace(job(1), groups={"fit": {"beta2": 0.9}})
    run_job(one, tmp_path, program=PROGRAM)
    where = one.folder(tmp_path)
    assert (where.path / "settings.yaml").read_text() == "fit:\n  beta2: 0.9\n"
    assert str(where.path / "settings.yaml") in where.attempts()[0]["command"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*: a part of the path is a file"):
        run_job(job(1), tmp_path, program=PROGRAM)


@pytest.mark.parametrize("name", ["lock", "attempts.jsonl"])
def test_records_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (job(1).folder(tmp_path).path / name).mkdir(parents=True)
    with pytest.raises(OutputError, match=f"cannot write .*{name}: Is a directory"):
        run_job(job(1), tmp_path, program=PROGRAM)


def test_a_full_disk(tmp_path: Path) -> None:
    where = job(1).folder(tmp_path)
    where.path.mkdir(parents=True)
    where.attempts_file.symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"cannot write .*attempts\.jsonl: the disk is full"):
        run_job(job(1), tmp_path, program=PROGRAM)
