"""Fields on parts of a plane grid as VTK unstructured grids (.vtu); what lies outside the domain is left out.

The XML format of ParaView and VTK, base64 inline, little-endian.
"""

import base64
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import quoteattr

import numpy as np

_QUAD = 9  # VTK's number of the cell type
_TYPES = {"f": ("Float64", "<f8"), "i": ("Int64", "<i8"), "u": ("UInt8", "<u1")}


def encode_vtu(axes: Sequence[np.ndarray], inside: np.ndarray, fields: Mapping[str, np.ndarray]) -> bytes:
    """Return the cells of a grid all of whose corners lie in the domain.

    Args:
        axes: nodes along x and y.
        inside: which nodes lie in the domain, bool (n_x, n_y).
        fields: name → values (n_x, n_y), or vectors (n_x, n_y, 2); looked at inside only.

    Returns:
        the bytes of a .vtu file.

    Raises:
        ValueError: when there are not two axes.
    """
    if len(axes) != 2:
        raise ValueError(f"axes: expected 2, got {len(axes)}")
    whole = inside[:-1, :-1] & inside[1:, :-1] & inside[1:, 1:] & inside[:-1, 1:]
    number = np.cumsum(inside.ravel()).reshape(inside.shape) - 1
    corners = [number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]]
    cells = np.stack([corner[whole] for corner in corners], 1)
    x, y = np.meshgrid(*axes, indexing="ij")
    points = np.stack([x[inside], y[inside], np.zeros(inside.sum())], 1)
    lines = [
        '<?xml version="1.0"?>',
        '<VTKFile type="UnstructuredGrid" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        f'<UnstructuredGrid><Piece NumberOfPoints="{len(points)}" NumberOfCells="{len(cells)}">',
        '<PointData Scalars="u">',
        *(_array(name, _vectors(values[inside])) for name, values in fields.items()),
        "</PointData><Points>",
        _array("points", points),
        "</Points><Cells>",
        _array("connectivity", cells.ravel()),
        _array("offsets", 4 * np.arange(1, len(cells) + 1)),
        _array("types", np.full(len(cells), _QUAD, np.uint8)),
        "</Cells></Piece></UnstructuredGrid></VTKFile>",
        "",
    ]
    return "\n".join(lines).encode()


def _vectors(values: np.ndarray) -> np.ndarray:
    """Return numbers (n,) as they are, and plane vectors (n, 2) with a third component 0."""
    return values if values.ndim == 1 else np.concatenate([values, np.zeros((len(values), 1))], 1)


def _array(name: str, values: np.ndarray) -> str:
    vtk, dtype = _TYPES[values.dtype.kind]
    raw = np.ascontiguousarray(values, dtype=dtype).tobytes()
    text = base64.b64encode(np.uint64(len(raw)).tobytes() + raw).decode()
    components = values.shape[1] if values.ndim == 2 else 1
    return (
        f'<DataArray type="{vtk}" Name={quoteattr(name)} NumberOfComponents="{components}" '
        f'format="binary">{text}</DataArray>'
    )
