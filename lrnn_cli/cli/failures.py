"""The one place that turns an exception into an exit code and one line on stderr.

0 ok                        5 the fit diverged
1 internal error            6 a batch ended with failures
2 usage or configuration    130 interrupted (SIGINT)
3 input or output file      141 broken pipe
4 device or memory          143 terminated (SIGTERM)
"""

import errno
import os
import re
import sys
import time
import traceback
from dataclasses import dataclass
from enum import IntEnum
from typing import TextIO

from lrnn_cli.cli.interrupts import Interrupted
from lrnn_cli.errors import ConfigError, DeviceError, FitError, InputError, LrnnError, OutputError
from lrnn_cli.fitting.launch import place


class ExitCode(IntEnum):
    """What the process returns to its caller."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    FILE = 3
    DEVICE = 4
    DIVERGED = 5
    BATCH = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


ENDED = (ExitCode.BROKEN_PIPE, ExitCode.INTERRUPTED, ExitCode.TERMINATED)  # from outside: no fault of the run
PATIENCE_S = 5.0  # torchrun ends a process sooner, as soon as process 0 has failed


EXIT_CODES = (
    "Exit codes: 0 ok, 1 internal error, 2 usage or configuration, 3 input or output file, "
    "4 device or memory, 5 the fit diverged, 6 a batch ended with failures, "
    "130 interrupted, 141 broken pipe, 143 terminated."
)

# The first row that fits decides; their messages are meant for the user as they are.
TABLE: tuple[tuple[type[Exception], ExitCode], ...] = (
    (ConfigError, ExitCode.USAGE),
    (InputError, ExitCode.FILE),  # CheckpointError with it
    (OutputError, ExitCode.FILE),
    (DeviceError, ExitCode.DEVICE),
    (FitError, ExitCode.DIVERGED),
    (LrnnError, ExitCode.INTERNAL),
)

_EXTRAS = {"pydicom": "medical", "pystoi": "speech", "distributed": "study", "dask": "study", "skfem": "fem"}
_MEMORY_ADVICE = "use a smaller --batch-points or a smaller model (--params)"
# Errors of the operating system that speak of the disk and not of a mistake in this program.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO}


@dataclass(frozen=True)
class Failure:
    """How one exception ends the program.

    Attributes:
        code: the exit code.
        message: the line for stderr, without its prefix; empty: say nothing.
        label: what the prefix calls it.
    """

    code: int
    message: str
    label: str = "error"


def classify(error: BaseException) -> Failure:
    """Finds how `error` ends the program.

    Args:
        error: what a command raised.

    Returns:
        Its exit code and message; unknown exceptions are internal errors.
    """
    if _is_broken_pipe(error):
        return Failure(ExitCode.BROKEN_PIPE, "")
    if isinstance(error, Interrupted):
        return Failure(error.exit_code, error.note, "interrupted")
    if isinstance(error, KeyboardInterrupt):
        return Failure(ExitCode.INTERRUPTED, "", "interrupted")
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # of the option parser
        return Failure(ExitCode.USAGE, _usage_message(error))
    for kind, code in TABLE:
        if isinstance(error, kind):
            return Failure(code, str(error) or kind.__name__)
    return _memory(error) or _system(error) or _missing_extra(error) or _internal(error)


def report(error: BaseException, *, verbose: bool = False, stderr: TextIO | None = None) -> int:
    """Writes the one line that `error` deserves.

    Args:
        error: what a command raised.
        verbose: write its traceback before the line.
        stderr: where to; None for the process's own.

    Returns:
        The exit code.
    """
    failure = classify(error)
    rank = _rank()
    if rank and failure.code not in (ExitCode.DEVICE, ExitCode.INTERNAL):
        if failure.code not in ENDED:
            time.sleep(PATIENCE_S)  # process 0 meets the same and says it; torchrun would end it for our exit
        return failure.code
    name = f"lrnn (process {rank})" if rank else "lrnn"
    text = f"{name}: {failure.label}: {one_line(failure.message)}\n" if failure.message else ""
    if verbose and failure.code not in ENDED:
        text = "".join(traceback.format_exception(error)) + text
    stream = stderr or sys.stderr
    try:
        if stream is not None:
            stream.write(text)
            stream.flush()
    except (OSError, ValueError):
        pass  # nobody listens: the exit code still tells
    return failure.code


def _rank() -> int:
    try:
        return place().rank
    except ConfigError:
        return 0


def one_line(text: str) -> str:
    """Makes a message fit one line and safe for a terminal: no line breaks, no control characters."""
    joined = " ".join(line.strip() for line in text.splitlines() if line.strip())
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found.group()):02x}", joined)


def _is_broken_pipe(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, BrokenPipeError):
            return True
        # Typer and Rich answer a broken pipe with sys.exit(1): there the pipe is only the context.
        context = error.__context__ if isinstance(error, SystemExit) else None
        error = error.__cause__ or context
    return False


def _usage_message(error: BaseException) -> str:
    message = str(error.format_message()).strip()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    if not message or context is None:
        return message
    message = message.replace("Value error, ", "", 1)
    return f"{message.rstrip('.')} (see '{context.command_path} --help')"


def _memory(error: BaseException) -> Failure | None:
    torch = sys.modules.get("torch")  # an error of torch can only come from a torch that is loaded
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        first = str(error).split(". ", 2)[:2]
        return Failure(ExitCode.DEVICE, f"{'. '.join(first).rstrip('.')}: {_MEMORY_ADVICE}")
    is_allocation = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    if isinstance(error, MemoryError) or is_allocation:
        detail = f" ({error})" if isinstance(error, MemoryError) and str(error) else ""
        return Failure(ExitCode.DEVICE, f"not enough memory{detail}: {_MEMORY_ADVICE}")
    return None


def _system(error: BaseException) -> Failure | None:
    if not isinstance(error, OSError) or error.errno is None:
        return None
    if error.filename is None and error.errno not in _DISK:
        return None
    what = error.strerror or os.strerror(error.errno)
    if error.filename is None:
        return Failure(ExitCode.FILE, f"cannot write: {what}")
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
    return Failure(ExitCode.FILE, f"{name}: {what}")


def _missing_extra(error: BaseException) -> Failure | None:
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    package = error.name.split(".")[0]
    if package not in _EXTRAS:
        return None
    return Failure(ExitCode.USAGE, f"this needs {package}: pip install 'lrnn[{_EXTRAS[package]}]'")


def _internal(error: BaseException) -> Failure:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failure(ExitCode.INTERNAL, f"{what} (please report this, with what -v prints)", "internal error")
