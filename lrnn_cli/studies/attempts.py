"""What stands around a try at a job: the lock of its folder, its process, and a line for start and end."""

import contextlib
import datetime
import fcntl
import io
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lrnn_cli.errors import OutputError
from lrnn_cli.runs.folder import write_problem
from lrnn_cli.studies.jobs import JobFolder

_POLL_S = 0.2
_LOG_TAIL = 4000  # bytes of the log that are searched for the message of an error


def wait_for(process: "subprocess.Popen[bytes]", should_stop: Callable[[], bool]) -> int:
    """Wait for a process, once asking it to save its state and end.

    Args:
        process: which.
        should_stop: asked a few times a second.

    Returns:
        its exit code; for one that died of a signal 128 + signal, as shells count.
    """
    asked = False
    while True:
        try:
            code = process.wait(timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            if not asked and should_stop():
                process.send_signal(signal.SIGTERM)
                asked = True
        else:
            return 128 - code if code < 0 else code


@contextlib.contextmanager
def locked(folder: JobFolder, should_stop: Callable[[], bool]) -> Iterator[int | None]:
    """Hold the lock of a folder.

    Args:
        folder: of a job.
        should_stop: asked while another process holds the lock.

    Yields:
        the lock's file descriptor; None when asked to stop before it was free.

    Raises:
        OutputError: when the folder cannot be written.
    """
    with writing(folder.lock) as file:
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
def writing(path: Path) -> Iterator[io.FileIO]:
    """Open a file to append to.

    Yields:
        the file.

    Raises:
        OutputError: when it cannot be written.
    """
    try:
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise OutputError(write_problem(path, error)) from error
    with file:
        yield file


def now() -> str:
    """Return the time as ISO 8601 in UTC, whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def note(folder: JobFolder, record: dict[str, Any]) -> None:
    """Append a record to the attempts of a job.

    Raises:
        OutputError: when it cannot be written.
    """
    with writing(folder.attempts_file) as file:
        try:
            file.write(json.dumps(record).encode() + b"\n")
        except OSError as error:
            raise OutputError(write_problem(folder.attempts_file, error)) from error


def message_of(folder: JobFolder, code: int) -> str:
    """Return the command's own line about its error, or the signal that killed it.

    Args:
        folder: with the log of the process.
        code: its exit code.
    """
    text = folder.log.read_bytes()[-_LOG_TAIL:].decode(errors="replace")
    said = [line for line in text.splitlines() if line.startswith("lrnn: ") and "error: " in line]
    killer = code - 128
    if killer in {signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS}:
        return f"killed by {signal.Signals(killer).name}"
    return said[-1].partition("error: ")[2] if said else f"exit code {code}"
