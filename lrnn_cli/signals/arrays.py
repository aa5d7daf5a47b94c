"""Plain arrays in files: NPY, NPZ, TIFF and CSV, as scanners' software and scripts leave them."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from lrnn_cli.errors import InputError
from lrnn_cli.signals.image_source import digest, one_line, open_source

SUFFIXES = (".npy", ".npz", ".tif", ".tiff", ".csv", ".txt")


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """Numbers from a file.

    Attributes:
        values: float64, the shape as in the file.
        dtype: as in the file.
        sha256: digest of the file.
        others: further arrays of an NPZ file by name.
    """

    values: np.ndarray
    dtype: str
    sha256: str
    others: dict[str, np.ndarray]


def read_array(path: str | Path, data: bytes | None = None, key: str = "sinogram") -> ArrayFile:
    """Read numbers; which format it is, the suffix tells.

    Args:
        path: .npy, .npz, .tif, .tiff, .csv or .txt; with `data` its name only.
        data: the content, if it is already here.
        key: array of an NPZ file; may be missing where it holds only one.

    Returns:
        The values and what else is known.

    Raises:
        InputError: when the file cannot be read or holds no real numbers.
    """
    name, suffix = one_line(path, 4096), Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{name}: expected an array file ({', '.join(SUFFIXES)}), got {suffix or 'no suffix'!r}"
        )
    with open_source(path, data, "array file") as stream:
        sha256 = digest(stream, name)
        stream.seek(0)
        content = stream.read()
    others: dict[str, np.ndarray] = {}
    try:
        if suffix == ".npz":
            values, others = _from_npz(content, key, name)
        elif suffix == ".npy":
            values = np.load(io.BytesIO(content), allow_pickle=False)
        elif suffix in (".tif", ".tiff"):
            values = tifffile.imread(io.BytesIO(content))
        else:
            values = _from_text(content)
    except InputError:
        raise
    except Exception as error:  # damaged files make the libraries fail in many ways
        kind = suffix[1:].upper()
        raise InputError(
            f"{name}: not a readable {kind} file ({one_line(error)}); export it again"
        ) from error
    values = np.asarray(values)
    if values.dtype.kind not in "iuf" or values.size == 0:
        raise InputError(
            f"{name}: expected real numbers, got {values.dtype} of shape {values.shape}; export it again"
        )
    return ArrayFile(values.astype(np.float64), values.dtype.name, sha256, others)


def _from_npz(content: bytes, key: str, name: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {inner: file[inner] for inner in file.files}
    if key not in arrays and len(arrays) == 1:
        key = next(iter(arrays))
    if key not in arrays:
        raise InputError(f"{name}: expected an array named {key!r}, got {', '.join(arrays) or 'none'}")
    return arrays.pop(key), arrays


def _from_text(content: bytes) -> np.ndarray:
    text = re.sub("#.*", "", content.decode("utf-8-sig"))
    if ";" in text:  # between numbers, so that commas, if any, stand within them: 1,5;2,25
        text = text.replace(",", ".").replace(";", ",")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "input contained no data": refused by the caller
        return np.loadtxt(io.StringIO(text), delimiter="," if "," in text else None, ndmin=1)
