"""Ctrl-C and `kill`: the first signal asks the fit to stop and save, the second one aborts.

Only the command line installs signal handlers. The library sees a callable `should_stop() -> bool`.
A signal that was ignored when the program started (SIGINT of a job started with `&`, for instance) stays
ignored.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTICE = b"lrnn: stopping after this step; the same signal again aborts at once\n"

Handler = Callable[[int, FrameType | None], None]


class Interrupted(BaseException):
    """A signal ended the work. Like KeyboardInterrupt, no `except Exception` catches it.

    Attributes:
        signum: the signal's number.
        note: one line on what was saved and how to go on; may be empty.
    """

    def __init__(self, signum: int, note: str = "") -> None:
        super().__init__(note)
        self.signum = signum
        self.note = note

    @property
    def exit_code(self) -> int:
        """128 + signal number, as shells count: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signum


@contextmanager
def _handled_by(handler: Handler) -> Iterator[None]:
    """Hands SIGINT and SIGTERM to `handler` for the time of the block, unless they are ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python allows signal handlers in the main thread only
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    mine = [number for number, old in before.items() if old not in (signal.SIG_IGN, None)]
    for number in mine:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])


@contextmanager
def raise_on_signal() -> Iterator[None]:
    """Turns SIGINT and SIGTERM into `Interrupted` at once, so that temporary files are cleaned up.

    Yields:
        Nothing.
    """

    def handler(signum: int, _frame: FrameType | None) -> None:
        raise Interrupted(signum)

    with _handled_by(handler):
        yield


class StopFlag:
    """The flag that a fit polls: set by the first SIGINT or SIGTERM within the `with` block.

    The second signal raises `Interrupted` in the main thread, a third one ends the process on the spot.

    Example:
        with StopFlag() as should_stop:
            for step in fit(..., should_stop=should_stop): ...
            save(...)
            should_stop.finish("stopped at step 120 and saved; --resume goes on from there")

    Args:
        announce: say on stderr that the signal was heard.
    """

    def __init__(self, announce: bool = True) -> None:
        self.announce = announce
        self.signum: int | None = None
        self._aborting = False
        self._installed = _handled_by(self._handle)

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signum is not None

    def finish(self, note: str) -> None:
        """Ends the command with the signal's exit code if there was a signal, does nothing otherwise.

        Args:
            note: one line on what was saved and how to go on.

        Raises:
            Interrupted: if a signal came.
        """
        if self.signum is not None:
            raise Interrupted(self.signum, note)

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self._aborting:
            os._exit(128 + signum)
        if self.signum is None:
            self.signum = signum
            if self.announce:
                try:
                    line = b"\n" + _NOTICE if os.isatty(2) else _NOTICE  # below a progress bar
                    os.write(2, line)  # not sys.stderr: the signal may have come in the middle of a print
                except OSError:
                    pass
            return
        self._aborting = True
        raise Interrupted(signum)

    def __enter__(self) -> "StopFlag":
        self._installed.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._installed.__exit__(kind, error, trace)
