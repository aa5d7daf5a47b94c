"""Values over the plane as pictures in a row, with axes and scales of colours, drawn by Pillow.

Loading and running matplotlib for these four pictures took as long as solving the equation.
"""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = (1650, 462)  # pixels of the whole picture
_TOP, _BOTTOM, _LEFT, _RIGHT = 66, 420, 46, 1600  # where panels begin and end
_BAR = (10, 8)  # width of the scale and its distance from the panel
_LABEL = 52  # pixels right of a scale for its numbers
_INK = (38, 38, 38)
_OUTSIDE = 255  # grey of what lies outside the domain

# 33 equally spaced colours of each map of matplotlib, between which colours are interpolated
_ANCHORS = {
    "viridis": (
        "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e"
        "21918c1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51b"
        "fde725"
    ),
    "magma": (
        "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81762181832681902a819c2e7faa337d"
        "b73779c43c75d0416fdc4869e75263ef5d5ef56b5cf9795dfc8961fd9869fea772feb67cfec488fed395fde2a3fcf0b2"
        "fcfdbf"
    ),
    "coolwarm": (
        "3b4cc0445acc4e68d85875e16282ea6c8ff1779af782a6fb8db0fe98b9ffa3c2feaec9fcb9d0f9c3d5f4ccd9edd5dbe5"
        "dddcdce5d8d1ecd3c5f1ccb8f5c4acf7ba9ff7b093f6a586f4987af08b6eeb7d62e46e56dd5f4bd44e41ca3b37be242e"
        "b40426"
    ),
}


@dataclass(frozen=True)
class HeatMap:
    """One picture.

    Attributes:
        title: above it.
        values: (n_1, n_2), NaN outside the domain; None where they are not known.
        colours: viridis, magma, or coolwarm, which is centred at 0.
    """

    title: str
    values: np.ndarray | None
    colours: str


def draw_heat_maps(maps: Sequence[HeatMap], axes: Sequence[np.ndarray], title: str) -> bytes:
    """Return pictures side by side as PNG; the same values give the same bytes.

    Args:
        maps: what to draw.
        axes: the nodes of both axes, equally spaced.
        title: a line above all.
    """
    canvas = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(canvas)
    pen.text((SIZE[0] // 2, 18), title, _INK, _font(15), anchor="mm")
    step = (_RIGHT - _LEFT + _LABEL) / len(maps)
    room = (int(step) - _LABEL - sum(_BAR) - _LEFT, _BOTTOM - _TOP)
    sides = [float(axis[-1] - axis[0]) for axis in axes]
    scale = min(pixels / side for pixels, side in zip(room, sides, strict=True))
    width, height = (max(2, round(scale * side)) for side in sides)
    for k, one in enumerate(maps):
        x, y = _LEFT + round(k * step), _TOP + (room[1] - height) // 2
        name = one.title if one.values is not None else f"{one.title}: not known"
        pen.text((x + width // 2, y - 12), name, _INK, _font(14), anchor="mm")
        if one.values is not None:
            _draw_panel(canvas, one.values, one.colours, (x, y, width, height), axes)
    stream = io.BytesIO()
    canvas.save(stream, format="png")
    return stream.getvalue()


def _draw_panel(
    canvas: Image.Image,
    values: np.ndarray,
    colours: str,
    place: tuple[int, int, int, int],
    axes: Sequence[np.ndarray],
) -> None:
    """Draw values with frame, marks on the axes and a scale at (left, top, width, height)."""
    x, y, width, height = place
    pen = ImageDraw.Draw(canvas)
    low, high = limits(values, centred=colours == "coolwarm")
    columns = (np.arange(width) + 0.5) * values.shape[0] / width
    rows = (np.arange(height)[::-1] + 0.5) * values.shape[1] / height
    shown = values[np.ix_(columns.astype(int), rows.astype(int))].T
    canvas.paste(Image.fromarray(paint(shown, low, high, colours)), (x, y))
    pen.rectangle((x - 1, y - 1, x + width, y + height), outline=_INK)
    first, second = ((float(axis[0]), float(axis[-1])) for axis in axes)
    for mark in ticks(*first):
        at = x + (mark - first[0]) / (first[1] - first[0]) * (width - 1)
        pen.line((at, y + height, at, y + height + 4), _INK)
        pen.text((at, y + height + 7), f"{mark:g}", _INK, _font(12), anchor="mt")
    for mark in ticks(*second):
        at = y + (second[1] - mark) / (second[1] - second[0]) * (height - 1)
        pen.line((x - 5, at, x - 1, at), _INK)
        pen.text((x - 8, at), f"{mark:g}", _INK, _font(12), anchor="rm")
    left, bar = x + width + _BAR[1], np.linspace(high, low, height)[:, None].repeat(_BAR[0], 1)
    canvas.paste(Image.fromarray(paint(bar, low, high, colours)), (left, y))
    pen.rectangle((left - 1, y - 1, left + _BAR[0], y + height), outline=_INK)
    for mark in ticks(low, high):
        at = y + (high - mark) / (high - low) * (height - 1)
        pen.line((left + _BAR[0], at, left + _BAR[0] + 4, at), _INK)
        pen.text((left + _BAR[0] + 7, at), f"{mark:.4g}", _INK, _font(12), anchor="lm")


def limits(values: np.ndarray, *, centred: bool) -> tuple[float, float]:
    """Return the ends of a scale of colours, not equal: least and greatest finite value, or ± the largest."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    if centred:
        high = max(-low, high)
        low = -high
    if high - low <= 1e-14 * max(abs(low), abs(high)):
        room = 0.05 * abs(high) or 1.0
        low, high = low - room, high + room
    return low, high


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return up to `most` round numbers in [low, high]: multiples of 1, 2 or 5 times 10^k."""
    width = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(width))
    step = next(power * s for s in (1.0, 2.0, 5.0, 10.0) if power * s >= width * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def paint(values: np.ndarray, low: float, high: float, colours: str) -> np.ndarray:
    """Return the colours of values, uint8 (…, 3), between low and high; white where a value is not finite."""
    anchors = np.frombuffer(bytes.fromhex(_ANCHORS[colours]), np.uint8).reshape(-1, 3).astype(float)
    finite = np.isfinite(values)
    t = np.clip((np.where(finite, values, low) - low) / (high - low), 0.0, 1.0)
    at = np.linspace(0.0, 1.0, len(anchors))
    painted = np.stack([np.interp(t, at, channel) for channel in anchors.T], -1)
    painted[~finite] = _OUTSIDE
    return np.rint(painted).astype(np.uint8)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of matplotlib's pictures, found without loading matplotlib; else Pillow's own."""
    found = importlib.util.find_spec("matplotlib")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)
