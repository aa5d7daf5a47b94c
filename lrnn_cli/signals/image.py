"""Image files ⇄ `Signal`.

Values are as stored (sRGB, not linear light), float32; integer files are divided by their largest value, so
that white and the peak are 1. Rows come first, the first row is at the top. Alpha is a channel like others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lrnn_cli.errors import InputError
from lrnn_cli.numerics.checks import count_nonfinite, describe_nonfinite
from lrnn_cli.signals.image_pixels import RGB, Pixels, luma, resized
from lrnn_cli.signals.image_read import read_raster
from lrnn_cli.signals.image_source import HEAD, check_pixels, digest, one_line, open_source, sniff
from lrnn_cli.signals.image_tiff import read_tiff
from lrnn_cli.signals.image_write import (
    container_for_suffix,
    default_container,
    encode_image,
    output_suffix,
    quantise,
)
from lrnn_cli.signals.signal import Signal

__all__ = [
    "ImageOptions",
    "container_for_suffix",
    "default_container",
    "encode_image",
    "output_suffix",
    "quantise",
    "read_image",
]


class ImageOptions(BaseModel):
    """What to do to an image on reading, in this order: crop, drop alpha, convert to grey, resize."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop: tuple[int, int, int, int] | None = Field(
        default=None,
        description="(x0, y0, x1, y1) in pixels of the upright image; x1 and y1 are not included",
    )
    alpha: Literal["keep", "drop"] = Field(
        default="keep", description="fit the alpha channel too, or leave it out"
    )
    grey: bool = Field(default=False, description="convert RGB to grey (Rec. 601 luma)")
    resize: tuple[int, int] | None = Field(default=None, description="(width, height), Lanczos")
    max_pixels: int = Field(default=2**28, gt=0, description="refuse larger images before decoding them")


DEFAULTS = ImageOptions()


def read_image(source: str | Path, options: ImageOptions = DEFAULTS, data: bytes | None = None) -> Signal:
    """Read a PNG, JPEG, WebP, BMP or TIFF file; which it is, its first bytes tell.

    A file of 16 bits per channel is read at 16 bits. Float TIFF is kept as stored: its peak is 1 if all
    values lie in [0, 1], else the largest minus the smallest value. Of several pages the first is read.
    `Signal.notes` says everything that is not as it is in the file.

    Whatever cannot be read raises `InputError` with one line that names the file, the fault and the remedy.

    Args:
        source: Path of the file; with `data` the name to show, such as "-".
        options: Crop, alpha, grey, resize and the limit on pixels.
        data: The bytes of the file, if they are already here.

    Returns:
        A signal of kind "image" with values (h, w, c); its format has the keys `container`, `dtype` ("uint8",
        "uint16" or "float32") and `channels` (such as R, G, B, A).
    """
    name = one_line(source, 4096)
    with open_source(source, data) as stream:
        sha256 = digest(stream, name)
        container = sniff(stream.read(HEAD), name)
        stream.seek(0)
        if container == "TIFF":
            pixels = read_tiff(stream, name, options.max_pixels)
        else:
            pixels = read_raster(stream, container, name, options.max_pixels)
    _crop(pixels, options.crop, name)
    _alpha(pixels, options.alpha)
    if pixels.dtype == "float32":
        _check_values(pixels.values, name)
    if options.grey:
        _grey(pixels, name)
    if options.resize:
        _resize(pixels, options, name)
    peak, peak_notes = _peak(pixels)
    return Signal(
        values=np.ascontiguousarray(pixels.values),
        kind="image",
        peak=peak,
        name="stdin" if str(source) == "-" else Path(source).stem or "image",
        path=str(source),
        sha256=sha256,
        notes=(*pixels.notes, *peak_notes),
        format={"container": container, "dtype": pixels.dtype, "channels": pixels.channels},
    )


def _crop(pixels: Pixels, box: tuple[int, int, int, int] | None, name: str) -> None:
    """Cut out a box."""
    if box is None:
        return
    height, width = pixels.values.shape[:2]
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise InputError(
            f"{name}: crop {x0},{y0},{x1},{y1} does not lie inside the image of {width}x{height} pixels; "
            f"give x0,y0,x1,y1 with 0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height}"
        )
    pixels.values = pixels.values[y0:y1, x0:x1]
    pixels.notes.append(f"cropped from {width}x{height} to {x1 - x0}x{y1 - y0} pixels at ({x0}, {y0})")


def _alpha(pixels: Pixels, alpha: str) -> None:
    """Keep or drop the alpha channels, and say so."""
    keep = [k for k, channel in enumerate(pixels.channels) if not channel.startswith("A")]
    if len(keep) == len(pixels.channels):
        return
    if alpha == "keep":
        pixels.notes.append("alpha is fitted as a channel; --alpha drop leaves it out")
        return
    pixels.values = pixels.values[..., keep]
    pixels.channels = [pixels.channels[k] for k in keep]
    pixels.notes.append("alpha dropped, colours kept as stored")


def _check_values(values: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity, which no model can fit."""
    n_nan, n_infinite = count_nonfinite(values)
    if n_nan or n_infinite:
        found = describe_nonfinite(n_nan, n_infinite, values.size)
        raise InputError(f"{name}: {found}; fill them in, or crop to a part without them")


def _grey(pixels: Pixels, name: str) -> None:
    """Replace R, G, B by their luma; an alpha channel stays."""
    channels = pixels.channels
    if channels[:3] == RGB:
        pixels.values = np.concatenate([luma(pixels.values[..., :3]), pixels.values[..., 3:]], axis=2)
        pixels.channels = ["L", *channels[3:]]
        pixels.notes.append("converted to grey: 0.299 R + 0.587 G + 0.114 B (Rec. 601) of the stored values")
    elif len([channel for channel in channels if not channel.startswith("A")]) > 1:
        raise InputError(f"{name}: grey needs R, G, B, got channels {', '.join(channels)}; convert it first")


def _resize(pixels: Pixels, options: ImageOptions, name: str) -> None:
    """Resample; integers stay in [0, 1], others within the range they had."""
    height, width = pixels.values.shape[:2]
    new_width, new_height = options.resize or (width, height)
    if new_width < 1 or new_height < 1:
        raise InputError(
            f"{name}: cannot resize to {new_width}x{new_height}; give a width and a height of at least 1"
        )
    if (new_width, new_height) == (width, height):
        return
    check_pixels(new_width, new_height, options.max_pixels, f"{name} (resized)")
    is_float = pixels.dtype == "float32"
    lower, upper = (pixels.values.min(), pixels.values.max()) if is_float else (0.0, 1.0)
    pixels.values = resized(pixels.values, new_width, new_height, lower, upper)
    pixels.notes.append(f"resized from {width}x{height} to {new_width}x{new_height} pixels (Lanczos)")


def _peak(pixels: Pixels) -> tuple[float, list[str]]:
    """The peak, and for float images a sentence that states it."""
    if pixels.dtype != "float32":
        return 1.0, []
    low, high = float(pixels.values.min()), float(pixels.values.max())
    if low >= 0 and high <= 1:
        return 1.0, ["float values kept as stored; all lie in [0, 1], so the peak is 1"]
    if low == high:
        return abs(high), [f"float values kept as stored; all are {high:g}, so the peak is {abs(high):g}"]
    return high - low, [f"float values kept as stored; peak {high - low:g} = {high:g} - ({low:g})"]
