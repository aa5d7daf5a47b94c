"""The program: `lrnn` and `python -m lrnn_cli` start here, and every exit code leaves from here."""

import io
import os
import sys
from collections.abc import Sequence

from lrnn_cli import __version__
from lrnn_cli.cli import failures
from lrnn_cli.cli.failures import ExitCode
from lrnn_cli.cli.interrupts import Interrupted, raise_on_signal
from lrnn_cli.cli.loading import leave
from lrnn_cli.errors import ConfigError, OutputError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after the program's name; None for those of the process.

    Returns:
        The exit code (see `lrnn_cli.cli.failures`).
    """
    args = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # help pages go out where a locale has ASCII alone
    try:
        with raise_on_signal():
            code = _flush(_run(args))
    except Interrupted as late:  # a signal between the command's end and ours
        code = late.exit_code
    if argv is None:
        leave(code)
    return code


def _run(args: list[str]) -> int:
    verbose = False
    try:
        if args in (["--version"], ["-V"]):  # before Typer is imported: answers as soon as Python is up
            if sys.stdout is None:
                raise OutputError("cannot write the version: stdout is closed")
            sys.stdout.write(f"lrnn {__version__}\n")
            return ExitCode.OK
        _refuse_empty(args)

        from lrnn_cli.cli.group import Session, build
        from lrnn_cli.cli.table import COMMANDS, PARALLEL
        from lrnn_cli.fitting.launch import place

        command = next((word for word in args if word in COMMANDS), None)
        if command is not None and command not in PARALLEL and place().size > 1:
            raise ConfigError(f"{command} runs in one process: start it without torchrun")

        session = Session()
        try:
            # A command returns None or an exit code; typer.Exit comes back as its code.
            result = build().main(args, prog_name="lrnn", standalone_mode=False, obj=session)
        finally:
            verbose = session.verbose > 0
        return result if isinstance(result, int) else ExitCode.OK
    except SystemExit as stop:
        if failures.classify(stop).code == ExitCode.BROKEN_PIPE:
            return ExitCode.BROKEN_PIPE
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except BaseException as error:
        return failures.report(error, verbose=verbose)


def _refuse_empty(args: list[str]) -> None:
    """Refuse an empty word: as a path it would be the current folder, which -o "$OUT" does not mean."""
    for before, word in zip(["", *args], args, strict=False):
        option, equals, value = word.partition("=")
        if word == "":
            where = f" after {before}" if before else ""
        elif option.startswith("--") and equals and not value:
            where = f" in {word}"
        else:
            continue
        raise ConfigError(f"an empty word{where}: expected a value; is a variable of the shell not set?")


def _flush(code: int) -> int:
    """Empties stdout and stderr, so that the interpreter finds nothing to complain of when it shuts down."""
    if code == ExitCode.BROKEN_PIPE:
        _point_to_nowhere(1)  # what is still in the buffer has no reader
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            if stream is not None:
                stream.flush()
        except OSError as error:
            if descriptor == 1 and code == ExitCode.OK:
                pipe = isinstance(error, BrokenPipeError)
                code = failures.report(
                    error if pipe else OutputError(f"cannot write to stdout: {error.strerror}")
                )
            _point_to_nowhere(descriptor)
        except ValueError:
            pass  # closed already
    return code


def _point_to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
