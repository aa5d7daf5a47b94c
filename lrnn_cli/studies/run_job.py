"""One job as a process of its own: the command line that a user would type, in the job's folder.

A lock on the folder is held by the process itself, not by the one that started it. When a worker is killed,
the process it started lives on and finishes; whoever tries the job again waits for the lock and then finds it
done.
"""

import contextlib
import datetime
import fcntl
import io
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lrnn_cli.errors import OutputError
from lrnn_cli.runs.folder import atomic_write, write_problem
from lrnn_cli.studies.jobs import Job, JobFolder, State

PROGRAM = (sys.executable, "-m", "lrnn_cli")
_POLL_S = 0.2
_LOG_TAIL = 4000  # bytes of the log that are searched for the message of an error


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
    with _locked(folder, should_stop) as lock:
        if lock is None:
            return folder.state()
        if folder.settled() or should_stop():
            return folder.settled() or State.PENDING
        command = command_line(job, folder, program, threads)
        _note(folder, {"start": _now(), "host": platform.node(), "pid": os.getpid(), "command": command})
        with _writing(folder.log) as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})},
                pass_fds=(lock,), start_new_session=True,
            )  # fmt: skip
            code = _wait(process, should_stop)
        # a process that died of a signal has no exit code; shells count 128 + signal
        code = 128 - code if code < 0 else code
        message = "" if code == 0 else _message(folder, code)
        _note(folder, {"end": _now(), "code": code, "message": message})
    return folder.state()


def _wait(process: "subprocess.Popen[bytes]", should_stop: Callable[[], bool]) -> int:
    asked = False
    while True:
        try:
            return process.wait(timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            if not asked and should_stop():
                process.send_signal(signal.SIGTERM)
                asked = True


def command_line(job: Job, folder: JobFolder, program: Sequence[str], threads: int | None) -> list[str]:
    """Return the command of a job: `lrnn TASK INPUT OPTIONS -o FOLDER`."""
    words = [*program, job.task]
    words += [job.path] if job.path is not None else []
    words += [*job.options, "--seed", str(job.seed)]
    words += ["--config", str(folder.path / "settings.yaml")] if job.groups else []
    words += ["--threads", str(threads)] if threads is not None else []
    go_on = "--resume" if folder.run.is_unfinished() else "--force"
    return [*words, "-q", go_on, "-o", str(folder.path)]


@contextlib.contextmanager
def _locked(folder: JobFolder, should_stop: Callable[[], bool]) -> Iterator[int | None]:
    """Hold the lock of a folder, or None when asked to stop while another process holds it."""
    with _writing(folder.lock) as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if should_stop():
                    yield None
                    return
                time.sleep(_POLL_S)
            else:
                yield file.fileno()
                return


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[io.FileIO]:
    try:
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise OutputError(write_problem(path, error)) from error
    with file:
        yield file


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _note(folder: JobFolder, record: dict[str, Any]) -> None:
    with _writing(folder.attempts_file) as file:
        try:
            file.write(json.dumps(record).encode() + b"\n")
        except OSError as error:
            raise OutputError(write_problem(folder.attempts_file, error)) from error


def _message(folder: JobFolder, code: int) -> str:
    """Return the command's own line about its error, or the signal that killed it."""
    text = folder.log.read_bytes()[-_LOG_TAIL:].decode(errors="replace")
    said = [line for line in text.splitlines() if line.startswith("lrnn: ") and "error: " in line]
    killer = code - 128
    if killer in {signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS}:
        return f"killed by {signal.Signals(killer).name}"
    return said[-1].partition("error: ")[2] if said else f"exit code {code}"
