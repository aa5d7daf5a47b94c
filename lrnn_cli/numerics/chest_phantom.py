"""A drawn slice through a chest: edges, thin bones, branching vessels and texture, of any size, from a seed.

Nobody's anatomy: ellipses and capsules painted over one another with densities as in tables of Hounsfield
units, plus band-limited noise, blurred as a scanner does. Value v = (HU + 1000) / 2000, so air is 0, water
0.5 and dense bone about 1.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

SUBPIXELS = 3
TEXTURE = 768  # lattice of the noise, whatever the size of the image
BLUR = 0.0036  # std of the scanner's point spread on [-1, 1]: 0.9 pixels of 512, as standard kernels have

# Hounsfield units
FAT, MUSCLE, SKIN, BLOOD, HEART, LUNG = -100.0, 55.0, 20.0, 45.0, 40.0, -860.0
VESSEL, CORTEX, MARROW, CANAL, WALL = 35.0, 820.0, 230.0, 25.0, -250.0


class _Canvas:
    """A fine grid on [-1, 1]², x right, y up, painted shape after shape."""

    def __init__(self, size: int) -> None:
        self.m = size * SUBPIXELS
        axis = (2 * np.arange(self.m) + 1) / self.m - 1
        self.x, self.y = axis.astype(np.float32), -axis.astype(np.float32)
        self.hu = np.full((self.m, self.m), -1000.0, dtype=np.float32)
        self.lung = np.zeros((self.m, self.m), dtype=bool)

    def box(self, x: float, y: float, reach: float) -> tuple[slice, slice]:
        """Rows and columns within `reach` of a point."""
        half = self.m / 2
        columns = slice(max(0, int((x - reach + 1) * half)), max(0, int((x + reach + 1) * half) + 2))
        rows = slice(max(0, int((1 - y - reach) * half)), max(0, int((1 - y + reach) * half) + 2))
        return rows, columns

    def ellipse(
        self, x: float, y: float, a: float, b: float, degrees: float = 0.0, power: float = 2.0
    ) -> tuple[tuple[slice, slice], np.ndarray]:
        """Box and mask of a (super)ellipse, |u/a|^power + |v/b|^power ≤ 1."""
        box = self.box(x, y, 1.2 * max(a, b))
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        dx, dy = self.x[None, box[1]] - x, self.y[box[0], None] - y
        u, v = np.abs(dx * c + dy * s) / a, np.abs(dy * c - dx * s) / b
        return box, u**power + v**power <= 1

    def paint(
        self,
        value: float,
        x: float,
        y: float,
        a: float,
        b: float,
        degrees: float = 0.0,
        power: float = 2.0,
        only: np.ndarray | None = None,
    ) -> np.ndarray:
        """Paint a (super)ellipse, where `only` allows; return what was painted as a mask of the canvas."""
        box, mask = self.ellipse(x, y, a, b, degrees, power)
        painted = np.zeros_like(self.lung)
        painted[box] = mask if only is None else mask & only[box]
        self.hu[painted] = value
        return painted

    def capsule(self, value: float, start: np.ndarray, end: np.ndarray, r0: float, r1: float) -> None:
        """Paint a segment that tapers from radius r0 to r1, inside the lungs only."""
        middle, length = (start + end) / 2, float(np.hypot(*(end - start)))
        box = self.box(float(middle[0]), float(middle[1]), length / 2 + max(r0, r1))
        dx, dy = self.x[None, box[1]] - start[0], self.y[box[0], None] - start[1]
        direction = (end - start) / max(length, 1e-9)
        along = np.clip(dx * direction[0] + dy * direction[1], 0, length)
        radius = r0 + (r1 - r0) * along / max(length, 1e-9)
        gap = (dx - along * direction[0]) ** 2 + (dy - along * direction[1]) ** 2
        self.hu[box][(gap <= radius**2) & self.lung[box]] = value

    def bone(self, x: float, y: float, a: float, b: float, degrees: float, shell: float) -> None:
        """A bone: dense shell, spongy inside."""
        self.paint(CORTEX, x, y, a, b, degrees, 2.3)
        self.paint(MARROW, x, y, max(a - shell, 0.3 * a), max(b - shell, 0.3 * b), degrees, 2.3)


def chest(size: int = 512, seed: int = 0) -> np.ndarray:
    """Draw the slice.

    Args:
        size: Pixels per side.
        seed: Seed of vessels, small variations and texture; the same objects at every size.

    Returns:
        Values in [0, 1], float64 (size, size), each the mean over its pixel of the painted shapes.
    """
    generator = np.random.default_rng(seed)
    canvas = _Canvas(size)
    inner = _trunk(canvas)
    _lungs(canvas, inner)
    _vessels(canvas, generator)
    _mediastinum(canvas, generator)
    _bones(canvas, generator)
    _texture(canvas, generator)
    value = np.clip((canvas.hu + 1000) / 2000, 0, 1)
    value = gaussian_filter(value, BLUR * canvas.m / 2, mode="nearest").astype(np.float64)
    return value.reshape(size, SUBPIXELS, size, SUBPIXELS).mean(axis=(1, 3))


def _trunk(canvas: _Canvas) -> np.ndarray:
    """Skin, fat, muscle; returns the mask of the muscle ring and all within."""
    canvas.paint(SKIN, 0.0, 0.0, 0.93, 0.68, 0, 2.4)
    canvas.paint(FAT, 0.0, 0.0, 0.915, 0.665, 0, 2.4)
    inner = canvas.paint(MUSCLE, 0.0, 0.0, 0.84, 0.6, 0, 2.3)
    for side in (-1, 1):
        canvas.paint(FAT, side * 0.55, -0.5, 0.2, 0.03, side * 22)  # between the muscles of the back
        canvas.paint(FAT, side * 0.5, 0.53, 0.24, 0.022, -side * 14)
        canvas.paint(MUSCLE, side * 0.17, -0.56, 0.13, 0.07, side * 8)
    return inner


def _lungs(canvas: _Canvas, inner: np.ndarray) -> None:
    """Two lungs, denser towards the back, each with a fissure."""
    for side, x, a in ((-1, -0.42, 0.34), (1, 0.43, 0.32)):
        canvas.lung |= canvas.paint(LUNG, x, 0.0, a, 0.47, side * -4, 2.5, only=inner)
    gravity = (25 * (0.2 - canvas.y)[:, None] + 12 * np.cos(3 * canvas.x)[None, :]).astype(np.float32)
    canvas.hu += np.where(canvas.lung, gravity, 0)
    for x0, y0, x1, y1 in ((-0.74, -0.12, -0.2, 0.12), (0.74, -0.1, 0.22, 0.2)):
        canvas.capsule(-650.0, np.array([x0, y0]), np.array([x1, y1]), 0.002, 0.002)


def _vessels(canvas: _Canvas, generator: np.random.Generator) -> None:
    """Branching trees from both hila outwards, and vessels cut across."""
    for hilum in (np.array([-0.16, 0.02]), np.array([0.17, 0.04])):
        outward = 0.0 if hilum[0] > 0 else math.pi
        for branch in np.linspace(-1.2, 1.2, 7):
            heading = outward + branch + generator.normal(0, 0.08)
            _grow(canvas, generator, hilum, heading, 0.021 * generator.uniform(0.7, 1.1), 0)
    for _ in range(420):
        x, y = generator.uniform((-0.8, -0.5), (0.8, 0.5))
        radius = 0.0022 + 0.011 * generator.random() ** 4
        canvas.paint(VESSEL, x, y, radius, radius * generator.uniform(0.6, 1), 0, only=canvas.lung)
    for _ in range(26):  # small airways: a wall round air
        x, y = generator.uniform((-0.6, -0.35), (0.6, 0.35))
        radius = generator.uniform(0.008, 0.018)
        canvas.paint(WALL, x, y, radius, radius, only=canvas.lung)
        canvas.paint(-980.0, x, y, 0.68 * radius, 0.68 * radius, only=canvas.lung)


def _grow(
    canvas: _Canvas,
    generator: np.random.Generator,
    start: np.ndarray,
    heading: float,
    radius: float,
    depth: int,
) -> None:
    """Draw one vessel as a bent chain of capsules, and its children."""
    if radius < 0.0015 or depth > 6 or (depth > 1 and generator.random() < 0.25):  # it leaves the slice
        return
    for _ in range(3):
        step = generator.uniform(0.018, 0.042) * (0.8 + 10 * radius)
        heading += generator.normal(0, 0.16)
        end = start + step * np.array([math.cos(heading), math.sin(heading)])
        canvas.capsule(VESSEL, start, end, radius, 0.93 * radius)
        start, radius = end, 0.93 * radius
    spread = generator.uniform(0.3, 0.65)
    _grow(canvas, generator, start, heading + spread * 0.6, 0.86 * radius, depth + 1)
    _grow(canvas, generator, start, heading - spread, generator.uniform(0.55, 0.8) * radius, depth + 1)


def _mediastinum(canvas: _Canvas, generator: np.random.Generator) -> None:
    """Heart with chambers, great vessels, airways, gullet, fat between them."""
    canvas.paint(FAT, 0.0, 0.22, 0.15, 0.33, 0, 2.4)
    canvas.paint(MUSCLE, 0.0, -0.12, 0.13, 0.2)
    canvas.paint(FAT + 15, 0.1, 0.12, 0.32, 0.265, -24)
    canvas.paint(HEART, 0.1, 0.115, 0.3, 0.245, -24)
    for x, y, a, b, degrees, hu in (
        (0.19, 0.07, 0.13, 0.085, -35, BLOOD + 40),
        (0.02, 0.23, 0.13, 0.075, -20, BLOOD + 30),
        (-0.09, 0.1, 0.075, 0.105, 10, BLOOD + 25),
        (0.02, -0.02, 0.11, 0.06, 0, BLOOD + 35),
    ):
        canvas.paint(hu, x, y, a, b, degrees)
    canvas.paint(BLOOD + 35, 0.02, 0.1, 0.055, 0.055)
    canvas.paint(BLOOD + 35, 0.135, -0.24, 0.062, 0.06)  # descending aorta
    canvas.paint(330.0, 0.188, -0.255, 0.004, 0.018, 20)  # lime in its wall
    canvas.paint(30.0, 0.03, -0.19, 0.04, 0.026, 15)
    canvas.paint(-900.0, 0.03, -0.19, 0.012, 0.006, 15)
    for side in (-1, 1):
        canvas.paint(-80.0, side * 0.115, -0.085, 0.046, 0.042)
        canvas.paint(-990.0, side * 0.115, -0.085, 0.036, 0.033)
    for _ in range(30):  # lymph nodes and small vessels in the fat
        x, y = generator.normal(0, 0.1), generator.uniform(0.33, 0.5)
        canvas.paint(generator.uniform(0, 80), x, y, *generator.uniform(0.003, 0.012, 2))


def _bones(canvas: _Canvas, generator: np.random.Generator) -> None:
    """Spine, ribs in the chest wall, breastbone, shoulder blades."""
    for side in (-1, 1):
        canvas.bone(side * 0.13, -0.485, 0.085, 0.024, side * 24, 0.007)
        canvas.bone(side * 0.075, -0.46, 0.026, 0.052, -side * 8, 0.007)
        canvas.bone(side * 0.6, -0.535, 0.135, 0.017, side * 33, 0.006)
    canvas.bone(0.0, -0.585, 0.022, 0.07, 0, 0.007)
    canvas.bone(0.0, -0.355, 0.125, 0.098, 0, 0.009)
    canvas.paint(CANAL, 0.0, -0.477, 0.05, 0.036)
    canvas.bone(0.0, 0.565, 0.115, 0.024, 0, 0.007)
    for side in (-1, 1):
        for degrees in (-62, -42, -22, -3, 16, 34, 51, 66):
            t = math.radians(degrees + generator.normal(0, 1.5))
            x, y = side * 0.805 * math.cos(t) ** 0.85, 0.565 * math.copysign(abs(math.sin(t)) ** 0.85, t)
            tangent = math.degrees(math.atan2(0.565 * math.cos(t), -0.805 * side * math.sin(t)))
            length = generator.uniform(0.05, 0.095)
            canvas.bone(x, y, length, generator.uniform(0.017, 0.023), tangent, 0.0055)


def _texture(canvas: _Canvas, generator: np.random.Generator) -> None:
    """Add noise: coarse and fine in the lungs, spongy in bone, faint in soft tissue."""
    place = (np.arange(canvas.m) + 0.5) * TEXTURE / canvas.m - 0.5
    grid = np.meshgrid(place, place, indexing="ij")

    def noise(width: float) -> np.ndarray:
        field = gaussian_filter(generator.standard_normal((TEXTURE, TEXTURE)), width, mode="wrap")
        return map_coordinates(field / field.std(), grid, order=1, mode="nearest").astype(np.float32)

    fine, middle, coarse = noise(1.2), noise(3.0), noise(14.0)
    hu = canvas.hu
    soft = (hu > -300) & (hu < 150)
    marrow = (hu >= 150) & (hu < 400)
    lung = canvas.lung & (hu < -600)
    hu += np.where(soft, 3 * fine + 3 * middle + 4 * coarse, 0)
    hu += np.where(marrow, 60 * fine + 25 * middle, 0)
    hu += np.where(lung, 12 * fine + 14 * middle + 14 * coarse, 0)
