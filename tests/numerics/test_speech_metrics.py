"""Measures of speech: their laws, what has no value, and what is said when a package is missing."""

import math
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.speech_metrics import PESQ_HINT, check_speech, pesq, speech_measures, stoi

RATE = 8000
RNG = np.random.default_rng(5)


def speech(seconds: float = 1.0) -> np.ndarray:
    """Noise in syllables, four a second."""
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t)) * RNG.normal(size=len(t))


def test_perfect_speech_is_understood_and_noise_is_not() -> None:
    clean = speech()
    noise = RNG.normal(size=len(clean))
    found = [stoi(clean + level * noise, target=clean, rate_hz=RATE) for level in (0.0, 0.3, 3.0)]
    assert found[0] == pytest.approx(1.0, abs=1e-9)
    assert 1 > found[1] > found[2] > -1
    # a gain changes nothing
    assert stoi(7 * (clean + 0.3 * noise), target=clean, rate_hz=RATE) == pytest.approx(found[1], abs=1e-6)
    assert stoi(clean, target=clean, rate_hz=RATE, extended=True) == pytest.approx(1.0, abs=1e-6)


def test_too_little_speech_has_no_value() -> None:
    short, silent = speech(0.2), np.zeros(RATE)
    assert math.isnan(stoi(short, target=short, rate_hz=RATE))
    assert math.isnan(stoi(speech(), target=silent, rate_hz=RATE))


class FakePesqError(RuntimeError):
    """As the package has it."""


@pytest.fixture
def fake_pesq(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand-in for the package that must be compiled: notes its arguments, finds no speech in 3 samples."""
    seen: list[Any] = []

    def measure(rate_hz: int, clean: np.ndarray, degraded: np.ndarray, mode: str) -> float:
        seen.append((rate_hz, clean, degraded, mode))
        if len(clean) < 4:
            raise FakePesqError
        return 4.5

    module = ModuleType("pesq")
    module.pesq, module.PesqError = measure, FakePesqError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pesq", module)
    return seen


def test_pesq_is_called_with_clean_speech_first_and_the_band_of_the_rate(fake_pesq: list[Any]) -> None:
    clean, degraded = np.ones((5, 1), np.float32), np.zeros((5, 1), np.float32)
    assert pesq(degraded, target=clean, rate_hz=8000) == 4.5
    assert math.isnan(pesq(degraded[:3], target=clean[:3], rate_hz=16000))
    assert math.isnan(pesq(clean, target=degraded, rate_hz=16000))
    assert [(rate, mode) for rate, _, _, mode in fake_pesq] == [(8000, "nb"), (16000, "wb")]
    assert fake_pesq[0][1].tolist() == [1.0] * 5 and fake_pesq[0][2].tolist() == [0.0] * 5
    assert check_speech(16000) == ()
    assert set(speech_measures(speech(), target=speech(), rate_hz=RATE)) == {"stoi", "estoi", "pesq"}


def test_without_pesq_there_is_stoi_and_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    assert check_speech(8000) == (PESQ_HINT,)
    assert set(speech_measures(speech(), target=speech(), rate_hz=RATE)) == {"stoi", "estoi"}


def test_what_cannot_be_measured_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"8000 or 16000 Hz, this sound has 44100 Hz; resample it or leave"):
        check_speech(44100)
    monkeypatch.setitem(sys.modules, "pystoi", None)
    with pytest.raises(ConfigError, match=r"needs pystoi: pip install 'lrnn\[speech\]'"):
        check_speech(8000)
