"""Distances of spectra: closed forms, an obvious second way to compute them, and the edge cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.numerics.audio_metrics import (
    LSD_FRAME,
    RESOLUTIONS,
    WHOLE_SPECTRUM,
    centroid,
    energy_quantile,
    lsd,
    mrstft,
    occupied_part,
    power_of_unit_sine,
    power_spectrum,
)

RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=5000)


def slow_stft(x, n_fft, width, hop):
    """Frame by frame, with the definition of the Fourier sum."""
    n_frames = 1 + max(0, math.ceil((len(x) - width) / hop))
    x = np.concatenate([x, np.zeros(n_frames * hop + width)])
    k = np.arange(n_fft // 2 + 1)[:, None]
    wave = np.exp(-2j * np.pi * k * np.arange(width) / n_fft)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(width) + 0.5) / width)
    return np.abs([wave @ (x[i * hop : i * hop + width] * window) for i in range(n_frames)])


def test_lsd_is_its_definition():
    x = NOISE + 0.3 * np.roll(NOISE, 7)
    a, b = (slow_stft(s, LSD_FRAME, LSD_FRAME, 512) for s in (x, NOISE))
    db = 20 * np.log10(np.maximum(a, 1e-5 * b.max()) / np.maximum(b, 1e-5 * b.max()))
    expected = np.sqrt((db**2).mean(1)).mean()
    assert lsd(x, target=NOISE) == pytest.approx(expected, rel=1e-9)


def test_mrstft_is_its_definition():
    x = NOISE[:2000] + 0.3 * np.roll(NOISE[:2000], 7)
    expected = []
    for n_fft, width, hop in RESOLUTIONS:
        a, b = (slow_stft(s, n_fft, width, hop) for s in (x, NOISE[:2000]))
        floor = 1e-5 * b.max()
        log = np.abs(np.log(np.maximum(a, floor) / np.maximum(b, floor))).mean()
        expected.append(np.linalg.norm(a - b) / np.linalg.norm(b) + log)
    assert mrstft(x, target=NOISE[:2000]) == pytest.approx(np.mean(expected), rel=1e-9)


@given(st.floats(0.1, 100), st.integers(1, 3000))
def test_a_gain_shifts_both_by_its_logarithm(gain, n):
    y = np.random.default_rng(n).normal(size=n) + 0.1
    assert lsd(gain * y, target=y) == pytest.approx(abs(20 * math.log10(gain)), abs=1.0)
    assert mrstft(gain * y, target=y) == pytest.approx(
        abs(gain - 1) + abs(math.log(gain)), rel=0.05, abs=1e-9
    )
    assert lsd(y, target=y) == mrstft(y, target=y) == 0


def test_channels_are_averaged():
    x, y = RNG.normal(size=(2, 700, 3))
    for distance in (lsd, mrstft):
        each = [distance(x[:, c], target=y[:, c]) for c in range(3)]
        assert distance(x, target=y) == pytest.approx(np.mean(each), rel=1e-12)


def test_silence_constants_and_nan():
    zero, one = np.zeros(100), np.ones(100)
    for distance in (lsd, mrstft):
        assert distance(zero, target=zero) == 0
        assert distance(one, target=zero) == math.inf
        assert 0 < distance(zero, target=one) < math.inf
        assert distance(one, target=one) == 0
        assert math.isnan(distance(one * math.nan, target=one))


def test_long_sounds_go_in_blocks():
    """More frames than are worked on at once give what the parts give."""
    y = np.tile(RNG.normal(size=51200), 6)
    x = y + 0.01 * np.tile(RNG.normal(size=51200), 6)
    assert lsd(x, target=y) == pytest.approx(lsd(x[:51200], target=y[:51200]), rel=0.05)


@given(st.integers(1, 99), st.sampled_from([100, 101, 8000]))
def test_the_spectrum_of_a_tone_is_at_its_frequency(cycles, n):
    t = np.arange(n) / n
    frequencies, power = power_spectrum(np.sin(2 * np.pi * (cycles % (n // 2 - 1) + 1) * t)[:, None], n)
    assert energy_quantile(frequencies, power, 0.99) == pytest.approx(cycles % (n // 2 - 1) + 1)
    assert centroid(frequencies, power) == pytest.approx(cycles % (n // 2 - 1) + 1)
    assert frequencies[0] == 0 and len(frequencies) == len(power) == n // 2 + 1


def test_quantiles_and_centroid_of_two_tones():
    t = np.arange(1000) / 1000
    x = 3 * np.sin(2 * np.pi * 100 * t) + np.sin(2 * np.pi * 300 * t) + 5.0
    frequencies, power = power_spectrum(np.stack([x, np.zeros(1000)], 1), 1000)
    assert energy_quantile(frequencies, power, 0.89) == 100
    assert energy_quantile(frequencies, power, 0.91) == 300
    assert centroid(frequencies, power) == pytest.approx(100 * 0.9 + 300 * 0.1)


def test_how_much_of_the_spectrum_is_occupied():
    t = np.arange(1000) / 1000
    tone = power_spectrum(np.sin(2 * np.pi * 100 * t)[:, None], 1000)[1]
    assert occupied_part(tone, 0.99) == pytest.approx(1 / 501)
    # powers of white noise are exponential: those above x hold the part (1 + x) exp(-x) of the energy
    noise = power_spectrum(RNG.normal(size=(20000, 1)), 1000)[1]
    assert occupied_part(noise, 2 / math.e) == pytest.approx(1 / math.e, abs=0.02)
    assert occupied_part(np.zeros(9), 0.99) == 0 and occupied_part(np.ones(9), 1.0) == 1


def test_no_energy():
    for level in (0.0, 0.1):
        frequencies, power = power_spectrum(np.full((77, 2), level, np.float32), 8000)
        assert (
            not power.any() and energy_quantile(frequencies, power, 0.5) == centroid(frequencies, power) == 0
        )


def test_very_long_sounds_use_averages():
    t = np.arange(WHOLE_SPECTRUM + 1) / 8000
    frequencies, power = power_spectrum(np.sin(2 * np.pi * 1000 * t)[:, None].astype(np.float32), 8000)
    assert len(power) == 2**15 + 1
    assert energy_quantile(frequencies, power, 0.5) == pytest.approx(1000, abs=0.2)


@pytest.mark.parametrize("n", [4000, 2**22 + 2**15])
def test_the_power_of_a_sine_of_amplitude_one_is_known_for_short_and_long_sounds(n):
    sine = np.sin(2 * np.pi * 1000 * np.arange(n) / 8000)
    assert power_spectrum(sine[:, None], 8000)[1].sum() == pytest.approx(power_of_unit_sine(n), rel=1e-4)
