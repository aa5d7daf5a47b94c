"""What the program says and where: results to stdout, everything else to stderr.

Talk on stderr never costs a result: when nobody listens any more, it falls silent.
"""

import json as json_module
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from lrnn_cli.errors import ConfigError, OutputError

_LINE_EVERY_S = 30.0  # off a terminal: one line each 10 % or this often
_BAR_EVERY_S = 0.1


class StepRecord(Protocol):
    """What the progress display reads of a step: `fitting.loop.Step` has it all."""

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def loss(self) -> float | None:
        """Loss of this step, where there was one."""

    @property
    def psnr_db(self) -> float | None:
        """PSNR in dB, where it is known."""

    @property
    def seconds(self) -> float:
        """Seconds of training so far."""

    @property
    def steps_per_s(self) -> float:
        """Speed."""

    @property
    def progress(self) -> float:
        """Part of the work done, 0 to 1."""

    @property
    def event(self) -> str | None:
        """Something worth a line of its own."""


class Talk:
    """The program's voice for one command.

    Levels: -qq errors only; -q warnings, too; normally notes and progress, too; -v details, too.

    Args:
        quiet: how often -q was given.
        verbose: how often -v was given.
        json: results as JSON, one object per line.
        data_on_stdout: `-o -`: stdout carries the output file, the result goes to stderr.
        stdout: where results go; None for the process's own.
        stderr: where talk goes; None for the process's own.
        clock: seconds, for the pace of progress lines.

    Raises:
        ConfigError: if JSON and output file both claim stdout.
    """

    def __init__(
        self,
        *,
        quiet: int = 0,
        verbose: int = 0,
        json: bool = False,
        data_on_stdout: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if json and data_on_stdout:
            raise ConfigError("--json and -o - both want stdout; write the output to a file")
        self.level = verbose - quiet
        self.json = json
        self.data_on_stdout = data_on_stdout
        self.clock = clock
        self._stdout = stdout
        self._stderr = stderr
        self._mute = False
        self._bar_print: Callable[[str], None] | None = (
            None  # while a bar is on the screen, lines go above it
        )

    # Talk, on stderr

    def debug(self, text: str) -> None:
        """Says something for those who asked for details (-v)."""
        self._say(text, 1)

    def note(self, text: str) -> None:
        """Says something useful to know."""
        self._say(text, 0)

    def warn(self, text: str) -> None:
        """Says something that the user should act upon or be aware of."""
        self._say(f"warning: {text}", -1)

    @contextmanager
    def progress(self, label: str) -> "Iterator[Progress]":
        """Shows how a fit goes on: a bar on a terminal, otherwise a line now and then, nothing with -q.

        Args:
            label: what is being fitted, a word or a file name.

        Yields:
            A consumer to call with each step record.
        """
        if self.level >= 0 and self._on_terminal():
            bar = BarProgress(self, label, self._err())
            self._bar_print = bar.print
            try:
                with bar:
                    yield bar
            finally:
                self._bar_print = None
        else:
            yield LineProgress(self, label) if self.level >= 0 else Progress()

    # Results, on stdout

    def result(self, summary: str, record: Mapping[str, Any]) -> None:
        """Gives the result: the summary line, or with --json the record as one line of JSON.

        Args:
            summary: one line for people.
            record: the same for programs; finite numbers only.

        Raises:
            OutputError: if stdout cannot be written to.
            BrokenPipeError: if nobody reads stdout any more.
        """
        self.out(json_module.dumps(record, allow_nan=False) if self.json else summary)

    def out(self, text: str) -> None:
        """Writes lines of a result, a table for instance, to stdout.

        Args:
            text: the lines; a line break at the end is added.

        Raises:
            OutputError: if stdout cannot be written to.
            BrokenPipeError: if nobody reads stdout any more.
        """
        if self.data_on_stdout:
            self._say(text, -1, prefix="")
            return
        stream = self._stdout or sys.stdout
        if stream is None:
            raise OutputError("cannot write the result: stdout is closed")
        try:
            _write(stream, text + "\n")
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"cannot write to stdout: {error.strerror or error}") from error

    def settings(self, tree: Mapping[str, Any]) -> None:
        """Prints settings to stdout as a file for --config: YAML, or with --json one line of JSON.

        Args:
            tree: plain values.

        Raises:
            OutputError: if stdout cannot be written to.
            BrokenPipeError: if nobody reads stdout any more.
        """
        import yaml

        self.result(yaml.safe_dump(dict(tree), sort_keys=False).rstrip(), tree)

    def check_data_stdout(self) -> None:
        """Refuses early to write a file's bytes to a terminal; call it before the work that makes them.

        Raises:
            OutputError: if stdout is a terminal or closed.
        """
        stream = self._stdout or sys.stdout
        if stream is None:
            raise OutputError("-o -: stdout is closed")
        if stream.isatty():
            raise OutputError(
                "-o -: refusing to write a binary file to a terminal; add '> FILE' or use -o FOLDER"
            )

    def data(self, content: bytes) -> None:
        """Writes a file's bytes to stdout.

        Args:
            content: the bytes.

        Raises:
            OutputError: if stdout is a terminal, closed or cannot be written to.
            BrokenPipeError: if nobody reads stdout any more.
        """
        self.check_data_stdout()
        stream = (self._stdout or sys.stdout).buffer
        try:
            stream.write(content)
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"cannot write to stdout: {error.strerror or error}") from error

    def _err(self) -> TextIO | None:
        return self._stderr or sys.stderr

    def _on_terminal(self) -> bool:
        stream = self._err()
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"

    def _say(self, text: str, level: int, prefix: str = "lrnn: ") -> None:
        if level > self.level or self._mute:
            return
        try:
            if self._bar_print is not None:
                self._bar_print(prefix + text)
                return
            stream = self._err()
            if stream is not None:
                _write(stream, f"{prefix}{text}\n")
        except (OSError, ValueError):
            self._mute = True


