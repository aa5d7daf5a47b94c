"""What all previews share: a figure without a window, the training curve, and the way to PNG."""

import io
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def new_figure(width_in: float, height_in: float, *, arranged: bool = True) -> Figure:
    """Return an empty figure of a size in inches; no window, no global state of pyplot.

    Arranging takes as long as drawing; a picture whose parts have fixed places does without.
    """
    with matplotlib.rc_context(STYLE):
        return Figure(figsize=(width_in, height_in), layout="constrained" if arranged else None)


def set_title(figure: Figure, text: str) -> None:
    """Write a line above all panels, as it is: nothing in it is mathematics, even between two dollars.

    Args:
        figure: where.
        text: may hold the name of a file, that is anything; what the font lacks is written as "?".
    """
    font = get_font(findfont(FontProperties()))
    known = "".join(c if c == "\n" or font.get_char_index(ord(c)) else "?" for c in text)
    figure.suptitle(known, fontsize=10, parse_math=False)


def encode_png(figure: Figure, dpi: int = 110) -> bytes:
    """Return the figure as PNG; the same figure gives the same bytes."""
    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def draw_training(axes: Axes, history: list[dict[str, Any]]) -> None:
    """Draw PSNR in dB over seconds; dots mark events such as going back to an earlier state."""
    points = [(r["seconds"], r["psnr_db"]) for r in history if r.get("psnr_db") is not None]
    points = [(s, db) for s, db in points if db == db and abs(db) != float("inf")]
    if points:
        seconds, psnr = zip(*points, strict=True)
        axes.plot(seconds, psnr, linewidth=1.2, color="#20639b")
    words = ("learning rate x", "and no further")
    back = [r for r in history if any(word in r.get("event", "") for word in words)]
    marks = [(r["seconds"], r["psnr_db"]) for r in back]
    marks = [(s, db) for s, db in marks if db is not None and db == db]
    if marks:
        axes.plot(*zip(*marks, strict=True), "o", color="#d1495b", markersize=4, label="went back")
        axes.legend(frameon=False, loc="lower right")
    axes.set_xlabel("seconds")
    axes.set_ylabel("PSNR of the batches, dB")
    axes.set_title("training")
    axes.grid(alpha=0.3, linewidth=0.5)
