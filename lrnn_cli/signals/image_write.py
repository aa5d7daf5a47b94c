"""Values into the bytes of an image file. Writing the bytes to a disk is not done here."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.checks import check_finite, check_shape
from lrnn_cli.signals import png16

JPEG_QUALITY = 95  # of 100, without colour subsampling
_STRIP = 2**20  # values quantised at a time


@dataclass(frozen=True)
class _Rules:
    """What a container can hold."""

    suffixes: tuple[str, ...]  # the first is the one written
    dtypes: tuple[str, ...]
    channels: tuple[int, ...] | None  # None: any number
    max_side: int
    lossless: bool = True


_RULES = {
    "PNG": _Rules((".png",), ("uint8", "uint16"), (1, 2, 3, 4), 2**31 - 1),
    "JPEG": _Rules((".jpg", ".jpeg"), ("uint8",), (1, 3), 65500, lossless=False),
    "WebP": _Rules((".webp",), ("uint8",), (1, 2, 3, 4), 16383),
    "BMP": _Rules((".bmp",), ("uint8",), (1, 3), 2**31 - 1),
    "TIFF": _Rules((".tif", ".tiff"), ("uint8", "uint16", "float32"), None, 2**31 - 1),
}


def quantise(values: np.ndarray, dtype: str) -> np.ndarray:
    """Values in [0, 1] as integers: q = round(top min(max(v, 0), 1)), top = 255 or 65535, half to even.

    Args:
        values: Any shape, finite unless `dtype` is "float32".
        dtype: "uint8", "uint16", or "float32", which leaves the values as they are.

    Returns:
        The same shape in that dtype.

    Raises:
        ConfigError: If the dtype is another.
    """
    values = np.asarray(values)
    if dtype == "float32":
        return values.astype(np.float32, copy=False)
    if dtype not in ("uint8", "uint16"):
        raise ConfigError(f"dtype: expected uint8, uint16 or float32, got {dtype}")
    check_finite("values", values)
    top = np.iinfo(dtype).max
    flat = values.reshape(-1)
    result = np.empty(flat.shape, dtype=dtype)
    for start in range(0, flat.size, _STRIP):
        part = slice(start, start + _STRIP)
        result[part] = np.rint(np.clip(flat[part].astype(np.float64), 0.0, 1.0) * top)
    return result.reshape(values.shape)


def output_suffix(container: str) -> str:
    """The usual suffix of a container.

    Args:
        container: "PNG", "JPEG", "WebP", "BMP" or "TIFF".

    Returns:
        The suffix with its dot, such as ".png".
    """
    return _rules(container).suffixes[0]


def container_for_suffix(suffix: str) -> str:
    """The container that a file name asks for.

    Args:
        suffix: Suffix with its dot, in either case.

    Returns:
        "PNG", "JPEG", "WebP", "BMP" or "TIFF".

    Raises:
        ConfigError: If the suffix is none of theirs.
    """
    for container, rules in _RULES.items():
        if suffix.lower() in rules.suffixes:
            return container
    known = ", ".join(each for rules in _RULES.values() for each in rules.suffixes)
    raise ConfigError(f"output suffix: expected one of {known}, got {suffix or 'none'}")


def default_container(fmt: dict[str, Any]) -> str:
    """The container for a reconstruction when nobody asked for one: lossless and of the input's depth.

    Args:
        fmt: The `format` of an image signal: container, dtype and channels.

    Returns:
        The input's own container; PNG in place of JPEG, which would add a loss of its own, and where the own
        one cannot hold the channels; TIFF where PNG cannot either.
    """
    container, dtype, n_channels = fmt["container"], fmt["dtype"], len(fmt["channels"])
    for candidate in (container, "PNG"):
        if _rules(candidate).lossless and not _refusal(candidate, dtype, n_channels):
            return str(candidate)
    return "TIFF"


def depth_for(container: str, dtype: str) -> str:
    """The depth to write an image with: its own, or the nearest that the container holds.

    Args:
        container: "PNG", "JPEG", "WebP", "BMP" or "TIFF".
        dtype: "uint8", "uint16" or "float32", the depth of the image.

    Returns:
        "uint8", "uint16" or "float32".
    """
    held = _rules(container).dtypes
    return dtype if dtype in held else held[-1]


def check_image(shape: tuple[int, ...], *, container: str, dtype: str) -> None:
    """Make sure that a container can hold an image, before the work of making it.

    Args:
        shape: (h, w, c).
        container: "PNG", "JPEG", "WebP", "BMP" or "TIFF".
        dtype: "uint8", "uint16" or "float32".

    Raises:
        ConfigError: If it cannot; the message names what can.
    """
    height, width, n_channels = shape
    refusal = _refusal(container, dtype, n_channels)
    if refusal:
        fitting = [other for other in ("PNG", "TIFF") if not _refusal(other, dtype, n_channels)]
        raise ConfigError(f"{refusal}; {'write ' + ' or '.join(fitting) if fitting else 'use one of those'}")
    if max(width, height) > _rules(container).max_side:
        side = _rules(container).max_side
        raise ConfigError(
            f"{container} holds at most {side} pixels per side, got {width}x{height}; write PNG or TIFF"
        )


def encode_image(
    values: np.ndarray, *, container: str, dtype: str, channels: Sequence[str] | None = None
) -> bytes:
    """Encode an image; integers are quantised first, see `quantise`.

    JPEG has quality 95 and full colour resolution; WebP is lossless; TIFF is compressed with Deflate. Equal
    values give equal bytes.

    Args:
        values: float32 (h, w, c).
        container: "PNG", "JPEG", "WebP", "BMP" or "TIFF".
        dtype: "uint8", "uint16" or "float32".
        channels: Names of the channels as in `Signal.format`; without them 2 channels are grey and alpha, 4
            are RGB and alpha. Only TIFF can tell other channels from these.

    Returns:
        The bytes of the file.

    Raises:
        ConfigError: If the container cannot hold such an image.
    """
    check_shape("values", values, ("h", "w", "c"))
    check_image(values.shape, container=container, dtype=dtype)
    return encode_samples(quantise(values, dtype), container=container, channels=channels)


def encode_samples(samples: np.ndarray, *, container: str, channels: Sequence[str] | None = None) -> bytes:
    """Encode an image whose values are quantised already; `encode_image` does both.

    Args:
        samples: (h, w, c) in a dtype that the container holds.
        container: "PNG", "JPEG", "WebP", "BMP" or "TIFF".
        channels: Names of the channels as for `encode_image`.

    Returns:
        The bytes of the file.
    """
    n_channels = samples.shape[2]
    if container == "TIFF":
        return _encode_tiff(samples, channels)
    if samples.dtype == np.uint16:
        return png16.encode(samples)
    image = Image.fromarray(samples if n_channels > 1 else samples[..., 0])
    stream = io.BytesIO()
    if container == "JPEG":
        image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    elif container == "WebP":  # no grey in this format; exact: colours are kept where alpha is 0
        image.convert("RGB" if n_channels in (1, 3) else "RGBA").save(
            stream, "WEBP", lossless=True, exact=True
        )
    else:
        image.save(stream, container)
    return stream.getvalue()


def _rules(container: str) -> _Rules:
    """The row of the table."""
    if container not in _RULES:
        raise ConfigError(f"container: expected one of {', '.join(_RULES)}, got {container}")
    return _RULES[container]


def _refusal(container: str, dtype: str, n_channels: int) -> str:
    """Why a container cannot hold an image; empty if it can."""
    rules = _rules(container)
    if dtype in rules.dtypes and (rules.channels is None or n_channels in rules.channels):
        return ""
    counts = "" if rules.channels is None else "1 to 4 " if 2 in rules.channels else "1 or 3 "
    return (
        f"{container} holds {counts}channels of {' or '.join(rules.dtypes)}, "
        f"got {n_channels} channel{'' if n_channels == 1 else 's'} of {dtype}"
    )


def tiff_layout(n_channels: int, channels: Sequence[str] | None) -> dict[str, Any]:
    """What tifffile is to be told of the channels of an image.

    Args:
        n_channels: Number of channels c.
        channels: Their names as for `encode_image`.

    Returns:
        Keyword arguments of `tifffile.imwrite`.
    """
    names = list(channels or ["L", "A"] * (n_channels == 2) or ["R", "G", "B", "A"] * (n_channels in (3, 4)))
    is_rgb = names[:3] == ["R", "G", "B"]
    n_base = 3 if is_rgb else 1
    kinds = {"A": "unassalpha", "Apre": "assocalpha"}
    extra = [kinds.get(name, "unspecified") for name in names[n_base:n_channels]]
    extra += ["unspecified"] * (n_channels - n_base - len(extra))
    return {
        "photometric": "rgb" if is_rgb else "minisblack",
        "planarconfig": "contig" if n_channels > 1 else None,
        "extrasamples": extra or None,
        "compression": "zlib",
        "byteorder": "<",
        "metadata": None,
        "software": False,
        "maxworkers": 1,
    }


def _encode_tiff(samples: np.ndarray, channels: Sequence[str] | None) -> bytes:
    n_channels = samples.shape[2]
    stream = io.BytesIO()
    tifffile.imwrite(
        stream, samples if n_channels > 1 else samples[..., 0], **tiff_layout(n_channels, channels)
    )
    return stream.getvalue()
