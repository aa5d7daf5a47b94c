"""The preview of a CT run: truth and methods on one grey scale, their errors on another, the residual."""

from __future__ import annotations

import numpy as np

from lrnn_cli.pictures.figure import encode_png, new_figure, set_title

LARGEST_SIDE = 512  # pixels; larger slices are thinned
ERROR_GAIN = 5  # the errors' scale ends at data range / gain


def draw_reconstructions(
    images: dict[str, np.ndarray],
    truth: np.ndarray | None,
    residual: np.ndarray,
    *,
    labels: dict[str, str],
    title: str,
    peak: float,
    units: str,
    span: float,
) -> bytes:
    """Draw a run.

    Args:
        images: u by method, (n, n), the first method first.
        truth: u, where known.
        residual: A x - p of the first method, (views, bins).
        labels: a line of figures per method.
        title: a line above all.
        peak: u that is shown white.
        units: of the values.
        span: units per u, for the colour bar of the errors.

    Returns:
        The picture as PNG.
    """
    stride = max(1, -(-max(next(iter(images.values())).shape) // LARGEST_SIDE))
    n_columns = len(images) + 1
    n_rows = 2 if truth is not None else 1
    figure = new_figure(2.9 * n_columns, 3.15 * n_rows + 0.5)
    set_title(figure, title)
    panels = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    columns = list(enumerate(images.items()))
    if truth is not None:
        _grey(panels[0, 0], truth[::stride, ::stride], "truth", peak)
        columns = [(k + 1, item) for k, item in columns]
    for k, (name, u) in columns:
        _grey(panels[0, k], u[::stride, ::stride], f"{name}\n{labels[name]}", peak)
        if truth is not None:
            error = (u - truth)[::stride, ::stride]
            limit = peak / ERROR_GAIN
            shown = panels[1, k].imshow(error, cmap="gray", vmin=-limit, vmax=limit, interpolation="nearest")
            panels[1, k].set_title(f"{name} - truth")
            if k == columns[-1][0]:
                bar = figure.colorbar(shown, ax=panels[1, :], location="right", shrink=0.8, aspect=30)
                ticks = np.linspace(-limit, limit, 5)
                bar.set_ticks(list(ticks), labels=[f"{tick * span:.3g}" for tick in ticks])
                bar.set_label(f"error, {units}")
    axes = panels[1, 0] if truth is not None else panels[0, -1]
    largest = float(np.percentile(np.abs(residual), 99.5)) or 1.0
    axes.imshow(residual, cmap="gray", vmin=-largest, vmax=largest, aspect="auto", interpolation="nearest")
    axes.set_title(f"{next(iter(images))}: sinogram residual\nviews down, bins across")
    return encode_png(figure)


def _grey(axes: object, u: np.ndarray, title: str, peak: float) -> None:
    axes.imshow(u, cmap="gray", vmin=0, vmax=peak, interpolation="nearest")  # type: ignore[attr-defined]
    axes.set_title(title)  # type: ignore[attr-defined]
