"""The preview of an image fit: original | fit | error x 10, and the training curve."""

from typing import Any

import numpy as np

from lrnn_cli.pictures.figure import draw_training, encode_png, new_figure, set_title

LARGEST_SIDE = 768  # pixels; larger images are thinned, never smoothed, so that errors stay what they are
ERROR_GAIN = 10


def _shown(values: np.ndarray, lower: float, upper: float) -> np.ndarray:
    """Return colours in [0, 1] for (h, w, c) values: grey or RGB, without further channels such as alpha."""
    stride = max(1, -(-max(values.shape[:2]) // LARGEST_SIDE))
    thin = values[::stride, ::stride]
    colours = thin[..., :3] if thin.shape[-1] >= 3 else thin[..., 0]
    return np.clip((colours - lower) / (upper - lower), 0.0, 1.0)


def draw_fit(
    original: np.ndarray, fit: np.ndarray, *, title: str, history: list[dict[str, Any]], peak: float
) -> bytes:
    """Return the preview as PNG.

    Args:
        original: values as stored, (h, w, c).
        fit: the same from the network.
        title: a line with model and figures.
        history: training records.
        peak: range of the values; shown from the smallest value on when they leave [0, peak].
    """
    low, high = float(original.min()), float(original.max())
    lower = low if low < 0 or high > peak else 0.0
    height, width = original.shape[:2]
    aspect = min(max(height / width, 0.3), 3.0)
    figure = new_figure(15.0, 3.6 * aspect + 0.8 if aspect > 0.8 else 4.0)
    set_title(figure, title)
    panels = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.15])
    stride = max(1, -(-max(height, width) // LARGEST_SIDE))
    error = np.abs(fit[::stride, ::stride] - original[::stride, ::stride]) * ERROR_GAIN / peak
    for axes, name, shown in (
        (panels[0], "original", _shown(original, lower, lower + peak)),
        (panels[1], "fit", _shown(fit, lower, lower + peak)),
        (
            panels[2],
            f"|error| x {ERROR_GAIN}",
            np.clip(error[..., :3] if error.shape[-1] >= 3 else error[..., 0], 0, 1),
        ),
    ):
        axes.imshow(
            shown,
            cmap="gray",
            vmin=0,
            vmax=1,
            interpolation="nearest",
            aspect="equal" if aspect < 3 else "auto",
        )
        axes.set_title(name)
        axes.set_axis_off()
    draw_training(panels[3], history)
    return encode_png(figure)
