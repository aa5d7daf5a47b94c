"""The preview of an unsteady problem: space-time in one dimension of space, a few times in two."""

from collections.abc import Sequence

import numpy as np

from lrnn_cli.pictures.field import log_error
from lrnn_cli.pictures.field_figures import draw_image
from lrnn_cli.pictures.figure import encode_png, new_figure, set_title

N_CURVES = 5
N_TIMES = 4


def draw_unsteady(
    axes: Sequence[np.ndarray],
    u: np.ndarray,
    truth: np.ndarray | None,
    residual: np.ndarray,
    *,
    truth_name: str,
    title: str,
) -> bytes:
    """Return the preview as PNG.

    In one dimension of space: u over t and x, u over x at a few times with what it is compared with as
    dots, error, residual. In two: a row u | exact | error | residual for each of a few times.

    Args:
        axes: nodes of t, then of space.
        u: solution (n_t, n_x) or (n_t, n_x, n_y).
        truth: what to compare with, the same shape, or None.
        residual: of the equation, the same shape.
        truth_name: what to call it.
        title: a line with the figures.
    """
    draw = _draw_line if len(axes) == 2 else _draw_plane
    return draw(axes, u, truth, residual, truth_name, title)


def _draw_line(
    axes: Sequence[np.ndarray],
    u: np.ndarray,
    truth: np.ndarray | None,
    residual: np.ndarray,
    truth_name: str,
    title: str,
) -> bytes:
    figure = new_figure(15.0, 4.2, arranged=False)
    set_title(figure, title)
    figure.subplots_adjust(left=0.04, right=0.985, bottom=0.13, top=0.84, wspace=0.22)
    first, curves, error, rest = figure.subplots(1, 4)
    draw_image(figure, first, axes, "u", u, "viridis", names="tx")
    for k in _few(len(axes[0]), N_CURVES):
        colour = f"C{len(curves.get_lines())}" if truth is None else f"C{len(curves.get_lines()) // 2}"
        curves.plot(axes[1], u[k], color=colour, linewidth=1.2, label=f"t = {axes[0][k]:.3g}")
        if truth is not None:
            step = max(1, len(axes[1]) // 25)
            curves.plot(axes[1][::step], truth[k][::step], ".", color=colour, markersize=4)
    curves.set_title("u" if truth is None else f"u; {truth_name} dotted")
    curves.set_xlabel("x")
    curves.legend(fontsize=8)
    curves.grid(alpha=0.3, linewidth=0.5)
    name = f"log10 |u - {truth_name}|"
    draw_image(figure, error, axes, name, log_error(u, truth), "magma", names="tx")
    draw_image(figure, rest, axes, "residual", residual, "coolwarm", names="tx")
    return encode_png(figure)


def _draw_plane(
    axes: Sequence[np.ndarray],
    u: np.ndarray,
    truth: np.ndarray | None,
    residual: np.ndarray,
    truth_name: str,
    title: str,
) -> bytes:
    times = _few(len(axes[0]), N_TIMES)
    figure = new_figure(15.0, 3.6 * len(times))
    set_title(figure, title)
    error = log_error(u, truth)
    for k, panels in zip(times, figure.subplots(len(times), 4, squeeze=False), strict=True):
        now = f"t = {axes[0][k]:.3g}"
        images = [
            (f"u, {now}", u[k], "viridis"),
            (truth_name, None if truth is None else truth[k], "viridis"),
            (f"log10 |u - {truth_name}|", None if error is None else error[k], "magma"),
            ("residual", residual[k], "coolwarm"),
        ]
        for panel, (name, image, colours) in zip(panels, images, strict=True):
            draw_image(figure, panel, axes[1:], name, image, colours)
    return encode_png(figure)


def _few(n: int, count: int) -> list[int]:
    """Return up to count numbers from 0 to n - 1, evenly spread, first and last among them."""
    return sorted({round(k) for k in np.linspace(0, n - 1, count)})
