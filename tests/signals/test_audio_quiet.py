"""What C libraries write to descriptor 2 vanishes while a sound is decoded, and only then."""

import os

import pytest

from lrnn_cli.signals.audio_quiet import silenced_stderr


def test_writes_to_the_descriptor_vanish_inside_and_arrive_outside(capfd: pytest.CaptureFixture) -> None:
    os.write(2, b"before ")
    with pytest.raises(ZeroDivisionError), silenced_stderr():
        os.write(2, b"inside ")
        raise ZeroDivisionError
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_a_process_without_stderr_decodes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> int:
        raise OSError(9, "Bad file descriptor", descriptor)

    monkeypatch.setattr(os, "dup", refuse)
    done = []
    with silenced_stderr():
        done.append(True)
    assert done


def test_descriptors_are_given_back() -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(5):
        with silenced_stderr():
            pass
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert before == after
