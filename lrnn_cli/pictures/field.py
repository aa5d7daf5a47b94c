"""The preview of a solved equation: u | exact or reference | error, logarithmic | residual."""

from collections.abc import Sequence

import numpy as np

from lrnn_cli.pictures.heat_maps import HeatMap, draw_heat_maps

_FLOOR = 1e-18  # smallest error drawn, relative to the largest value


def draw_field(
    axes: Sequence[np.ndarray],
    u: np.ndarray,
    truth: np.ndarray | None,
    residual: np.ndarray,
    *,
    truth_name: str,
    title: str,
) -> bytes:
    """Return the preview as PNG.

    Args:
        axes: nodes per axis; three axes are cut in the middle of the last, none means scattered points,
            whose values are drawn over those of the solution.
        u: solution (n_1, …, n_d) or (n,).
        truth: what to compare with, the same shape, or None.
        residual: of the equation, the same shape.
        truth_name: what to call it.
        title: a line with the figures.
    """
    names = ("u", truth_name, f"log10 |u - {truth_name}|", "residual")
    values = [u, truth, log_error(u, truth), residual]
    if len(axes) == 3:
        middle = len(axes[2]) // 2
        values = [None if v is None else v[..., middle] for v in values]
    if len(axes) >= 2:
        colours = ("viridis", "viridis", "magma", "coolwarm")
        maps = [HeatMap(*one) for one in zip(names, values, colours, strict=True)]
        return draw_heat_maps(maps, axes[:2], title)
    from lrnn_cli.pictures.field_figures import draw_curves  # matplotlib: a second

    parts = list(zip(names, values, strict=True))
    return draw_curves(parts, axes[0] if axes else u, "x" if axes else "u", title)


def log_error(u: np.ndarray, truth: np.ndarray | None) -> np.ndarray | None:
    """Return log10 |u - truth|, not below rounding; None where nothing is known to compare with."""
    if truth is None:
        return None
    scale = float(np.nanmax(np.abs(u))) or 1.0
    return np.log10(np.maximum(np.abs(u - truth), _FLOOR * scale))
