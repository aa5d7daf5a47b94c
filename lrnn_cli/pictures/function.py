"""The preview of a fitted function: target | fit | residual, learned curves | spectrum | training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrnn_cli.pictures.figure import draw_training, encode_png, new_figure, set_title

TARGET, FIT, RESIDUAL = "#666666", "#20639b", "#d1495b"
TICKS = (-1.0, -0.5, 0.0, 0.5, 1.0)
FLOOR = 1e-12  # of the largest amplitude, at the bottom of the spectrum


@dataclass(frozen=True)
class Spectrum:
    """Amplitudes over frequencies in cycles per unit; of what they are said in `title`."""

    frequencies: np.ndarray
    target: np.ndarray
    fit: np.ndarray
    title: str


@dataclass(frozen=True)
class FunctionView:
    """What the preview shows.

    Attributes:
        axes: coordinates per axis; none for scattered points.
        target: on the mesh (n_1, …, n_d), or at points (n,).
        fit: the same of the network.
        line: x, target and fit along the first axis through the centre, where the samples are scattered.
        spectrum: of both.
        curves: learned curves (k, n) over [-1, 1].
        curve_names: of each.
        curves_title: what they are.
    """

    axes: Sequence[np.ndarray]
    target: np.ndarray
    fit: np.ndarray
    line: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    spectrum: Spectrum
    curves: np.ndarray
    curve_names: Sequence[str]
    curves_title: str


def draw_function(view: FunctionView, *, title: str, history: list[dict[str, Any]]) -> bytes:
    """Return the preview as PNG; of three and more axes the plane through the middle of the others is drawn.

    Args:
        view: what to draw.
        title: a line with model and figures.
        history: training records.
    """
    figure = new_figure(14.0, 8.0)
    set_title(figure, title)
    panels = figure.subplots(2, 3)
    if len(view.axes) >= 2:
        _draw_planes(figure, panels[0], view)
    elif view.axes:
        _draw_curves(panels[0], view)
    else:
        _draw_scatter(panels[0], view)
    _draw_learned(panels[1][0], view)
    _draw_spectrum(panels[1][1], view.spectrum)
    draw_training(panels[1][2], history)
    return encode_png(figure)


def _draw_planes(figure: Figure, panels: Sequence[Axes], view: FunctionView) -> None:
    rest = tuple(len(axis) // 2 for axis in view.axes[2:])
    target, fit = (np.moveaxis(v, (0, 1), (-2, -1))[rest] for v in (view.target, view.fit))
    where = "" if not rest else " at the middle of the other axes"
    residual = fit - target
    low, high = float(target.min()), float(target.max())
    limit = float(np.abs(residual).max()) or 1.0
    x, y = view.axes[:2]
    half = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    extent = (x[0] - half[0], x[-1] + half[0], y[0] - half[1], y[-1] + half[1])
    shown = [
        (f"target{where}", target, "viridis", low, high),
        (f"fit{where}", fit, "viridis", low, high),
        (f"residual, at most {limit:.2g}", residual, "coolwarm", -limit, limit),
    ]
    for axes, (name, image, colours, bottom, top) in zip(panels, shown, strict=True):
        drawn = axes.imshow(
            image.T,
            origin="lower",
            extent=extent,
            cmap=colours,
            vmin=bottom,
            vmax=top,
            interpolation="nearest",
        )
        axes.set_title(name)
        axes.set_xticks([-1, 0, 1])
        axes.set_yticks([-1, 0, 1])
        axes.set_xlabel("x")
        axes.set_ylabel("y")
        figure.colorbar(drawn, ax=axes, shrink=0.8)


def _draw_curves(panels: Sequence[Axes], view: FunctionView) -> None:
    x = view.axes[0]
    for axes, name, values, colour in (
        (panels[0], "target", view.target, TARGET),
        (panels[1], "fit", view.fit, FIT),
        (panels[2], "residual", view.fit - view.target, RESIDUAL),
    ):
        axes.plot(x, values, color=colour, linewidth=0.8)
        axes.set_xticks(TICKS)
        _finish(axes, name, "x")
    low, high = panels[0].get_ylim()
    panels[1].set_ylim(low, high)


def _draw_scatter(panels: Sequence[Axes], view: FunctionView) -> None:
    low, high = float(view.target.min()), float(view.target.max())
    panels[0].plot([low, high], [low, high], color=TARGET, linewidth=0.8)
    panels[0].plot(view.target, view.fit, ".", color=FIT, markersize=1.5)
    _finish(panels[0], "fit over target, at all points", "target")
    if view.line is not None:
        x, target, fit = view.line
        panels[1].plot(x, target, color=TARGET, linewidth=1.5, label="target")
        panels[1].plot(x, fit, color=FIT, linewidth=0.9, label="fit")
        panels[1].set_xticks(TICKS)
        panels[1].legend(frameon=False)
    _finish(panels[1], "along the first axis through the centre", "x1")
    panels[2].plot(view.target, view.fit - view.target, ".", color=RESIDUAL, markersize=1.5)
    _finish(panels[2], "residual over target, at all points", "target")


def _draw_learned(axes: Axes, view: FunctionView) -> None:
    t = np.linspace(-1, 1, view.curves.shape[1])
    for curve, name in zip(view.curves, view.curve_names, strict=True):
        axes.plot(t, curve, linewidth=0.9, label=name)
    axes.set_xticks(TICKS)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.25 * (high - low))  # room for the legend
    axes.legend(frameon=False, fontsize=7, loc="upper center", ncols=3)
    _finish(axes, view.curves_title, "t, through the domain")


def _draw_spectrum(axes: Axes, spectrum: Spectrum) -> None:
    floor = FLOOR * max(float(spectrum.target.max()), float(spectrum.fit.max()), 1e-300)
    for values, colour, width, name in (
        (spectrum.target, TARGET, 2.0, "target"),
        (spectrum.fit, FIT, 0.9, "fit"),
    ):
        axes.semilogy(
            spectrum.frequencies, np.maximum(values, floor), color=colour, linewidth=width, label=name
        )
    axes.legend(frameon=False)
    _finish(axes, spectrum.title, "cycles per unit of length")


def _finish(axes: Axes, title: str, xlabel: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(xlabel)
    axes.grid(alpha=0.3, linewidth=0.5)
