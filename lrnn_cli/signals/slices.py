"""A slice to simulate a scan of: a DICOM file, an array or an image, as attenuation on a square grid.

Three scales of the same thing: the stored value v (HU, or the grey of an image), the attenuation μ per mm,
and the normalised u = μ / μ_ref with μ_ref = 2 μ_water, in which water is 0.5 and air 0, so that the body is
O(1):

    HU:                 u = (1 + HU / 1000) / 2
    image or array:     u = v, so that half of white is water; 8 and 16 bits without sign have white 1
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrnn_cli.errors import InputError
from lrnn_cli.numerics.checks import count_nonfinite, describe_nonfinite
from lrnn_cli.signals.arrays import read_array
from lrnn_cli.signals.dicom import is_dicom, read_dicom
from lrnn_cli.signals.image import ImageOptions, read_image

LARGEST_SIDE = 4096
USUAL = (0.05, 10.0)  # the largest u of a slice; bone is near 1, metal near 3


@dataclass(frozen=True)
class Units:
    """How the normalised u becomes what the user reads: v = offset + u · span.

    Attributes:
        name: "HU", "1" for grey values, "1/length" for measured data.
        offset: v of air.
        span: v of u = 1, above air.
    """

    name: str
    offset: float
    span: float

    def restore(self, u: np.ndarray) -> np.ndarray:
        """Return v for u, float32."""
        return np.asarray(self.offset + self.span * np.asarray(u, dtype=np.float64), dtype=np.float32)


HOUNSFIELD = Units("HU", -1000.0, 2000.0)
GREY = Units("1", 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Slice:
    """A slice with a truth to compare with.

    Attributes:
        u: normalised attenuation, float64 (n, n), not negative.
        box: (top, bottom, left, right), the part that is not padding.
        units: of the values as stored.
        data_range: peak of PSNR and SSIM, in units of u: of DICOM the span, else the largest, at least 1.
        pixel_size: side of a pixel, in mm for DICOM.
        name: stem of the file.
        path: as given.
        sha256: digest of the file.
        shape: of the file, (h, w).
        dtype: of the file.
        notes: sentences for the user.
        warnings: what the user should look at.
    """

    u: np.ndarray
    box: tuple[int, int, int, int]
    units: Units
    data_range: float
    pixel_size: float
    name: str
    path: str
    sha256: str
    shape: tuple[int, int]
    dtype: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def read_slice(path: str | Path, data: bytes | None = None) -> Slice:
    """Read a slice and pad it to a square with air.

    Args:
        path: a DICOM, NPY, PNG, JPEG, WebP, BMP or TIFF file; with `data` its name only.
        data: the content, if it is already here.

    Returns:
        The slice.

    Raises:
        InputError: when it cannot be read, holds values that are not finite, nothing at all, or more below 0
            than above.
    """
    notes: list[str] = []
    pixel, dtype = 1.0, "float32"
    if is_dicom(path, data):
        found = read_dicom(path, data)
        units, pixel, sha256, dtype = HOUNSFIELD, found.pixel_mm, found.sha256, "int16"
        values = (found.hu.astype(np.float64) - units.offset) / units.span
        notes += found.notes
        data_range = float(values.max() - values.min())
    elif Path(path).suffix.lower() == ".npy":
        array = read_array(path, data)
        values, units, sha256, dtype = array.values, GREY, array.sha256, array.dtype
        if dtype in ("uint8", "uint16"):
            white = np.iinfo(dtype).max
            values = values / white
            notes.append(f"{dtype} values divided by {white}, as those of images are")
    else:
        image = read_image(path, ImageOptions(alpha="drop"), data)
        if image.n_channels > 1:
            image = read_image(path, ImageOptions(alpha="drop", grey=True), data)
        values, units = image.values[..., 0].astype(np.float64), GREY
        sha256, dtype = image.sha256, str(image.format["dtype"])
        # the last note on floats states a peak over values below 0, too, which a slice has not
        notes += image.notes[:-1] if dtype == "float32" else image.notes
    _check(values, str(path))
    negative = int((values < 0).sum())
    if negative:
        notes.append(f"{negative} values below 0 are set to 0: attenuation is not negative")
    values = np.maximum(values, 0.0)
    if units == GREY:
        data_range = max(1.0, float(values.max()))
        if data_range > 1:
            notes.append(f"values kept as stored; the peak of PSNR and SSIM is the largest, {data_range:g}")
    square, box = padded(values)
    if square.shape != values.shape:
        notes.append(
            f"{values.shape[1]}x{values.shape[0]} pixels padded with air to {len(square)}x{len(square)}"
        )
    return Slice(
        u=square, box=box, units=units, data_range=data_range, pixel_size=pixel,
        name="stdin" if str(path) == "-" else Path(path).stem, path=str(path), sha256=sha256,
        shape=(values.shape[0], values.shape[1]), dtype=dtype, notes=tuple(notes),
        warnings=_odd_scale(float(values.max())),
    )  # fmt: skip


def _odd_scale(largest: float) -> tuple[str, ...]:
    """A warning where u is far from what networks, priors and simulated counts are made for."""
    if USUAL[0] <= largest <= USUAL[1]:
        return ()
    return (
        f"the largest value of the slice is {largest:.4g}, but water is taken to be 0.5 and bone about 1: "
        "networks, priors and simulated counts will not suit it; divide it to that scale",
    )


def _check(values: np.ndarray, name: str) -> None:
    if values.ndim != 2 or min(values.shape) < 8:
        raise InputError(f"{name}: expected a slice of at least 8x8 values, got shape {values.shape}")
    if max(values.shape) > LARGEST_SIDE:
        raise InputError(
            f"{name}: expected at most {LARGEST_SIDE} pixels a side, got {values.shape}; shrink it"
        )
    n_nan, n_infinite = count_nonfinite(values)
    if n_nan or n_infinite:
        raise InputError(f"{name}: {describe_nonfinite(n_nan, n_infinite, values.size)}; fill them in first")
    below, above = -float(values[values < 0].sum()), float(values[values > 0].sum())
    if below > above:
        raise InputError(
            f"{name}: the values below 0 outweigh those above, as in Hounsfield units; attenuation is not "
            "negative: save (HU + 1000) / 2000, in which water is 0.5 and air 0"
        )
    if above <= 0:
        raise InputError(f"{name}: the slice holds nothing but zeros, so there is nothing to reconstruct")


def padded(values: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Pad with zeros to a square of the longer side, the original in the middle.

    Args:
        values: (h, w).

    Returns:
        The square, and (top, bottom, left, right) of the original in it.
    """
    h, w = values.shape
    n = max(h, w)
    top, left = (n - h) // 2, (n - w) // 2
    square = np.zeros((n, n), dtype=values.dtype)
    square[top : top + h, left : left + w] = values
    return square, (top, top + h, left, left + w)


def block_means(u: np.ndarray, size: int, name: str) -> np.ndarray:
    """Return block means (size, size) of a square.

    Args:
        u: (n, n), n a multiple of size.
        size: pixels per side wanted.
        name: for the message.

    Returns:
        The means.

    Raises:
        InputError: when size does not divide n.
    """
    n = len(u)
    if size < 8 or n % size:
        fits = [n // k for k in (2, 3, 4) if n % k == 0 and n // k >= 8]
        raise InputError(
            f"{name}: --size {size} does not divide its {n} pixels; use {' or '.join(map(str, [n, *fits]))}"
        )
    k = n // size
    return np.asarray(u.reshape(size, k, size, k).mean(axis=(1, 3)))
