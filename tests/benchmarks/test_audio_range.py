"""The sounds of the range are what their names say, and the table shows what a run found."""

import numpy as np
import pytest

from benchmarks import audio_range
from benchmarks.audio_range import SOUNDS, markdown, measure, started


@pytest.mark.parametrize(
    ("name", "seconds", "rate_hz"),
    [
        ("0.1 s of speech at 8 kHz", 0.1, 8000),
        ("bach, 1 s at 44.1 kHz", 1.0, 44_100),
        ("all four, 60 s at 96 kHz", 60.0, 96_000),
    ],
)
def test_length_and_rate(name, seconds, rate_hz):
    samples, rate = SOUNDS[name][0]()
    assert (rate, len(samples)) == (rate_hz, round(seconds * rate_hz))
    assert np.isfinite(samples).all() and np.abs(samples).max() > 0.01


@pytest.mark.parametrize(
    ("mse", "fresh_starts", "expected"), [(0.04, 0, True), (0.06, 0, False), (0.04, 1, False)]
)
def test_started_is_below_half_of_the_variance_without_a_fresh_start(mse, fresh_starts, expected):
    assert started(mse, 0.1, fresh_starts) is expected


def test_the_tenth_of_a_second_is_the_loudest():
    part, rate = audio_range.tenth()
    whole, _ = audio_range.read(audio_range.CLIPS[3], rate)
    loudest = max(np.square(whole[k : k + len(part)]).sum() for k in range(0, len(whole) - len(part), 40))
    assert np.square(part).sum() >= loudest


def test_a_fit_that_follows_the_sound_has_started():
    name = "0.1 s of speech at 8 kHz"
    begun = measure(name, 0, 40)
    assert begun["started"] and begun["mse"] < 0.5 * begun["variance"]
    assert begun["samples"] == 800 and begun["omega_first"] == pytest.approx(150, abs=1)
    line = markdown([begun, {**begun, "seed": 1, "started": False}]).splitlines()[-1]
    assert line.startswith(f"| {name} | 800 | {begun['n_params']:,} | 150 |")
    assert line.endswith("| 1 of 2 |")
