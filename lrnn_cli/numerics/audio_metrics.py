"""Distances between spectra of sounds, and what one spectrum says about a sound: where its energy lies.

All arithmetic is float64 and works in blocks of frames. Logarithms need a floor: amplitudes are raised to
10⁻⁵ (-100 dB) of the largest amplitude in the target's spectra, in target and prediction alike, and nowhere
else. A silent target has a distance of 0 from silence and of +inf from everything else; NaN in a signal
gives NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from lrnn_cli.numerics.metrics import _checked

FLOOR = 1e-5  # of the largest amplitude of the target: -100 dB
LSD_FRAME, LSD_HOP = 2048, 512
RESOLUTIONS = ((512, 240, 50), (1024, 600, 120), (2048, 1200, 240))  # transform, window, hop
FRAMES_AT_ONCE = 512
WHOLE_SPECTRUM = 2**22  # samples up to which the spectrum of a sound is one transform
WELCH_FRAME = 2**16

Distance = Callable[[np.ndarray, np.ndarray], float]


def lsd(prediction: np.ndarray, *, target: np.ndarray) -> float:
    """Log-spectral distance, mean over frames of sqrt(mean over bins of (20 log10(|X| / |Y|))²), in dB.

    Hann windows of 2048 samples, 512 apart; shorter sounds and the last frame are filled up with zeros.

    Source: A. H. Gray, J. D. Markel, Distance measures for speech processing, IEEE Trans. ASSP 24(5), 1976.

    Args:
        prediction: x, (n,) or (n, c); the result is the mean over channels.
        target: y, the same shape.

    Returns:
        The distance in dB; 0 if identical.
    """
    return _mean_over_channels(_lsd_channel, prediction, target)


def mrstft(prediction: np.ndarray, *, target: np.ndarray) -> float:
    """Multi-resolution STFT distance, mean over three resolutions of spectral convergence + log distance.

        sqrt(Σ (|X| - |Y|)² / Σ |Y|²) + mean |ln |X| - ln |Y||

    with Hann windows of 240, 600, 1200 samples, 50, 120, 240 apart, in transforms of 512, 1024, 2048.

    Source: R. Yamamoto, E. Song, J.-M. Kim, Parallel WaveGAN, ICASSP 2020, eq. 4-6.

    Args:
        prediction: x, (n,) or (n, c); the result is the mean over channels.
        target: y, the same shape.

    Returns:
        The distance, no unit; 0 if identical.
    """
    return _mean_over_channels(_mrstft_channel, prediction, target)


def power_spectrum(
    values: np.ndarray, sample_rate: float, *, tapered: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Power over frequency, summed over channels, with the mean of each channel removed.

    Up to 2²² samples |rfft|² of the whole, with a resolution of 1 / duration; beyond, the sum over Hann
    windows of 2¹⁶ samples that overlap by half (P. D. Welch, IEEE Trans. Audio 15(2), 1967).

    Args:
        values: (n, c).
        sample_rate: in Hz.
        tapered: lay a Hann window over the whole, too: the jump from its end to its beginning then makes no
            tones of all frequencies.

    Returns:
        Frequencies in Hz and powers, both float64 (k,), from 0 to half the sample rate; all powers are 0 for
        silence and constants.
    """
    n = len(values)
    frame = n if n <= WHOLE_SPECTRUM else WELCH_FRAME
    window = np.ones(n) if frame == n and not tapered else _hann(frame)
    power = np.zeros(frame // 2 + 1)
    for channel in np.moveaxis(np.asarray(values), -1, 0):
        mean = float(channel.mean(dtype=np.float64))
        if float(np.ptp(channel)) == 0:  # rounding of the mean would be taken for sound
            continue
        for start in range(0, n - frame + 1, max(1, frame // 2)):
            piece = (channel[start : start + frame].astype(np.float64) - mean) * window
            power += np.square(np.abs(np.fft.rfft(piece)))
    return np.fft.rfftfreq(frame, 1.0 / sample_rate), power


def power_of_unit_sine(n: int) -> float:
    """Return what the powers of `power_spectrum` add up to for n samples of a sine of amplitude 1.

    A window w of length L holds L Σ w² / 4 of it, L and w and the number of windows as there.
    """
    if n <= WHOLE_SPECTRUM:
        return n * n / 4
    n_windows = (n - WELCH_FRAME) // (WELCH_FRAME // 2) + 1
    return n_windows * WELCH_FRAME * float(np.square(_hann(WELCH_FRAME)).sum()) / 4


def energy_quantile(frequencies: np.ndarray, power: np.ndarray, part: float) -> float:
    """Frequency below which a part of the energy lies; part 0.99 is the 99 % energy point.

    Args:
        frequencies: in Hz, ascending, (k,).
        power: of `power_spectrum`, (k,).
        part: in [0, 1].

    Returns:
        The frequency in Hz, one of those given; 0 where there is no energy.
    """
    total = np.cumsum(power)
    if total[-1] <= 0:
        return 0.0
    return float(frequencies[min(int(np.searchsorted(total, part * total[-1])), len(total) - 1)])


def occupied_part(power: np.ndarray, part: float) -> float:
    """Smallest part of the frequencies that holds a part of the energy.

    It is near 0 for a tone and near 1 for white noise.

    Args:
        power: of `power_spectrum`, (k,).
        part: of the energy, in [0, 1].

    Returns:
        A number in [0, 1], no unit; 0 where there is no energy.
    """
    largest_first = np.cumsum(np.sort(power)[::-1])
    if largest_first[-1] <= 0:
        return 0.0
    count = 1 + int(np.searchsorted(largest_first, part * largest_first[-1]))
    return min(count, len(power)) / len(power)


def centroid(frequencies: np.ndarray, power: np.ndarray) -> float:
    """Mean frequency weighted by power, Σ f P / Σ P, in Hz; 0 where there is no energy.

    Args:
        frequencies: in Hz, (k,).
        power: of `power_spectrum`, (k,).

    Returns:
        The mean frequency in Hz.
    """
    total = float(power.sum())
    return float((frequencies * power).sum() / total) if total > 0 else 0.0


def _hann(width: int) -> np.ndarray:
    """Hann window at cell centres, sin²(π (i + 1/2) / width): nowhere 0, so that every sample counts."""
    return np.square(np.sin(np.pi * (np.arange(width) + 0.5) / width))


@np.errstate(invalid="ignore", over="ignore")
def _mean_over_channels(distance: Distance, prediction: np.ndarray, target: np.ndarray) -> float:
    x, y = (array.reshape(len(array), -1) for array in _checked(prediction, target))
    each = [distance(x[:, c], y[:, c]) for c in range(x.shape[1])]
    return sum(each) / len(each)


def stft_amplitudes(x: np.ndarray, n_fft: int, width: int, hop: int) -> Iterator[np.ndarray]:
    """Amplitudes of the short-time Fourier transform of a channel, block by block.

    Args:
        x: (n,); its end is filled up with zeros to a whole frame.
        n_fft: samples per transform; windows are filled up with zeros to it.
        width: samples per Hann window.
        hop: samples from one window to the next.

    Yields:
        |STFT| of at most `FRAMES_AT_ONCE` frames, (frames, n_fft / 2 + 1).
    """
    window = _hann(width)
    n_frames = 1 + max(0, -(-(len(x) - width) // hop))
    for first in range(0, n_frames, FRAMES_AT_ONCE):
        count = min(FRAMES_AT_ONCE, n_frames - first)
        at = ((first + np.arange(count)) * hop)[:, None] + np.arange(width)
        frames = np.where(at < len(x), x[np.minimum(at, len(x) - 1)], 0.0)
        yield np.abs(np.fft.rfft(frames * window, n_fft))


def _silent_case(x: np.ndarray, y: np.ndarray) -> float | None:
    """The distance where the target has no spectrum."""
    if np.isnan(x).any() or np.isnan(y).any():
        return math.nan
    if not y.any():
        return math.inf if x.any() else 0.0
    return None


def _lsd_channel(x: np.ndarray, y: np.ndarray) -> float:
    if (known := _silent_case(x, y)) is not None:
        return known
    setting = (LSD_FRAME, LSD_FRAME, LSD_HOP)
    floor = FLOOR * max(float(a.max()) for a in stft_amplitudes(y, *setting))
    total, n_frames = 0.0, 0
    for a, b in zip(stft_amplitudes(x, *setting), stft_amplitudes(y, *setting), strict=True):
        db = 20.0 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))
        total += float(np.sqrt(np.square(db).mean(axis=1)).sum())
        n_frames += len(db)
    return total / n_frames


def _mrstft_channel(x: np.ndarray, y: np.ndarray) -> float:
    if (known := _silent_case(x, y)) is not None:
        return known
    result = 0.0
    for setting in RESOLUTIONS:
        floor = FLOOR * max(float(a.max()) for a in stft_amplitudes(y, *setting))
        difference = energy = logs = 0.0
        n_values = 0
        for a, b in zip(stft_amplitudes(x, *setting), stft_amplitudes(y, *setting), strict=True):
            difference += float(np.square(a - b).sum())
            energy += float(np.square(b).sum())
            logs += float(np.abs(np.log(np.maximum(a, floor) / np.maximum(b, floor))).sum())
            n_values += a.size
        result += math.sqrt(difference / energy) + logs / n_values
    return result / len(RESOLUTIONS)
