"""Fields on grids and at points as files: NumPy archive, VTK image data, and CSV; numpy only.

`encode_vti` writes the XML format of ParaView and VTK (base64 inline, little-endian float64); points
outside the domain hold NaN.
"""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from lrnn_cli.errors import InputError


def encode_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a compressed NumPy archive."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def encode_vti(axes: Sequence[np.ndarray], fields: Mapping[str, np.ndarray]) -> bytes:
    """Return VTK image data on a uniform grid of at most three axes.

    Args:
        axes: equally spaced nodes per axis, x first.
        fields: name → values (n_1, …, n_d) or vectors (n_1, …, n_d, d), last axis fastest in memory.

    Returns:
        the bytes of a .vti file.

    Raises:
        ValueError: when there are more than three axes.
    """
    if not 1 <= len(axes) <= 3:
        raise ValueError(f"axes: expected 1 to 3, got {len(axes)}")
    shape = [len(axis) for axis in axes] + [1] * (3 - len(axes))
    origin = [float(axis[0]) for axis in axes] + [0.0] * (3 - len(axes))
    spacing = [float(axis[-1] - axis[0]) / (len(axis) - 1) for axis in axes] + [1.0] * (3 - len(axes))
    extent = " ".join(f"0 {n - 1}" for n in shape)
    lines = [
        '<?xml version="1.0"?>',
        '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        f'<ImageData WholeExtent="{extent}" Origin="{_numbers(origin)}" Spacing="{_numbers(spacing)}">',
        f'<Piece Extent="{extent}"><PointData Scalars="u">',
    ]
    for name, values in fields.items():
        is_vector = values.ndim == len(axes) + 1
        parts = values if is_vector else values[..., None]
        if is_vector:  # VTK vectors have three components
            parts = np.concatenate([parts, np.zeros((*parts.shape[:-1], 3 - parts.shape[-1]))], -1)
        order = (*reversed(range(len(axes))), len(axes))  # x fastest
        raw = np.ascontiguousarray(parts.transpose(order), dtype="<f8").tobytes()
        text = base64.b64encode(np.uint64(len(raw)).tobytes() + raw).decode()
        lines.append(
            f'<DataArray type="Float64" Name={quoteattr(name)} NumberOfComponents="{parts.shape[-1]}" '
            f'format="binary">{text}</DataArray>'
        )
    lines += ["</PointData></Piece></ImageData></VTKFile>", ""]
    return "\n".join(lines).encode()


def encode_csv(columns: Mapping[str, np.ndarray]) -> bytes:
    """Return comma-separated values with a header line; numbers with all their digits."""
    stream = io.StringIO()
    table = np.stack([np.asarray(column, dtype=np.float64) for column in columns.values()], 1)
    np.savetxt(stream, table, fmt="%.17g", delimiter=",", header=",".join(columns), comments="")
    return stream.getvalue().encode()


def read_points(path: str | Path, names: Sequence[str]) -> np.ndarray:
    """Read points from a table of comma-separated values, with or without a header line.

    With a header that names the coordinates those columns are taken, wherever they are; else the first ones.

    Args:
        path: of the file.
        names: of the d coordinates, as x, y, z; x1, x2, … beyond three; or t, x.

    Returns:
        float64 (n, d), all finite.

    Raises:
        InputError: when the file cannot be read, holds no points, or a line is not d numbers.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [(reader.line_num, row) for reader in [csv.reader(file)] for row in reader if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file of values"
        raise InputError(f"{path}: cannot be read as points ({reason})") from error
    columns = list(range(len(names)))
    if lines and not _is_number(lines[0][1][0]):
        header = [name.strip() for name in lines.pop(0)[1]]
        if all(name in header for name in names):
            columns = [header.index(name) for name in names]
    points = []
    for number, row in lines:
        try:
            points.append([float(row[k]) for k in columns])
        except (ValueError, IndexError):
            raise InputError(
                f"{path}, line {number}: expected {len(names)} numbers, got {','.join(row)!r}"
            ) from None
        if not np.isfinite(points[-1]).all():
            raise InputError(f"{path}, line {number}: coordinates must be finite")
    if not points:
        raise InputError(f"{path}: holds no points")
    return np.array(points)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(values: Sequence[float]) -> str:
    return " ".join(repr(value) for value in values)
