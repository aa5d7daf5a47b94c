"""One job as a process of its own: the command line that a user would type, in the job's folder.

A lock on the folder is held by the process itself, not by the one that started it. When a worker is killed,
the process it started lives on and finishes; whoever tries the job again waits for the lock and then finds it
done.
"""

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from lrnn_cli.runs.folder import atomic_write
from lrnn_cli.studies.attempts import locked, message_of, note, now, wait_for, writing
from lrnn_cli.studies.jobs import Job, JobFolder, State

PROGRAM = (sys.executable, "-m", "lrnn_cli")


def run_job(
    job: Job,
    root: Path,
    *,
    program: Sequence[str] = PROGRAM,
    threads: int | None = None,
    env: Mapping[str, str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> State:
    """Run a job unless it is settled, continuing where an interrupted attempt stopped.

    Args:
        job: what to run.
        root: folder of the study.
        program: how to start lrnn.
        threads: CPU threads of the job; None leaves it to the command.
        env: variables to set for it.
        should_stop: asked a few times a second; the process then saves its state and ends, and a job that was
            not begun stays so.

    Returns:
        how the job stands now.

    Raises:
        OutputError: when its folder cannot be written.
    """
    folder = job.folder(root)
    folder.freeze(job)
    if job.groups:
        atomic_write(folder.path / "settings.yaml", yaml.safe_dump(job.groups, allow_unicode=True).encode())
    with locked(folder, should_stop) as lock:
        if lock is None:
            return folder.state()
        if folder.settled() or should_stop():
            return folder.settled() or State.PENDING
        command = command_line(job, folder, program, threads)
        note(folder, {"start": now(), "host": platform.node(), "pid": os.getpid(), "command": command})
        with writing(folder.log) as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})},
                pass_fds=(lock,), start_new_session=True,
            )  # fmt: skip
            code = wait_for(process, should_stop)
        message = "" if code == 0 else message_of(folder, code)
        note(folder, {"end": now(), "code": code, "message": message})
    return folder.state()


def command_line(job: Job, folder: JobFolder, program: Sequence[str], threads: int | None) -> list[str]:
    """Return the command of a job: `lrnn TASK INPUT OPTIONS -o FOLDER`."""
    words = [*program, job.task]
    words += [job.path] if job.path is not None else []
    words += [*job.options, "--seed", str(job.seed)]
    words += ["--config", str(folder.path / "settings.yaml")] if job.groups else []
    words += ["--threads", str(threads)] if threads is not None else []
    go_on = "--resume" if folder.run.is_unfinished() else "--force"
    return [*words, "-q", go_on, "-o", str(folder.path)]


def note_lost(job: Job, root: Path, message: str) -> None:
    """Note that a job ended without anybody who could say so.

    Args:
        job: which.
        root: folder of the study.
        message: what is known.

    Raises:
        OutputError: when its folder cannot be written.
    """
    folder = job.folder(root)
    folder.freeze(job)
    note(folder, {"end": now(), "code": 128 + signal.SIGKILL, "message": message})
