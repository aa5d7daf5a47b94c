"""The preview of a sound fit: waveforms, error in time and frequency, spectrograms and the training curve."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lrnn_cli.numerics.audio_metrics import power_of_unit_sine, power_spectrum, stft_amplitudes
from lrnn_cli.pictures.figure import draw_training, encode_png, new_figure, set_title

ORIGINAL, FIT, ERROR = "#9a9a9a", "#20639b", "#d1495b"
COLUMNS = 900  # of a waveform shown; longer ones are drawn as the range of values in each column
BANDS = 300  # of a spectrum shown, logarithmic
FRAMES = 500  # of a spectrogram shown at most
FRAME_S = 0.023  # of a spectrogram's window
DETAIL_S = 0.02  # around the loudest place
RANGE_DB = 100.0  # shown below the loudest
FLOOR = 1e-12  # of power, below everything shown


def draw_sound(
    original: np.ndarray,
    fit: np.ndarray,
    *,
    sample_rate: int,
    start_s: float,
    title: str,
    history: list[dict[str, Any]],
) -> bytes:
    """Return the preview as PNG; of several channels the one with the largest error is shown, and named.

    Args:
        original: values at peak 1, (n, c).
        fit: the same from the network.
        sample_rate: in Hz.
        start_s: time of the first sample in the file.
        title: a line with model and figures.
        history: training records.
    """
    channel = int(np.argmax([np.square(original[:, c] - fit[:, c]).mean() for c in range(original.shape[1])]))
    x, y = original[:, channel].astype(np.float64), fit[:, channel].astype(np.float64)
    figure = new_figure(15.0, 9.5)
    shown = (
        f", channel {channel + 1} of {original.shape[1]}, the least exact" if original.shape[1] > 1 else ""
    )
    set_title(figure, title + shown)
    panels = figure.subplots(3, 3, height_ratios=[1, 1, 1.25])
    _draw_waveforms(panels[0, 0], x, y, sample_rate, start_s)
    _draw_detail(panels[0, 1], x, y, sample_rate, start_s)
    draw_training(panels[0, 2], history)
    _draw_error(panels[1, 0], x, y, sample_rate, start_s)
    _draw_spectra(panels[1, 1], x, y, sample_rate)
    _draw_error_histogram(panels[1, 2], x, y)
    _draw_spectrograms(list(panels[2]), x, y, sample_rate, start_s)
    return encode_png(figure)


def _columns(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places in samples, and the smallest and largest value of each column."""
    stride = max(1, -(-len(x) // COLUMNS))
    starts = np.arange(0, len(x), stride)
    return starts + (stride - 1) / 2, np.minimum.reduceat(x, starts), np.maximum.reduceat(x, starts)


def _draw_waveforms(axes: Axes, x: np.ndarray, y: np.ndarray, rate: int, start_s: float) -> None:
    for values, colour, name, alpha in ((x, ORIGINAL, "original", 1.0), (y, FIT, "fit", 0.55)):
        at, low, high = _columns(values)
        axes.fill_between(
            start_s + at / rate, low, high, color=colour, alpha=alpha, linewidth=0.3, label=name
        )
    axes.set(title="waveform", xlabel="seconds", ylabel="amplitude at peak 1")
    axes.legend(frameon=False, loc="upper right")
    axes.margins(x=0)


def _draw_detail(axes: Axes, x: np.ndarray, y: np.ndarray, rate: int, start_s: float) -> None:
    """Draw the surroundings of the largest amplitude, sample by sample."""
    half = max(2, round(DETAIL_S * rate / 2))
    centre = int(np.argmax(np.abs(x)))
    first = max(0, min(centre - half, len(x) - 2 * half))
    part = slice(first, first + 2 * half)
    t = 1000 * np.arange(part.stop - part.start)[: len(x) - first] / rate
    axes.plot(t, x[part], color=ORIGINAL, linewidth=2.5, label="original")
    axes.plot(t, y[part], color=FIT, linewidth=0.9, label="fit")
    axes.plot(t, y[part] - x[part], color=ERROR, linewidth=0.7, label="error")
    place = f"milliseconds from {start_s + first / rate:.4f} s on"
    axes.set(title=f"detail: {1000 * len(t) / rate:.3g} ms around the loudest place", xlabel=place)
    axes.legend(frameon=False, loc="upper right")
    axes.margins(x=0)


def _draw_error(axes: Axes, x: np.ndarray, y: np.ndarray, rate: int, start_s: float) -> None:
    at, _, high = _columns(np.abs(x - y))
    axes.fill_between(start_s + at / rate, np.maximum(high, 1e-9), 1e-9, color=ERROR, linewidth=0)
    axes.set_yscale("log")
    axes.set_ylim(max(1e-9, high.min() / 3, high.max() / 1e5), max(2 * high.max(), 1e-8))
    axes.set(title="largest |error| in time", xlabel="seconds", ylabel="amplitude at peak 1")
    axes.margins(x=0)


def _bands(x: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return centres in Hz of logarithmic bands and their energy in dB, relative to a sine of peak 1."""
    frequencies, power = power_spectrum(x[:, None], rate)
    lowest = max(frequencies[1], 10.0 if rate > 100 else 0.0) if len(frequencies) > 1 else 1.0
    edges = np.geomspace(lowest, max(rate / 2, 2 * lowest), BANDS + 1)
    sums, _ = np.histogram(frequencies, edges, weights=power)
    counts, _ = np.histogram(frequencies, edges)
    held = counts > 0
    energy = sums[held] / power_of_unit_sine(len(x))
    return np.sqrt(edges[:-1] * edges[1:])[held], 10 * np.log10(np.maximum(energy, FLOOR))


def _draw_spectra(axes: Axes, x: np.ndarray, y: np.ndarray, rate: int) -> None:
    top = -np.inf
    for values, colour, name, width in (
        (x, ORIGINAL, "original", 2.0), (y, FIT, "fit", 0.9), (x - y, ERROR, "error", 0.9),
    ):  # fmt: skip
        at, db = _bands(values, rate)
        axes.plot(at, db, color=colour, linewidth=width, label=name)
        top = max(top, float(db.max(initial=-120.0)))
    axes.set_xscale("log")
    axes.set_ylim(top - RANGE_DB - 10, top + 5)
    axes.set(title="spectrum: energy in narrow bands", xlabel="Hz", ylabel="dB of a sine of peak 1")
    axes.legend(frameon=False, loc="lower left")
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.margins(x=0)


def _draw_error_histogram(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Draw how errors are distributed: a tail of large ones is heard as clicks."""
    error = np.abs(x - y)
    edges = np.geomspace(max(1e-9, error.max() / 1e4), max(error.max(), 1e-8) * 1.05, 80)
    axes.hist(np.maximum(error, edges[0]), bins=edges, color=ERROR)  # type: ignore[arg-type]
    axes.set_xscale("log")
    axes.set(title="distribution of |error|", xlabel="amplitude at peak 1", ylabel="samples")
    axes.axvline(
        max(float(np.sqrt(np.square(error).mean())), edges[0]), color="black", linewidth=0.8, label="rms"
    )
    axes.legend(frameon=False, loc="upper left")


def _spectrogram(x: np.ndarray, rate: int) -> np.ndarray:
    """Return the power in dB of a Hann spectrogram, (bins, frames), relative to a sine of peak 1."""
    width = 2 ** max(4, min(14, round(np.log2(max(16.0, FRAME_S * rate)))))
    hop = max(width // 4, -(-len(x) // FRAMES))
    amplitude = np.concatenate(list(stft_amplitudes(x, width, width, hop))) * 4 / width
    return 20 * np.log10(np.maximum(amplitude, FLOOR)).T


def _draw_spectrograms(panels: list[Axes], x: np.ndarray, y: np.ndarray, rate: int, start_s: float) -> None:
    pictures = [_spectrogram(values, rate) for values in (x, y, x - y)]
    top = float(pictures[0].max()) if x.any() else 0.0
    extent = (start_s, start_s + len(x) / rate, 0.0, rate / 2000)
    for axes, name, picture in zip(panels, ("original", "fit", "error"), pictures, strict=True):
        image = axes.imshow(
            picture, origin="lower", aspect="auto", extent=extent, interpolation="nearest",
            cmap="magma", vmin=top - RANGE_DB, vmax=top,
        )  # fmt: skip
        axes.set(title=f"spectrogram: {name}", xlabel="seconds", ylabel="kHz")
    panels[-1].figure.colorbar(image, ax=panels, label="dB", pad=0.01, fraction=0.02)
