"""Signals: the first asks, the second aborts, the third kills; ignored ones stay ignored."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from lrnn_cli.cli.interrupts import Interrupted, StopFlag, raise_on_signal
from tests.conftest import program_env


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_asks_and_the_second_aborts(number: int, code: int) -> None:
    before = signal.getsignal(number)
    with StopFlag(announce=False) as flag:
        assert not flag()
        flag.finish("nothing happened")
        os.kill(os.getpid(), number)
        assert flag()
        with pytest.raises(Interrupted) as ended:
            flag.finish("saved")
        assert (ended.value.exit_code, ended.value.note) == (code, "saved")
        with pytest.raises(Interrupted) as aborted:
            os.kill(os.getpid(), number)
        assert aborted.value.exit_code == code
    assert signal.getsignal(number) is before


def test_the_first_signal_names_the_exit_code() -> None:
    with StopFlag(announce=False) as flag:
        os.kill(os.getpid(), signal.SIGTERM)
        assert flag.signum == signal.SIGTERM


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopFlag(announce=False) as flag:
            os.kill(os.getpid(), signal.SIGINT)
            assert not flag()
            os.kill(os.getpid(), signal.SIGTERM)
            assert flag()
    finally:
        signal.signal(signal.SIGINT, before)


def test_signals_raise_at_once_outside_a_fit_and_flags_nest_inside() -> None:
    with raise_on_signal():
        with StopFlag(announce=False) as flag:
            os.kill(os.getpid(), signal.SIGTERM)
            assert flag()
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)


def test_other_threads_leave_signals_alone() -> None:
    seen = []

    def work() -> None:
        with StopFlag() as flag:
            seen.append(flag())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_no_except_exception_swallows_an_interrupt() -> None:
    assert not issubclass(Interrupted, Exception)


# A command that fits for ever, in the real main().
PROGRAM = """
import sys, time
from lrnn_cli.cli import app, group, table
from lrnn_cli.cli.interrupts import StopFlag

def command(stubborn: bool = False, plain: bool = False) -> None:
    '''Fits.'''
    if plain:
        try:
            print("ready", flush=True)
            time.sleep(30)
        finally:
            print("cleaned up", flush=True)
    with StopFlag() as should_stop:
        print("ready", flush=True)
        while not should_stop():
            time.sleep(0.01)
        print("stopping", flush=True)
        while stubborn:
            time.sleep(0.01)
        print("saved", flush=True)
        should_stop.finish("saved at step 3; --resume goes on")

sys.modules["it"] = sys.modules["__main__"]
group.LazyGroup.rows = {"do": table.CommandRow("it:command", "Do.", "P")}
sys.exit(app.main())
"""


def start(*args: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "do", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=program_env(),
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_fit_saves_and_ends_with_the_signals_code(number: int, code: int) -> None:
    process = start()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert out == "stopping\nsaved\n"
    assert err.splitlines()[-1] == "lrnn: interrupted: saved at step 3; --resume goes on"
    assert "again aborts" in err


def test_the_second_signal_ends_a_fit_that_does_not_stop() -> None:
    process = start("--stubborn")
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (143, "")
    assert "Traceback" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_without_a_fit_ends_at_once_and_cleans_up(number: int, code: int) -> None:
    process = start("--plain")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (code, "cleaned up\n", "")
