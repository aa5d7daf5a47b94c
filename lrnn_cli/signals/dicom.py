"""CT slices in DICOM files: Hounsfield units on square pixels.

Stored integers become HU by the rescale slope and intercept of the file. What lies below air (-1000 HU), and
what the file calls padding, outside the scanner's circle above all, becomes air. Pixels that are not square
are resampled along their longer side, never stretched. Reading needs the optional package pydicom (extra
`medical`).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrnn_cli.errors import InputError
from lrnn_cli.signals.image_source import digest, one_line, open_source

AIR_HU = -1000.0
MOST_OBLONG = 16.0  # ratio of the sides of a pixel
PREAMBLE = 128  # bytes before the letters DICM
HINT = "reading DICOM needs pydicom: pip install 'lrnn[medical]'"


@dataclass(frozen=True, eq=False)
class DicomSlice:
    """A slice in Hounsfield units.

    Attributes:
        hu: values, float32 (h, w), row 0 on top.
        pixel_mm: side of the square pixels, in mm.
        sha256: digest of the file.
        notes: sentences about everything that is not as in the file.
    """

    hu: np.ndarray
    pixel_mm: float
    sha256: str
    notes: tuple[str, ...]


def is_dicom(path: str | Path, data: bytes | None = None) -> bool:
    """Tell whether a file calls itself DICOM: by its preamble, or else by the suffix .dcm or .dicom."""
    if Path(path).suffix.lower() in (".dcm", ".dicom", ".ima"):
        return True
    if data is None:
        try:
            with open(path, "rb") as file:
                data = file.read(PREAMBLE + 4)
        except OSError:
            return False
    return data[PREAMBLE : PREAMBLE + 4] == b"DICM"


def read_dicom(path: str | Path, data: bytes | None = None) -> DicomSlice:
    """Read one CT slice.

    Args:
        path: the file; with `data` its name only.
        data: the content, if it is already here.

    Returns:
        The slice in HU with square pixels.

    Raises:
        InputError: when pydicom is missing, or the file is no DICOM, has no pixels, several frames or
            colours, or a compression without a decoder here.
    """
    name = one_line(path, 4096)
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ModuleNotFoundError:
        raise InputError(f"{name}: {HINT}") from None
    with open_source(path, data, "DICOM file") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd values in fields that are not used here
        sha256 = digest(stream, name)
        stream.seek(0)
        try:
            dataset = pydicom.dcmread(stream)
        except InvalidDicomError:
            raise InputError(
                f"{name}: not a DICOM file (no DICM after the preamble); export it again"
            ) from None
        except Exception as error:  # a damaged file makes the parser fail in many ways
            raise InputError(
                f"{name}: the DICOM file is damaged ({one_line(error)}); fetch it again"
            ) from None
        return _to_slice(dataset, _pixels(dataset, name), sha256, name)


def _pixels(dataset: Any, name: str) -> np.ndarray:
    """Stored values (h, w), float64."""
    if "PixelData" not in dataset:
        raise InputError(f"{name}: the DICOM file holds no pixels (an index or a report?); name one CT slice")
    frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
    if frames != 1 or samples != 1:
        what = f"{frames} frames" if frames != 1 else f"{samples} values per pixel"
        raise InputError(f"{name}: expected one slice of grey pixels, got {what}; save one slice by itself")
    if not int(dataset.get("Rows") or 0) or not int(dataset.get("Columns") or 0):
        raise InputError(f"{name}: the DICOM slice has no rows or columns; export it again")
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    try:
        values = np.asarray(dataset.pixel_array, dtype=np.float64)
    except Exception as error:
        if syntax is not None and getattr(syntax, "is_compressed", False):
            raise InputError(
                f"{name}: no decoder for its compression ({syntax.name}); "
                "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg, or save it uncompressed"
            ) from error
        raise InputError(
            f"{name}: the pixels cannot be decoded ({one_line(error)}); export the slice again"
        ) from error
    return values


def _to_slice(dataset: Any, stored: np.ndarray, sha256: str, name: str) -> DicomSlice:
    notes: list[str] = []
    slope, intercept = _rescale(dataset, notes, name)
    hu = stored * slope + intercept
    padding = _padding(dataset, stored)
    below = int((padding | (hu < AIR_HU)).sum())
    if below:
        notes.append(f"{below} pixels of padding or below {AIR_HU:g} HU are set to air")
        hu = np.where(padding, AIR_HU, np.maximum(hu, AIR_HU))
    if float(hu.max()) <= AIR_HU:
        raise InputError(f"{name}: the slice holds nothing but air; check the file")
    rows_mm, columns_mm = _spacing(dataset, notes, name)
    pixel = min(rows_mm, columns_mm)
    if rows_mm != columns_mm:
        before = hu.shape
        hu = _stretched(_stretched(hu, rows_mm / pixel).T, columns_mm / pixel).T
        notes.append(
            f"pixels of {columns_mm:g} x {rows_mm:g} mm resampled to squares of {pixel:g} mm: "
            f"{before[1]}x{before[0]} became {hu.shape[1]}x{hu.shape[0]}"
        )
    return DicomSlice(np.ascontiguousarray(hu, dtype=np.float32), pixel, sha256, tuple(notes))


def _numbers(dataset: Any, keyword: str, name: str) -> list[float] | None:
    """The finite numbers of an element; None where it is missing or empty."""
    try:
        found = dataset.get(keyword)
        if found is None or found == "":
            return None
        values = [float(value) for value in (found if hasattr(found, "__iter__") else [found])]
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {keyword} holds no number ({one_line(error)}); mend the header") from None
    if not all(map(math.isfinite, values)):
        raise InputError(f"{name}: {keyword} holds no finite number; mend the header")
    return values


def _rescale(dataset: Any, notes: list[str], name: str) -> tuple[float, float]:
    """Slope and intercept to HU, with notes where the values may be something else."""
    slopes = _numbers(dataset, "RescaleSlope", name)
    intercepts = _numbers(dataset, "RescaleIntercept", name)
    if intercepts is None and "ModalityLUTSequence" in dataset:
        raise InputError(
            f"{name}: its values need a lookup table (Modality LUT), which is not read; export it in HU"
        )
    slope = 1.0 if slopes is None else slopes[0]
    if slope == 0:
        raise InputError(f"{name}: the rescale slope is 0, so that all values are the same; mend the header")
    if intercepts is None:
        notes.append("no rescale intercept in the file: its values are taken as Hounsfield units")
    modality, unit = str(dataset.get("Modality") or "CT"), str(dataset.get("RescaleType") or "HU")
    if modality != "CT":
        notes.append(f"modality {modality}, not CT: its values are taken as Hounsfield units all the same")
    elif unit not in ("HU", "US"):  # US: unspecified, which scanners write beside good HU
        notes.append(f"rescale type {unit}: its values are taken as Hounsfield units all the same")
    return slope, 0.0 if intercepts is None else intercepts[0]


def _padding(dataset: Any, stored: np.ndarray) -> np.ndarray:
    """Where the file says that no image is: from PixelPaddingValue to its range limit, (h, w) booleans."""
    try:
        first = float(dataset.get("PixelPaddingValue"))
        last = float(dataset.get("PixelPaddingRangeLimit", first))
    except (TypeError, ValueError):
        return np.zeros(stored.shape, dtype=bool)
    return np.asarray((stored >= min(first, last)) & (stored <= max(first, last)))


def _spacing(dataset: Any, notes: list[str], name: str) -> tuple[float, float]:
    """Distance of rows and of columns in mm; 1 where the file does not say."""
    found = _numbers(dataset, "PixelSpacing", name)
    if found is None:
        notes.append("no pixel spacing in the file: 1 mm is assumed")
        return 1.0, 1.0
    if len(found) != 2:
        raise InputError(f"{name}: expected a pixel spacing of 2 numbers, got {len(found)}; mend the header")
    rows, columns = found
    if not (rows > 0 and columns > 0):
        raise InputError(f"{name}: expected a positive pixel spacing, got {rows:g} x {columns:g} mm")
    if max(rows, columns) > MOST_OBLONG * min(rows, columns):
        raise InputError(
            f"{name}: pixels of {columns:g} x {rows:g} mm are too oblong to be made square; check the header"
        )
    return rows, columns


def _stretched(values: np.ndarray, factor: float) -> np.ndarray:
    """Resample the rows to 1 / factor of their distance, linearly between pixel centres."""
    n = len(values)
    m = max(1, round(n * factor))
    if m == n:
        return values
    place = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
    left = np.minimum(place.astype(int), n - 2) if n > 1 else np.zeros(m, int)
    share = (place - left)[:, None]
    return values[left] * (1 - share) + values[np.minimum(left + 1, n - 1)] * share
