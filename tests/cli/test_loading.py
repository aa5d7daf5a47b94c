"""Coming and going: the collector is off while loading and on after it, and the end keeps the exit code."""

import gc
import subprocess
import sys

import pytest

from lrnn_cli.cli.loading import leave, no_garbage
from tests.conftest import program_env


def test_the_collector_is_as_before() -> None:
    assert gc.isenabled()
    with no_garbage():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), no_garbage():
        raise KeyError
    assert gc.isenabled()
    gc.unfreeze()


LEAVE = """
import atexit, sys, threading
{before}
from lrnn_cli.cli.loading import leave
atexit.register(print, "said at the end", flush=True)
leave(7)
print("still here")
"""


@pytest.mark.parametrize(
    ("before", "code", "stays"),
    [
        ("sys.modules['torch'] = sys", 7, False),
        ("", 0, True),
        ("sys.modules['torch'] = sys; sys.setprofile(lambda *a: None)", 0, True),
        ("sys.modules['torch'] = sys; threading.Timer(0.1, print).start()", 0, True),
    ],
    ids=["at once", "torch is not loaded", "a profiler listens", "a thread works"],
)
def test_leaving_loses_nothing(before: str, code: int, stays: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVE.format(before=before)],
        capture_output=True,
        env=program_env(),
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert ("still here" in done.stdout) == stays
    assert "said at the end" in done.stdout


def test_leave_returns_under_a_tracer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "gettrace", lambda: print)
    leave(3)
