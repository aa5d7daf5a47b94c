"""Coming and going at once: libraries are loaded without a search for garbage and never taken apart."""

import atexit
import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage() -> Iterator[None]:
    """Lets no search for garbage run inside: loading torch makes a million objects, and all of them stay.

    Yields:
        nothing.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # what has been loaded is not looked at again before the end
        atexit.register(gc.unfreeze)
        if was_on:
            gc.enable()


def leave(code: int) -> None:
    """Ends the process when all is written and nothing runs any more: taking torch apart takes half a second.

    Returns where that would lose something, or where nothing is to be gained: torch was not loaded, a thread
    is at work, or a profiler or tracer wants the last word.

    Args:
        code: the exit code.
    """
    working = any(not t.daemon for t in threading.enumerate() if t is not threading.main_thread())
    watched = sys.getprofile() is not None or sys.gettrace() is not None
    if "torch" in sys.modules and not working and not watched:
        atexit._run_exitfuncs()
        os._exit(code)
