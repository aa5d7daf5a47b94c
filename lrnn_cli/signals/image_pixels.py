"""Pixels in memory: what the decoders return, and the few operations on them.

All arrays are (h, w, c) with rows first; none of the functions changes its argument.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

LUMA = (0.299, 0.587, 0.114)  # weights of R, G, B; ITU-R BT.601-7, section 2.5.1
RGB = ["R", "G", "B"]


@dataclass
class Pixels:
    """A decoded image.

    Attributes:
        values: float32 (h, w, c): integer samples divided by their largest value, others as stored.
        channels: Name of every channel: L or R, G, B; A alpha, Apre premultiplied alpha; X1, X2, … others.
        dtype: Depth of the samples that takes them back without loss: uint8, uint16 or float32.
        notes: Sentences about what was changed on reading.
    """

    values: np.ndarray
    channels: list[str]
    dtype: str
    notes: list[str] = field(default_factory=list)


def unit(samples: np.ndarray, top: int) -> np.ndarray:
    """Integer samples as numbers in [0, 1].

    Args:
        samples: Unsigned integers of at most 16 bits.
        top: The value that becomes 1, such as 255.

    Returns:
        samples / top, rounded once, float32.
    """
    return np.divide(samples, np.float32(top), dtype=np.float32)


def upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF or TIFF orientation, so that the first row is at the top.

    Args:
        samples: Pixels as stored (h, w, c).
        orientation: 1 … 8 as in the EXIF tag 0x0112; anything else means 1, as stored.

    Returns:
        The turned view, (h, w, c) or (w, h, c).
    """
    if 5 <= orientation <= 8:
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples


def upright_note(orientation: int) -> list[str]:
    """Say that the image was turned.

    Args:
        orientation: As for `upright`.

    Returns:
        One sentence, or none if nothing was turned.
    """
    return [f"turned upright by its orientation tag ({orientation})"] if 2 <= orientation <= 8 else []


def remark_note(container: str, remarks: list[str]) -> list[str]:
    """Pass on the warnings of a decoder.

    Args:
        container: What was decoded.
        remarks: Its warnings and log lines.

    Returns:
        One sentence with the first of them, or none.
    """
    if not remarks:
        return []
    more = f" (and {len(remarks) - 1} more)" if len(remarks) > 1 else ""
    return [f"the {container} reader remarks: {remarks[0]}{more}"]


def profile_note(profile: bytes) -> list[str]:
    """Say that a colour profile is left aside. sRGB needs no word: it is what files without a profile mean.

    Args:
        profile: The ICC profile, or empty.

    Returns:
        One sentence, or none.
    """
    if not profile or b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile:
        return []
    return ["its ICC colour profile is neither applied nor kept"]


def luma(values: np.ndarray) -> np.ndarray:
    """Grey from RGB: Y = 0.299 R + 0.587 G + 0.114 B on the stored (sRGB) values, ITU-R BT.601.

    Args:
        values: float32 (h, w, 3).

    Returns:
        float32 (h, w, 1), never outside the range of the three channels of its pixel.
    """
    grey = values @ np.array(LUMA, dtype=np.float32)
    # The weights add up to 1 but for rounding: grey pixels shall keep their value.
    return np.clip(grey, values.min(axis=2), values.max(axis=2), out=grey)[..., None]


def resized(values: np.ndarray, width: int, height: int, lower: float, upper: float) -> np.ndarray:
    """Resample every channel with Pillow's Lanczos filter (three lobes, widened when shrinking) in float32.

    Args:
        values: float32 (h, w, c).
        width: New pixels per row.
        height: New rows.
        lower: Smallest value of the result; the filter overshoots at edges.
        upper: Largest value of the result.

    Returns:
        float32 (height, width, c).
    """
    result = np.empty((height, width, values.shape[2]), dtype=np.float32)
    for c in range(values.shape[2]):
        channel = Image.fromarray(np.ascontiguousarray(values[..., c]))
        result[..., c] = np.asarray(channel.resize((width, height), Image.Resampling.LANCZOS))
    return np.clip(result, lower, upper, out=result)
