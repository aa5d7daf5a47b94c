"""Scattered points, with the face of a `Grid`: for functions of many variables, where no mesh has room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrnn_cli.numerics.checks import check_finite, check_shape
from lrnn_cli.numerics.coords import Grid

if TYPE_CHECKING:
    import torch


class Points:
    """n points in d dimensions, in the order of their rows."""

    def __init__(self, rows: np.ndarray) -> None:
        """Take the coordinates.

        Args:
            rows: float64 (n, d).

        Raises:
            ValueError: If they are no table of finite numbers with at least one row and column.
        """
        rows = np.asarray(rows, dtype=np.float64)
        check_shape("points", rows, ("n", "d"))
        if rows.size == 0:
            raise ValueError(f"points: expected at least one, got shape {rows.shape}")
        check_finite("points", rows)
        self.rows = rows
        self._tables: dict[tuple[torch.dtype, torch.device], torch.Tensor] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """One axis, that of the points: (n,)."""
        return self.rows.shape[:1]

    @property
    def ndim(self) -> int:
        """Dimension d of the space that they lie in."""
        return int(self.rows.shape[1])

    @property
    def size(self) -> int:
        """Number of points n."""
        return int(self.rows.shape[0])

    def coords(self, indices: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Return the coordinates (m, d) of the points with these numbers (m,), on the device of `indices`.

        Args:
            indices: in [0, n), int64.
            dtype: torch.float32 (default) or torch.float64.
        """
        import torch

        key = (dtype or torch.float32, indices.device)
        if key not in self._tables:
            self._tables[key] = torch.from_numpy(self.rows).to(indices.device, key[0])
        return self._tables[key][indices]


Places = Grid | Points


def uniform_points(n: int, d: int, seed: int) -> Points:
    """Return n points drawn uniformly from [-1, 1]^d.

    Args:
        n: how many.
        d: dimension.
        seed: of the draw; the same seed gives the same points.
    """
    return Points(np.random.default_rng(seed).uniform(-1.0, 1.0, (n, d)))


def rows_of(places: Places) -> np.ndarray:
    """Return the coordinates of all places, float64 (n, d), rows in the order of the flat index."""
    if isinstance(places, Points):
        return places.rows
    axes = np.meshgrid(*places.axes(), indexing="ij")
    return np.stack([axis.reshape(-1) for axis in axes], axis=1)
