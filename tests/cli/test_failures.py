"""One line and one code per kind of failure, in the function and at the process's end."""

import errno
import io
import os
import signal
import subprocess
import sys

import pytest
import typer

from lrnn_cli.cli import failures
from lrnn_cli.cli.failures import ExitCode
from lrnn_cli.cli.interrupts import Interrupted
from lrnn_cli.errors import (
    CheckpointError,
    ConfigError,
    DeviceError,
    FitError,
    InputError,
    LrnnError,
    OutputError,
)
from tests.conftest import RunLrnn, program_env

NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a/output.png")

CASES = [
    (ConfigError("bad key"), 2, "lrnn: error: bad key"),
    (InputError("x.png: no image"), 3, "lrnn: error: x.png: no image"),
    (CheckpointError("c: corrupt"), 3, "lrnn: error: c: corrupt"),
    (OutputError("exists; use --force"), 3, "lrnn: error: exists; use --force"),
    (DeviceError("no CUDA"), 4, "lrnn: error: no CUDA"),
    (FitError("diverged at step 7"), 5, "lrnn: error: diverged at step 7"),
    (LrnnError(), 1, "lrnn: error: LrnnError"),
    (MemoryError("Unable to allocate 9 GiB"), 4, "lrnn: error: not enough memory (Unable to"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 4, "lrnn: error: not enough memory: use"),
    (NO_SPACE, 3, "lrnn: error: runs/a/output.png: No space left on device"),
    (OSError(errno.EROFS, "Read-only file system"), 3, "lrnn: error: cannot write: Read-only file system"),
    (PermissionError(errno.EACCES, "Permission denied", b"/r\xff"), 3, "lrnn: error: /r"),
    (
        ModuleNotFoundError("no pydicom", name="pydicom.uid"),
        2,
        "lrnn: error: this needs pydicom: pip install",
    ),
    (
        ModuleNotFoundError("no such", name="antigravity2"),
        1,
        "lrnn: internal error: ModuleNotFoundError: no such",
    ),
    (
        ZeroDivisionError("division by zero"),
        1,
        "lrnn: internal error: ZeroDivisionError: division by zero (please",
    ),
    (OSError("no number"), 1, "lrnn: internal error: OSError: no number"),
    (KeyError(), 1, "lrnn: internal error: KeyError (please"),
    (Interrupted(2, "saved; --resume goes on"), 130, "lrnn: interrupted: saved; --resume goes on"),
    (Interrupted(15), 143, ""),
    (KeyboardInterrupt(), 130, ""),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
    (typer.BadParameter("no"), 2, "lrnn: error: Invalid value: no"),
]


def kind_of(case: object) -> str:
    return type(case).__name__ if isinstance(case, BaseException) else ""


@pytest.mark.parametrize(("error", "code", "line"), CASES, ids=kind_of)
def test_each_error_has_its_code_and_line(error: BaseException, code: int, line: str) -> None:
    stderr = io.StringIO()
    assert failures.report(error, stderr=stderr) == code
    text = stderr.getvalue()
    assert text.startswith(line)
    assert text.count("\n") == (1 if line else 0)


def test_every_exit_code_is_met_and_documented() -> None:
    met = {code for _, code, _ in CASES}
    assert met == {int(code) for code in ExitCode} - {ExitCode.OK, ExitCode.BATCH}
    for code in ExitCode:
        assert f"{int(code)} " in failures.EXIT_CODES
        assert str(int(code)) in (failures.__doc__ or "")


def test_out_of_gpu_memory_says_what_to_do() -> None:
    import torch

    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of …")
    found = failures.classify(error)
    assert found.code == ExitCode.DEVICE
    assert found.message.startswith(
        "CUDA out of memory. Tried to allocate 2.00 GiB: use a smaller --batch-points"
    )


def test_verbose_adds_the_traceback_and_ends_with_the_line() -> None:
    stderr = io.StringIO()
    try:
        raise InputError("x.png: no image")
    except InputError as error:
        failures.report(error, verbose=True, stderr=stderr)
    lines = stderr.getvalue().splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "lrnn: error: x.png: no image"


def test_a_message_stays_one_line_and_cannot_steer_the_terminal() -> None:
    assert failures.one_line("a\n  b\r\n\x1b[31mred") == "a b \\x1b[31mred"


