"""Where the samples of a signal lie: the one place that turns indices into coordinates.

Convention: samples are the centres of equal cells. Axis k with n_k cells on [l_k, u_k] (default [-1, 1]) has

    x_i = l_k + (u_k - l_k) (2 i + 1) / (2 n_k),   i = 0 … n_k - 1,

so the first and last centres lie half a cell inside the borders and every axis of a non-square image spans
the same interval. Axis order is that of the array: (row, column) for images. Flat indices are row-major.
Angles of view are half-open: the stop angle belongs to the next turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def axis(n: int, lower: float = -1.0, upper: float = 1.0) -> np.ndarray:
    """Centres of n equal cells: lower + (upper - lower) (2 i + 1) / (2 n).

    Args:
        n: Number of cells, at least 1.
        lower: Left border of the first cell.
        upper: Right border of the last cell, larger than `lower`.

    Returns:
        The centres, ascending, float64 (n,).

    Raises:
        ValueError: If n < 1 or the interval is empty or not finite.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1 cell, got {n}")
    _check_interval(lower, upper)
    return (upper - lower) * (2.0 * np.arange(n) + 1.0) / (2.0 * n) + lower


def view_angles(start_deg: float, stop_deg: float, n: int) -> np.ndarray:
    """Equally spaced angles on the half-open interval [start_deg, stop_deg).

    θ_k = start + (stop - start) k / n. With parallel beams 0° and 180° see the same lines, so (0, 180, n) has
    no view twice.

    Args:
        start_deg: First angle in degrees.
        stop_deg: End of the interval in degrees, itself no angle; smaller than `start_deg` turns backwards.
        n: Number of angles, at least 1.

    Returns:
        The angles in degrees, float64 (n,).

    Raises:
        ValueError: If n < 1, or the interval is empty or not finite.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1 angle, got {n}")
    if not (math.isfinite(start_deg) and math.isfinite(stop_deg)) or start_deg == stop_deg:
        raise ValueError(
            f"start_deg and stop_deg: expected different finite angles, got {start_deg} and {stop_deg}"
        )
    return start_deg + (stop_deg - start_deg) * np.arange(n) / n


@dataclass(frozen=True)
class Grid:
    """A d-dimensional grid of cell centres, computed on the fly and never stored whole.

    Attributes:
        shape: Cells per axis, (n_1, …, n_d).
        lower: Lower border per axis; -1 on every axis when left out.
        upper: Upper border per axis; 1 on every axis when left out.
    """

    shape: tuple[int, ...]
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Fill in the default borders and check everything.

        Raises:
            ValueError: If an axis has no cells, a border is missing or an interval is empty.
        """
        shape = tuple(int(n) for n in self.shape)
        lower = tuple(float(x) for x in self.lower) or (-1.0,) * len(shape)
        upper = tuple(float(x) for x in self.upper) or (1.0,) * len(shape)
        if not shape or min(shape) < 1:
            raise ValueError(f"shape: expected at least one axis and one cell per axis, got {shape}")
        if not len(shape) == len(lower) == len(upper):
            got = f"{len(lower)} and {len(upper)}"
            raise ValueError(f"lower and upper: expected one border per axis ({len(shape)}), got {got}")
        for left, right in zip(lower, upper, strict=True):
            _check_interval(left, right)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def ndim(self) -> int:
        """Number of axes d."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of points, n_1 · … · n_d."""
        return math.prod(self.shape)

    def axes(self) -> tuple[np.ndarray, ...]:
        """The coordinates along every axis.

        Returns:
            d arrays, float64 (n_k,), whose Cartesian product is the grid.
        """
        return tuple(axis(*entry) for entry in zip(self.shape, self.lower, self.upper, strict=True))

    def coords(self, indices: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Coordinates of the points with the given flat indices.

        Computed in float64 and rounded once. On the CPU the range of the indices is checked; on other devices
        it is not, because that would wait for the device at every step.

        Args:
            indices: Row-major flat indices in [0, size), int64 (m,).
            dtype: torch.float32 (default) or torch.float64.

        Returns:
            The coordinates (m, d) on the device of `indices`.

        Raises:
            ValueError: If the indices are not int64 (m,) or lie outside the grid.
        """
        import torch

        if indices.dtype != torch.int64 or indices.ndim != 1:
            got = f"{indices.dtype} of shape {tuple(indices.shape)}"
            raise ValueError(f"indices: expected int64 of shape (m,), got {got}")
        if indices.device.type == "cpu" and indices.numel():
            lowest, highest = (int(bound) for bound in indices.aminmax())
            if lowest < 0 or highest >= self.size:
                raise ValueError(f"indices: expected 0 … {self.size - 1}, got {lowest} … {highest}")
        points = torch.empty(
            (indices.numel(), self.ndim), dtype=dtype or torch.float32, device=indices.device
        )
        rest = indices
        for k in reversed(range(self.ndim)):
            n, left, right = self.shape[k], self.lower[k], self.upper[k]
            if k > 0:
                above = torch.div(rest, n, rounding_mode="floor")
                rest, i = above, rest - above * n
            else:
                i = rest
            points[:, k] = (right - left) * (2 * i + 1).to(torch.float64) / (2.0 * n) + left
        return points

    def coords_range(
        self,
        start: int,
        stop: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> torch.Tensor:
        """Coordinates of the points start … stop - 1 in row-major order.

        Args:
            start: First flat index.
            stop: One past the last flat index, at most `size`.
            dtype: torch.float32 (default) or torch.float64.
            device: Device of the result; the CPU by default.

        Returns:
            The coordinates (stop - start, d).

        Raises:
            ValueError: If the range is reversed or leaves the grid.
        """
        import torch

        if not 0 <= start <= stop <= self.size:
            got = f"{start} and {stop}"
            raise ValueError(f"start and stop: expected 0 <= start <= stop <= {self.size}, got {got}")
        return self.coords(torch.arange(start, stop, dtype=torch.int64, device=device), dtype)


def _check_interval(lower: float, upper: float) -> None:
    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        raise ValueError(f"lower and upper: expected finite lower < upper, got {lower} and {upper}")
