"""`render` for sounds: a fitted sound played again, the whole or a part, at any rate and speed.

The network is a function of continuous time. A rate below that of the file would fold high tones down, so
the network is then evaluated at a multiple of the rate and low-passed. A rate above it adds no detail: what
lies beyond the original Nyquist frequency is the network's own guess, and its energy is measured and
reported, up to half the new rate: what the network makes beyond folds down unseen. Values at a higher rate
are those of the function itself, since a filter would make errors larger than those of a good fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lrnn_cli.errors import CheckpointError, ConfigError
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.predict import predict
from lrnn_cli.numerics.audio_metrics import power_spectrum
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.signals.audio_source import HIGHEST_RATE_HZ
from lrnn_cli.signals.audio_write import check_subtype, coding_for_suffix, output_format

MAX_SAMPLES = 2**30
FILTER_SAMPLES = 16  # of the result, that the filter reaches to either side


@dataclass(frozen=True)
class Extract:
    """What is played: `grid` times, `factor` of them for each sample written at `rate_hz`."""

    n_samples: int
    rate_hz: int
    start_s: float
    duration_s: float
    speed: float
    factor: int
    grid: Grid
    original_rate_hz: int
    gain: float

    @property
    def nyquist_hz(self) -> float:
        """Return where the tones of the original end, after the change of speed."""
        return self.original_rate_hz / 2 * self.speed


def make_extract(
    fitted: Fitted,
    *,
    rate_hz: int | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
    speed: float = 1.0,
) -> Extract:
    """Lay sample times over the original or a part of it.

    With n samples at f Hz in the original, T = n / f, the moment s is the time 2 s / T - 1 of the network.

    Args:
        fitted: the fit of a sound.
        rate_hz: of the result; that of the original by default.
        start_s: first moment, in seconds of what was fitted.
        duration_s: how much of it; to the end by default.
        speed: 2 plays it in half the time an octave higher, as a tape does.

    Returns:
        The extract; without options the very times of the fit.

    Raises:
        CheckpointError: when the checkpoint does not describe a sound.
        ConfigError: when the part is empty or outside, or a number is out of range.
    """
    try:
        original_hz, gain = int(fitted.signal["sample_rate"]), float(fitted.signal["gain"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint does not describe its sound ({error!r})") from error
    if fitted.kind != "audio" or len(fitted.shape) != 1 or original_hz < 1 or not 0 < gain < math.inf:
        raise CheckpointError(f"no sound in the checkpoint: {fitted.kind} at {original_hz} Hz, gain {gain:g}")
    rate_hz = original_hz if rate_hz is None else rate_hz
    if not 1 <= rate_hz <= HIGHEST_RATE_HZ:
        raise ConfigError(f"rate: expected 1 to {HIGHEST_RATE_HZ} Hz, got {rate_hz}")
    if not 1e-3 <= speed <= 1e3:
        raise ConfigError(f"speed: expected 0.001 to 1000, got {speed:g}")
    total_s = fitted.shape[0] / original_hz
    duration_s = total_s - start_s if duration_s is None else duration_s
    if not (0 <= start_s < total_s and 0 < duration_s <= total_s - start_s + 0.5 / original_hz):
        raise ConfigError(f"start and duration: expected a part of the {total_s:.6g} s that were fitted")
    n_samples = round(duration_s / speed * rate_hz)
    factor = max(1, math.ceil(original_hz * speed / rate_hz - 1e-9))
    if not 1 <= n_samples or n_samples * factor * fitted.n_outputs > MAX_SAMPLES:
        raise ConfigError(f"{duration_s:g} s at {rate_hz} Hz are {n_samples} samples: too few or too many")
    lower = 2 * start_s / total_s - 1
    upper = lower + 2 * n_samples * speed / rate_hz / total_s
    if rate_hz == original_hz and speed == 1 and start_s == 0 and n_samples == fitted.shape[0]:
        lower, upper = -1.0, 1.0
    grid = Grid((n_samples * factor,), (lower,), (upper,))
    return Extract(n_samples, rate_hz, start_s, duration_s, speed, factor, grid, original_hz, gain)


def play(fitted: Fitted, extract: Extract, runner: BlockRunner) -> np.ndarray:
    """Evaluate the fit at the times of an extract.

    Args:
        fitted: the fit.
        extract: when.
        runner: blocks and threads.

    Returns:
        Values at peak 1 of the original, float32 (n, c).
    """
    if extract.factor == 1:
        return predict(fitted, extract.grid, runner).numpy()
    lower, upper, n, factor = extract.grid.lower[0], extract.grid.upper[0], extract.n_samples, extract.factor
    step = (upper - lower) / n
    # what the filter needs beyond a part, as far as the fit goes
    before = min(FILTER_SAMPLES, math.floor((lower + 1) / step + 1e-9))
    after = max(0, min(FILTER_SAMPLES, math.floor((1 - upper) / step + 1e-9)))
    wider = Grid(((before + n + after) * factor,), (lower - before * step,), (upper + after * step,))
    return decimate(predict(fitted, wider, runner).numpy(), factor)[before : before + n]


def decimate(values: np.ndarray, factor: int) -> np.ndarray:
    """Low-pass and thin out; a result lies in the middle of the values that it stands for.

    A Hamming-windowed FIR filter of 32 k or 32 k + 1 taps with its edge at 0.9 of the new Nyquist frequency;
    beyond the ends the outer values are repeated.

    Args:
        values: (k n, c).
        factor: k.

    Returns:
        float32 (n, c).
    """
    from scipy.signal import firwin, upfirdn

    n_taps = 2 * FILTER_SAMPLES * factor + factor % 2  # as odd or even as k: centred on the k values
    taps = firwin(n_taps, 0.9 / factor)
    margin = (n_taps - factor) // 2
    lead = -(n_taps - 1) % factor  # so that the first complete window ends at a multiple of k
    padded = np.pad(values, ((margin, margin), (0, 0)), mode="edge")
    padded = np.pad(padded, ((lead, 0), (0, 0)))
    first = (lead + n_taps - 1) // factor
    return np.asarray(
        upfirdn(taps, padded, down=factor, axis=0)[first : first + len(values) // factor], np.float32
    )


def guessed_db(values: np.ndarray, extract: Extract) -> float | None:
    """Return the energy beyond the original's Nyquist frequency, in dB of all energy.

    Args:
        values: what was played, (n, c).
        extract: how.

    Returns:
        The ratio in dB; None where there is none.
    """
    if extract.rate_hz / 2 <= extract.nyquist_hz * (1 + 1e-9):
        return None
    frequencies, power = power_spectrum(values, extract.rate_hz, tapered=True)
    total, beyond = float(power.sum()), float(power[frequencies > extract.nyquist_hz].sum())
    return 10 * math.log10(beyond / total) if beyond > 0 else None


def choose_coding(
    fitted: Fitted, extract: Extract, suffix: str | None, subtype: str | None
) -> tuple[str, str]:
    """Return container and subtype of the file: those of the input where the suffix and the rate allow.

    Args:
        fitted: the fit.
        extract: what is played, for its rate.
        suffix: of the file's name, None for stdout and for a name of our own.
        subtype: asked for; None for the input's.

    Returns:
        Container and subtype.
    """
    fmt = {**fitted.signal, "sample_rate": extract.rate_hz, "channels": fitted.n_outputs}
    asked = check_subtype(subtype) if subtype else None
    return output_format(fmt, asked) if suffix is None else coding_for_suffix(suffix, fmt, asked)


def default_name(extract: Extract, suffix: str) -> str:
    """Return the name of the file when none is given: rate, part and speed tell renderings apart."""
    part = (
        f"-{extract.start_s:g}s+{extract.duration_s:g}s"
        if extract.grid.upper[0] - extract.grid.lower[0] < 1.999
        else ""
    )
    speed = f"-x{extract.speed:g}" if extract.speed != 1 else ""
    return f"render-{extract.rate_hz}Hz{part}{speed}{suffix}"