def test_a_broken_pipe_is_seen_behind_other_exceptions() -> None:
    def chained(outer: BaseException, *, explicit: bool) -> BaseException:
        if explicit:
            outer.__cause__ = BrokenPipeError()
        else:
            outer.__context__ = BrokenPipeError()
        return outer

    assert failures.classify(chained(SystemExit(1), explicit=False)).code == 141, "so Typer and Rich end"
    assert failures.classify(chained(OutputError("stdout"), explicit=True)).code == 141
    error = chained(ZeroDivisionError(), explicit=False)
    assert failures.classify(error).code == 1, (
        "an internal error while a pipe broke is still an internal error"
    )


def test_a_stderr_that_is_gone_changes_nothing() -> None:
    closed = io.StringIO()
    closed.close()
    assert failures.report(ConfigError("x"), stderr=closed) == 2


# The whole program


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            ["fit-imge"],
            "lrnn: error: No such command 'fit-imge'. Did you mean 'fit-image'? (see 'lrnn --help')\n",
        ),
        (["--colour"], "lrnn: error: No such option: --colour (see 'lrnn --help')\n"),
    ],
)
def test_usage_errors_are_one_line(run_lrnn: RunLrnn, args: list[str], line: str) -> None:
    done = run_lrnn(*args)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


# A command table of one command that raises what it is told to, in the real main().
PROGRAM = """
import sys
from typing import Annotated
import typer
from lrnn_cli.cli import app, group, options, table
from lrnn_cli.errors import FitError

def command(what: str, verbose: options.Verbose = 0) -> int | None:
    '''Fails as told.'''
    if what == "fit":
        raise FitError("diverged")
    if what == "bug":
        raise ZeroDivisionError
    if what == "batch":
        return 6
    if what == "exit":
        raise typer.Exit(4)
    if what == "print":
        print("x" * 100_000)
    if what == "system-exit":
        sys.exit(7)

sys.modules["it"] = sys.modules["__main__"]
row = table.CommandRow
group.LazyGroup.rows = {"do": row("it:command", "Do.", "P"), "no": row("no:no", "No.", "P")}
sys.exit(app.main())
"""


def run_program(*args: str, **more: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *args],
        env=program_env(),
        encoding="utf-8",
        timeout=60,
        check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},  # type: ignore[call-overload]
    )


@pytest.mark.parametrize(
    ("what", "code", "stderr"),
    [
        ("fit", 5, "lrnn: error: diverged\n"),
        ("batch", 6, ""),
        ("exit", 4, ""),
        ("system-exit", 7, ""),
        ("nothing", 0, ""),
    ],
)
def test_a_commands_end_is_the_processs_end(what: str, code: int, stderr: str) -> None:
    done = run_program("do", what)
    assert (done.returncode, done.stderr) == (code, stderr)


def test_an_unexpected_error_is_one_line_and_with_v_a_traceback() -> None:
    done = run_program("do", "bug")
    assert done.returncode == 1
    assert (
        done.stderr == "lrnn: internal error: ZeroDivisionError (please report this, with what -v prints)\n"
    )
    done = run_program("do", "bug", "-v")
    assert done.stderr.startswith("Traceback")
    assert "in command\n" in done.stderr


def test_help_needs_no_command_that_works() -> None:
    assert run_program("--help").returncode == 0
    assert run_program("no").returncode == 1


def test_a_missing_argument_names_the_commands_help() -> None:
    done = run_program("do")
    assert done.returncode == 2
    assert done.stderr == "lrnn: error: Missing argument 'what' (see 'lrnn do --help')\n"


@pytest.mark.parametrize("args", [["do", "print"], ["--help"], ["--version"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_broken_pipe_ends_quietly(args: list[str], unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *args],
            stdout=write,
            stderr=subprocess.PIPE,
            env=program_env({"PYTHONUNBUFFERED": unbuffered}),
            timeout=60,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["do", "print"]])
def test_a_full_disk_is_one_line(args: list[str]) -> None:
    full = """
import errno, io, sys
class Full(io.StringIO):
    failed = False
    def flush(self):
        if not self.failed:
            self.failed = True
            raise OSError(errno.ENOSPC, "No space left on device")
sys.stdout = Full()
"""
    done = subprocess.run(
        [sys.executable, "-c", full + PROGRAM, *args],
        capture_output=True,
        env=program_env(),
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("lrnn: error: cannot write")
    assert done.stderr.endswith(": No space left on device\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "waits"), [(ConfigError("--lr: below 0"), True), (Interrupted(signal.SIGINT), False)]
)
def test_another_process_lets_the_first_one_speak(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, waits: bool
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(failures, "_rank", lambda: 1)
    monkeypatch.setattr(failures.time, "sleep", pauses.append)
    stderr = io.StringIO()
    failures.report(error, stderr=stderr)
    assert pauses == [failures.PATIENCE_S] * waits
    assert stderr.getvalue() == ""
