"""Values over a line or the plane drawn by matplotlib: curves, images with scales, gradients."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrnn_cli.pictures.figure import encode_png, new_figure, set_title


def draw_gradient(
    axes: Sequence[np.ndarray], u: np.ndarray, gradient: np.ndarray, *, names: Sequence[str], title: str
) -> bytes:
    """Return u and the components of its gradient as PNG.

    Args:
        axes: nodes per axis; three axes are cut in the middle of the last.
        u: solution (n_1, …, n_d).
        gradient: the same with d components, (n_1, …, n_d, d).
        names: of the coordinates.
        title: a line above.
    """
    d = len(axes)
    figure = new_figure(3.8 * (d + 1), 4.0)
    set_title(figure, title)
    panels = figure.subplots(1, d + 1)
    parts = [("u", u)] + [(f"du/d{name}", gradient[..., k]) for k, name in enumerate(names)]
    for panel, (name, values) in zip(panels, parts, strict=True):
        cut = values[..., len(axes[2]) // 2] if d == 3 else values
        if d == 1:
            panel.plot(axes[0], cut, linewidth=1.0, color="#20639b")
            panel.set(title=name, xlabel=names[0])
        else:
            draw_image(figure, panel, axes, name, cut, "viridis" if name == "u" else "coolwarm", names)
    return encode_png(figure)


def draw_image(
    figure: Figure,
    panel: Axes,
    axes: Sequence[np.ndarray],
    name: str,
    image: np.ndarray | None,
    colours: str,
    names: Sequence[str] = (),
) -> None:
    """Draw values over two axes with a scale of colours; coolwarm is centred at 0.

    Args:
        figure: that holds the panel.
        panel: where to draw.
        axes: nodes of both axes.
        name: title; ": not known" is added where there is no image.
        image: values (n_1, n_2), or None.
        colours: name of the scale.
        names: of the axes; left away when there are none.
    """
    panel.set_title(name if image is not None else f"{name}: not known")
    if image is None:
        panel.set_axis_off()
        return
    limit = float(np.nanmax(np.abs(image))) if colours == "coolwarm" else None
    extent = (float(axes[0][0]), float(axes[0][-1]), float(axes[1][0]), float(axes[1][-1]))
    shown = panel.imshow(
        image.T, origin="lower", extent=extent, cmap=colours, interpolation="nearest",
        vmin=None if limit is None else -limit, vmax=limit, aspect="auto" if "t" in names else "equal",
    )  # fmt: skip
    if names:
        panel.set(xlabel=names[0], ylabel=names[1])
    figure.colorbar(shown, ax=panel, shrink=0.8, pad=0.03)


def draw_curves(
    parts: Sequence[tuple[str, np.ndarray | None]], x: np.ndarray, label: str, title: str
) -> bytes:
    """Return values over x, one panel each, as PNG.

    Args:
        parts: titles and values (n,); None where they are not known.
        x: (n,).
        label: name of x; points are joined where it is x.
        title: a line above all.
    """
    figure = new_figure(15.0, 4.2, arranged=False)
    set_title(figure, title)
    figure.subplots_adjust(left=0.04, right=0.985, bottom=0.1, top=0.86, wspace=0.22)
    style = "-" if label == "x" else "."
    for panel, (name, values) in zip(figure.subplots(1, len(parts)), parts, strict=True):
        panel.set_title(name if values is not None else f"{name}: not known")
        if values is None:
            panel.set_axis_off()
            continue
        panel.plot(x, values, style, linewidth=1.0, markersize=2, color="#20639b")
        panel.set_xlabel(label)
        panel.grid(alpha=0.3, linewidth=0.5)
    return encode_png(figure)
