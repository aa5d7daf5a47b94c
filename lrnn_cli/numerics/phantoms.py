"""Test objects whose line integrals are known in closed form: ellipses and Gaussian blobs.

Coordinates as in `lrnn_cli.numerics.scan_geometry`: x to the right, y up, origin in the middle of the image.
Shapes are given on the square [-1, 1]² and scaled to an image of side n h by `half_side` = n h / 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrnn_cli.numerics.scan_geometry import Geometry

SUBPIXELS = 8


@dataclass(frozen=True)
class Ellipse:
    """An ellipse of constant value: half axes a (along its own x) and b, turned by `angle` radians.

    Line integral along x cos θ + y sin θ = s, with t = s - x₀ cos θ - y₀ sin θ and
    r² = a² cos²(θ - φ) + b² sin²(θ - φ):  2 a b sqrt(r² - t²) / r² · value for |t| < r.
    """

    value: float
    a: float
    b: float
    x: float = 0.0
    y: float = 0.0
    angle: float = 0.0

    def _terms(self, theta: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = s - self.x * np.cos(theta) - self.y * np.sin(theta)
        return t, (self.a * np.cos(theta - self.angle)) ** 2 + (self.b * np.sin(theta - self.angle)) ** 2

    def line(self, theta: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Line integrals; arrays that broadcast against each other."""
        t, r2 = self._terms(theta, s)
        return self.value * 2 * self.a * self.b * np.sqrt(np.maximum(r2 - t**2, 0)) / r2

    def cumulative(self, theta: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Integral of `line` over s from -∞, for exact means over bins."""
        t, r2 = self._terms(theta, s)
        u = np.clip(t / np.sqrt(r2), -1, 1)
        return self.value * self.a * self.b * (u * np.sqrt(1 - u**2) + np.arcsin(u) + np.pi / 2)

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The value inside and 0 outside."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        along, across = (x - self.x) * c + (y - self.y) * s, (y - self.y) * c - (x - self.x) * s
        return self.value * ((along / self.a) ** 2 + (across / self.b) ** 2 <= 1)


@dataclass(frozen=True)
class Blob:
    """A Gaussian, value · exp(-|r - r₀|² / (2 σ²)); line integral value · σ √(2π) exp(-t² / (2 σ²))."""

    value: float
    std: float
    x: float = 0.0
    y: float = 0.0

    def line(self, theta: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Line integrals; arrays that broadcast against each other."""
        t = s - self.x * np.cos(theta) - self.y * np.sin(theta)
        return self.value * self.std * np.sqrt(2 * np.pi) * np.exp(-(t**2) / (2 * self.std**2))

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The Gaussian at points."""
        return self.value * np.exp(-((x - self.x) ** 2 + (y - self.y) ** 2) / (2 * self.std**2))


def _toft() -> tuple[Ellipse, ...]:
    degrees = np.pi / 180
    return (
        Ellipse(1.0, 0.69, 0.92),
        Ellipse(-0.8, 0.6624, 0.874, 0.0, -0.0184),
        Ellipse(-0.2, 0.11, 0.31, 0.22, 0.0, -18 * degrees),
        Ellipse(-0.2, 0.16, 0.41, -0.22, 0.0, 18 * degrees),
        Ellipse(0.1, 0.21, 0.25, 0.0, 0.35),
        Ellipse(0.1, 0.046, 0.046, 0.0, 0.1),
        Ellipse(0.1, 0.046, 0.046, 0.0, -0.1),
        Ellipse(0.1, 0.046, 0.023, -0.08, -0.605),
        Ellipse(0.1, 0.023, 0.023, 0.0, -0.606),
        Ellipse(0.1, 0.023, 0.046, 0.06, -0.605),
    )


# Modified Shepp-Logan phantom on [-1, 1]²; contrasts of P. Toft, The Radon Transform, 1996.
SHEPP_LOGAN: tuple[Ellipse, ...] = _toft()
BLOBS: tuple[Blob, ...] = (
    Blob(1.0, 0.2, -0.2, 0.3),
    Blob(0.7, 0.12, 0.35, 0.1),
    Blob(-0.4, 0.1, 0.1, -0.4),
    Blob(0.5, 0.08, -0.4, -0.35),
)


def raster(shapes: Sequence[Ellipse | Blob], size: int, subpixels: int = SUBPIXELS) -> np.ndarray:
    """Mean of the shapes over every pixel of the square [-1, 1]².

    Args:
        shapes: Shapes on [-1, 1]², added.
        size: Pixels n per side.
        subpixels: Samples per pixel and axis.

    Returns:
        The image, float64 (n, n), row 0 on top.
    """
    m = size * subpixels
    x = (2 * np.arange(m) + 1) / m - 1
    image = np.zeros((size, size))
    for row in range(size):  # one row of pixels at a time, so that memory stays small
        y = -x[row * subpixels : (row + 1) * subpixels, None]
        total = sum((shape.inside(x[None, :], y) for shape in shapes), np.zeros((subpixels, m)))
        image[row] = total.reshape(subpixels, size, subpixels).mean(axis=(0, 2))
    return image


def sinogram(shapes: Sequence[Ellipse | Blob], geometry: Geometry) -> np.ndarray:
    """Line integrals of the shapes along the middle of every bin, in closed form.

    Args:
        shapes: Shapes on [-1, 1]², scaled to the image of the geometry.
        geometry: The scan, parallel or fan.

    Returns:
        p, float64 (views, bins), in units of value times length.
    """
    half_side = geometry.size * geometry.pixel_size / 2
    theta, s = geometry.lines()
    return half_side * sum(
        (shape.line(theta, s / half_side) for shape in shapes), np.zeros(geometry.sinogram_shape)
    )


def bin_sinogram(ellipses: Sequence[Ellipse], geometry: Geometry) -> np.ndarray:
    """Means of the line integrals over every bin of a parallel beam, in closed form.

    Args:
        ellipses: Ellipses on [-1, 1]², scaled to the image of the geometry.
        geometry: The scan, parallel.

    Returns:
        p, float64 (views, bins), in units of value times length.

    Raises:
        ValueError: If the beam is a fan, whose bins hold rays of many angles.
    """
    if geometry.is_fan:
        raise ValueError("geometry: means over bins are known in closed form for a parallel beam only")
    half_side, d = geometry.size * geometry.pixel_size / 2, geometry.detector_spacing
    theta, s = geometry.theta[:, None], geometry.offsets()[None, :]
    total = np.zeros(geometry.sinogram_shape)
    for ellipse in ellipses:
        upper = ellipse.cumulative(theta, (s + d / 2) / half_side)
        total += upper - ellipse.cumulative(theta, (s - d / 2) / half_side)
    return total * half_side**2 / d