class Progress:
    """A consumer of step records that shows nothing."""

    def __call__(self, step: StepRecord) -> None:
        """Takes note of a step."""


class LineProgress(Progress):
    """One plain line each 10 % of the work, and at least every 30 seconds.

    Args:
        talk: the voice.
        label: what is being fitted.
    """

    def __init__(self, talk: Talk, label: str) -> None:
        self._talk = talk
        self._label = label
        self._tenths = 0
        self._said_at = talk.clock()

    def __call__(self, step: StepRecord) -> None:
        """Says a line if it is time for one."""
        if step.event:
            self._talk.note(step.event)
        tenths = int(step.progress * 10 + 1e-9)
        now = self._talk.clock()
        if tenths <= self._tenths and now - self._said_at < _LINE_EVERY_S:
            return
        self._tenths, self._said_at = tenths, now
        self._talk.note(f"{self._label}: {100 * step.progress:.0f} %  {figures(step)}")


class BarProgress(Progress):
    """A bar on a terminal.

    Args:
        talk: the voice.
        label: what is being fitted.
        stream: the terminal.
    """

    def __init__(self, talk: Talk, label: str, stream: TextIO | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._talk = talk
        self._rich = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:.0f} %", markup=False),
            TextColumn("{task.fields[figures]}", markup=False),
            console=Console(file=stream, highlight=False, markup=False, emoji=False),
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._rich.add_task(label, total=1.0, figures="")
        self._shown_at = -1.0

    def __call__(self, step: StepRecord) -> None:
        """Moves the bar."""
        if step.event:
            self._talk.note(step.event)
        now = self._talk.clock()
        if step.progress < 1 and 0 <= now - self._shown_at < _BAR_EVERY_S:
            return
        self._shown_at = now
        self._rich.update(self._task, completed=step.progress, figures=figures(step))

    def print(self, text: str) -> None:
        """Prints a line above the bar."""
        self._rich.console.print(text, soft_wrap=True)

    def __enter__(self) -> "BarProgress":
        self._rich.start()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._rich.stop()
        except OSError:
            pass  # the terminal is gone


def figures(step: StepRecord) -> str:
    """Puts a step's figures into words: "step 600  loss 1.23e-04  38.20 dB  52 steps/s  0:42 left".

    Args:
        step: the step's record.

    Returns:
        The figures that are known, without line break.
    """
    # an equation has a residual, and where the exact solution is known an error
    solves = hasattr(step, "error")
    parts = [f"step {step.step}"]
    if step.loss is not None:
        parts.append(f"{'residual' if solves else 'loss'} {step.loss:.2e}")
    error = getattr(step, "error", None)
    if error is not None:
        parts.append(f"error {error:.2e}")
    if step.psnr_db is not None:
        parts.append(f"{step.psnr_db:.2f} dB")
    if step.steps_per_s > 0:
        speed = step.steps_per_s
        parts.append(f"{speed:.0f} steps/s" if speed >= 10 else f"{speed:.2g} steps/s")
    if 0 < step.progress < 1:
        parts.append(f"{duration(step.seconds * (1 - step.progress) / step.progress)} left")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Writes a time as people do: 0:42, 12:05, 1:02:03."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _write(stream: TextIO, text: str) -> None:
    """Writes and flushes; what the stream's encoding lacks is written as an escape."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
