"""Where the rays of a scan lie: the one place that fixes axes, angles, signs and units of tomography.

Image: f[row, column], n x n square pixels of side h (`pixel_size`). With x to the right and y **up**,

    x = (column - (n - 1) / 2) h,   y = ((n - 1) / 2 - row) h,

so the axis of rotation is the origin, in the middle of the image for even and odd n alike.

Parallel beam: the view at angle θ (radians, counterclockwise as the picture is looked at) integrates along

    x cos θ + y sin θ = s,   s_b = (b - c) d,   b = 0 … n_bins - 1,

with the bin spacing d (`detector_spacing`) and the bin coordinate c of the axis (`center`). View 0 sums over
columns (b grows with the column), view 90° over rows (b grows upwards, against the row).

Flat fan beam: at view angle β the source stands at distance R_s from the axis, in direction (sin β, -cos β),
the detector line at distance R_d on the other side, parallel to (cos β, sin β), with u_b = (b - c) d along
it. With tan γ = u / (R_s + R_d) the ray is the line of a parallel beam with θ = β - γ, s = R_s sin γ; for
R_s → ∞ the fan becomes the parallel beam of the same angles.

Lengths share one unit (that of h, for example mm); image values are per that unit, line integrals have none.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Geometry:
    """A scan: image grid, angles and detector. Immutable, comparable and hashable.

    Attributes:
        size: Pixels n per side of the square image.
        angles: View angles in radians, any order and number; kept as a tuple.
        n_bins: Detector bins per view.
        pixel_size: Side h of a pixel.
        detector_spacing: Distance d of neighbouring bins (on the detector, also for a fan).
        center: Bin coordinate c of the axis of rotation; None for the middle, (n_bins - 1) / 2.
        source_distance: R_s, axis to source; None for a parallel beam.
        detector_distance: R_d, axis to detector; None for a parallel beam.
    """

    size: int
    angles: Sequence[float] | np.ndarray
    n_bins: int
    pixel_size: float = 1.0
    detector_spacing: float = 1.0
    center: float | None = None
    source_distance: float | None = None
    detector_distance: float | None = None

    def __post_init__(self) -> None:
        """Freeze the angles and check everything.

        Raises:
            ValueError: If a size, a length or an angle makes no scan.
        """
        angles = tuple(float(angle) for angle in np.asarray(self.angles, dtype=np.float64).reshape(-1))
        object.__setattr__(self, "angles", angles)
        if not angles or not all(map(math.isfinite, angles)):
            raise ValueError("angles: expected at least one view, all angles finite")
        for name in ("size", "n_bins"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("pixel_size", "detector_spacing"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name}: expected a positive length, got {getattr(self, name)}")
        if self.center is not None and not math.isfinite(self.center):
            raise ValueError(f"center: expected a finite bin coordinate, got {self.center}")
        if (self.source_distance is None) != (self.detector_distance is None):
            raise ValueError("source_distance and detector_distance: a fan beam needs both")
        if self.source_distance is not None and self.detector_distance is not None:
            if not self.source_distance > self.radius:
                raise ValueError(
                    f"source_distance: the source must stand outside the image, more than {self.radius:g} "
                    f"from the axis, got {self.source_distance:g}"
                )
            if not 0 <= self.detector_distance < math.inf:
                raise ValueError(f"detector_distance: expected 0 or more, got {self.detector_distance:g}")

    @property
    def theta(self) -> np.ndarray:
        """The view angles in radians, float64 (v,)."""
        return np.asarray(self.angles, dtype=np.float64)

    @property
    def n_views(self) -> int:
        """Number of views v."""
        return len(self.angles)

    @property
    def axis_bin(self) -> float:
        """Bin coordinate c of the axis of rotation."""
        return (self.n_bins - 1) / 2 if self.center is None else self.center

    @property
    def radius(self) -> float:
        """Distance from the axis to a corner of the image."""
        return self.size * self.pixel_size / math.sqrt(2)

    @property
    def is_fan(self) -> bool:
        """Whether the rays of a view meet in a source."""
        return self.source_distance is not None

    @property
    def sinogram_shape(self) -> tuple[int, int]:
        """(views, bins)."""
        return self.n_views, self.n_bins

    def offsets(self) -> np.ndarray:
        """Detector coordinates (b - c) d of the bin centres, float64 (bins,)."""
        return (np.arange(self.n_bins) - self.axis_bin) * self.detector_spacing

    def pixel_axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of the pixel centres.

        Returns:
            y of every row (descending) and x of every column (ascending), float64 (n,) each.
        """
        x = (np.arange(self.size) - (self.size - 1) / 2) * self.pixel_size
        return -x, x

    def lines(self) -> tuple[np.ndarray, np.ndarray]:
        """Every ray as a line x cos θ + y sin θ = s.

        Returns:
            θ and s, float64 (views, bins) each.
        """
        theta, u = self.theta[:, None], self.offsets()[None, :]
        if self.source_distance is None or self.detector_distance is None:
            return np.broadcast_to(theta, self.sinogram_shape), np.broadcast_to(u, self.sinogram_shape)
        gamma = np.arctan2(u, self.source_distance + self.detector_distance)
        return theta - gamma, np.broadcast_to(self.source_distance * np.sin(gamma), self.sinogram_shape)

    def subset(self, views: Sequence[int] | np.ndarray) -> Geometry:
        """Return the same scan with some of its views, in the order given."""
        return dataclasses.replace(self, angles=self.theta[np.asarray(views, dtype=np.int64)])


def default_bins(
    size: int,
    pixel_size: float = 1.0,
    detector_spacing: float = 1.0,
    source_distance: float | None = None,
    detector_distance: float | None = None,
) -> int:
    """Fewest bins that see the whole square image from every angle: none of its rays is cut.

    Parallel: ⌈√2 n h / d⌉. Fan: twice the detector coordinate of the ray that touches the circle round the
    image, r = n h / √2: ⌈2 (R_s + R_d) tan(arcsin(r / R_s)) / d⌉.

    Args:
        size: Pixels n per side.
        pixel_size: Side h of a pixel.
        detector_spacing: Distance d of neighbouring bins.
        source_distance: R_s of a fan beam.
        detector_distance: R_d of a fan beam.

    Returns:
        The number of bins, for an axis in the middle of the detector.

    Raises:
        ValueError: If the source stands inside the image.
    """
    radius = size * pixel_size / math.sqrt(2)
    reach = radius
    if source_distance is not None and detector_distance is not None:
        if source_distance <= radius:
            raise ValueError(f"source_distance: expected more than {radius:g}, got {source_distance:g}")
        reach = (source_distance + detector_distance) * radius / math.sqrt(source_distance**2 - radius**2)
    return math.ceil(2 * reach / detector_spacing)
