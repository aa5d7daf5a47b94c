"""Unstructured grids are read back as VTK's description of the format says."""

import base64
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from lrnn_cli.signals.unstructured import encode_vtu

_DTYPES = {"Float64": "<f8", "Int64": "<i8", "UInt8": "<u1"}


def decode(content: bytes) -> dict[str, np.ndarray]:
    found = {}
    for array in ElementTree.fromstring(content).iter("DataArray"):
        raw = base64.b64decode(array.text or "")
        assert int.from_bytes(raw[:8], "little") == len(raw) - 8
        values = np.frombuffer(raw[8:], _DTYPES[str(array.get("type"))])
        n_components = int(str(array.get("NumberOfComponents")))
        found[str(array.get("Name"))] = values.reshape(-1, n_components) if n_components > 1 else values
    return found


def test_cells_lie_in_the_domain_and_values_at_their_nodes() -> None:
    axes = (np.linspace(-1, 1, 9), np.linspace(-2, 2, 7))
    x, y = np.meshgrid(*axes, indexing="ij")
    inside = x**2 + y**2 <= 1
    u = np.where(inside, x + 10 * y, np.nan)
    found = decode(encode_vtu(axes, inside, {"u": u, "gradient": np.stack([u, 2 * u], -1)}))
    points, cells = found["points"], found["connectivity"].reshape(-1, 4)
    assert len(points) == inside.sum()
    np.testing.assert_allclose(found["u"], points[:, 0] + 10 * points[:, 1])
    np.testing.assert_allclose(found["gradient"], np.stack([found["u"], 2 * found["u"], 0 * found["u"]], 1))
    corners = points[cells]
    sides = np.roll(corners, -1, 1) - corners
    after = np.roll(sides, -1, 1)
    turns = sides[..., 0] * after[..., 1] - sides[..., 1] * after[..., 0]
    np.testing.assert_allclose(turns, (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0]))
    np.testing.assert_array_equal(found["offsets"], 4 * np.arange(1, len(cells) + 1))
    assert set(found["types"]) == {9}


def test_only_planes() -> None:
    with pytest.raises(ValueError, match="expected 2, got 1"):
        encode_vtu((np.arange(3.0),), np.ones(3, bool), {})
