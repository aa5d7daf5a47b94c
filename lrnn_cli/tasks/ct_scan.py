"""From a slice or a measured sinogram to a scan in scale-free units: what all methods of a run share.

Internally lengths count pixels and attenuation is u = μ / μ_ref, so that image and step sizes are O(1)
whatever the units of the file: a line integral p without unit becomes p / (μ_ref h) with the pixel size
h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.ndimage import zoom

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.numerics import noise
from lrnn_cli.numerics.coords import view_angles
from lrnn_cli.numerics.fbp import fbp
from lrnn_cli.numerics.projection import Geometry, Model, Projector, default_bins
from lrnn_cli.numerics.rotation_center import find_center
from lrnn_cli.numerics.view_shares import share_turn
from lrnn_cli.signals.sinogram import EDGE_SHARE, Sinogram
from lrnn_cli.signals.slices import HOUNSFIELD, Slice, Units, block_means
from lrnn_cli.tasks.ct_settings import MU_WATER_PER_MM, ScanSettings

I0_DEFAULT = 1e5  # counts of the open beam, of a simulated scan with --noise poisson
OUTSIDE_SHARE = 0.01  # of a measured sinogram that may lie on rays past the slice, as noise does
BRIGHT = 99.5  # percentile of a first reconstruction that stands for u = 1 in measured data


@dataclass(frozen=True, eq=False)
class Scan:
    """Projections, ready to be reconstructed.

    Attributes:
        geometry: with pixels of side 1.
        operator: model of the projector that reconstructs.
        memory_limit_mb: above which its matrices are not stored.
        sinogram: line integrals of u, float32 (views, bins).
        weights: inverse variances where counts are known, for the data term; else None.
        variance: of the line integrals of u where the noise is known, for chi squared, infinite on rays that
            do not count there; else None.
        truth: u, float64 (n, n), where there is one.
        box: (top, bottom, left, right) where the truth is no padding.
        data_range: peak of PSNR and SSIM, in u.
        units: of the output.
        setting: what stands beside every number.
        source: path, digest, kind, shape and dtype of the input, and name of the run.
        notes: for the user.
        warnings: for the user to look at.
    """

    geometry: Geometry
    operator: Model
    memory_limit_mb: float
    sinogram: np.ndarray
    weights: np.ndarray | None
    variance: np.ndarray | None
    truth: np.ndarray | None
    box: tuple[int, int, int, int]
    data_range: float
    units: Units
    setting: dict[str, Any]
    source: dict[str, Any]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The setting in one line."""
        s = self.setting
        crime = ", inverse crime" if s["inverse_crime"] else ""
        form = "over [{:g}, {:g})" if _in_order(self.geometry.theta) else "from {:g} to {:g}"
        fan = f"fan beam ({s['source_distance']:g} + {s['detector_distance']:g}), " if s["fan"] else ""
        return (
            f"{fan}{s['views']} views {form.format(*s['angles_deg'])} degrees, {s['bins']} bins, "
            f"noise {s['noise']}, operator {s['operator']}{crime}"
        )


def simulate(found: Slice, settings: ScanSettings, seed: int) -> Scan:
    """Scan a slice.

    The projections come from exact strips over a grid at least twice as fine as the one that
    reconstructs, unless the inverse crime or rotate-and-sum, whose point is the common operator, is asked
    for.

    Args:
        found: the slice.
        settings: of the scan.
        seed: of the noise.

    Returns:
        The scan.

    Raises:
        ConfigError: when options do not go together.
    """
    n = settings.size or len(found.u)
    factor = len(found.u) // n if n else 1
    truth = block_means(found.u, n, found.path)
    pixel = settings.pixel_size or found.pixel_size * factor
    mu_ref = 2 * (settings.mu_water or MU_WATER_PER_MM)
    is_crime = settings.inverse_crime or settings.operator == "rotate"
    beam = _beam(settings, pixel, n)
    spacing = settings.detector_spacing / pixel if settings.detector_spacing else _magnification(settings)
    if settings.operator == "rotate" and spacing != 1:
        raise ConfigError("--operator rotate: its bins are pixels; leave --detector-spacing out")
    angles = np.deg2rad(view_angles(*settings.turn, settings.views))
    bins = n if settings.operator == "rotate" else default_bins(n, 1.0, spacing, **beam)
    geometry = Geometry(n, angles, bins, 1.0, spacing, **beam)
    if is_crime:
        clean = _project(truth, geometry, settings.operator)
    else:
        fine = found.u if factor > 1 else refined(truth)
        k = len(fine) // n
        clean = _project(fine, Geometry(n * k, angles, bins, 1.0 / k, spacing, **beam), "strip")
    unit = mu_ref * pixel
    sinogram, weights, variance, told, notes = _noisy(clean, settings, unit, seed)
    return Scan(
        geometry=geometry,
        operator=settings.operator,
        memory_limit_mb=settings.matrix_memory_mb,
        sinogram=sinogram.astype(np.float32),
        weights=None if weights is None else weights.astype(np.float32),
        variance=variance,
        truth=truth,
        box=_whole_blocks(found.box, factor),
        data_range=found.data_range,
        units=found.units,
        setting=_setting(geometry, settings, pixel, "simulated", told, is_crime, mu_ref),
        source={
            "path": found.path, "sha256": found.sha256, "kind": "slice", "shape": list(found.shape),
            "dtype": found.dtype, "name": found.name,
        },
        notes=(*found.notes, *notes, *_memory_note(geometry, settings)),
        warnings=(*found.warnings, *_short_turn(geometry)),
    )  # fmt: skip


def _whole_blocks(box: tuple[int, int, int, int], factor: int) -> tuple[int, int, int, int]:
    """The box in block means that hold no padding; where there is none, in those that hold any data."""

    def within(first: int, end: int) -> tuple[int, int]:
        whole = -(-first // factor), end // factor
        return whole if whole[0] < whole[1] else (first // factor, -(-end // factor))

    top, bottom, left, right = box
    return *within(top, bottom), *within(left, right)


def _beam(settings: ScanSettings, pixel: float, n: int) -> dict[str, float]:
    """Distances of a fan beam in pixels.

    Returns:
        Keywords of `Geometry`; none for a parallel beam.

    Raises:
        ConfigError: when the source stands inside the image.
    """
    if settings.source_distance is None or settings.detector_distance is None:
        return {}
    source, least = settings.source_distance / pixel, n / math.sqrt(2)
    if source <= least:
        raise ConfigError(
            f"--source-distance {settings.source_distance:g}: the source must stand outside the image, more "
            f"than {least * pixel:g} from the axis"
        )
    return {"source_distance": source, "detector_distance": settings.detector_distance / pixel}


def _magnification(settings: ScanSettings) -> float:
    """How much larger than on the axis a thing appears on the detector; 1 for a parallel beam."""
    if settings.source_distance is None or settings.detector_distance is None:
        return 1.0
    return 1.0 + settings.detector_distance / settings.source_distance


def _short_turn(geometry: Geometry) -> tuple[str, ...]:
    """A warning where the views of a fan do not see every line."""
    source = geometry.source_distance
    if source is None or geometry.n_views < 2:
        return ()
    turned = share_turn(geometry.theta, 2 * math.pi).turned
    theta, _ = geometry.lines()
    half_fan = float(np.abs(theta - geometry.theta[:, None]).max())
    needed = math.pi + 2 * min(half_fan, math.asin(geometry.radius / source))
    if turned >= needed - 1e-9:
        return ()
    return (
        f"the fan beam turns {math.degrees(turned):.4g} degrees, but half a turn and the fan make "
        f"{math.degrees(needed):.4g}: some lines are not seen; a full turn is 0:360",
    )


def _memory_note(geometry: Geometry, settings: ScanSettings) -> tuple[str, ...]:
    """Say when the matrices of the operator would be too large to be stored."""
    expected = Projector.expected_mb(geometry, settings.operator)
    if expected <= settings.matrix_memory_mb:
        return ()
    return (
        f"the projection matrices would take about {expected:.0f} MB, more than --matrix-memory "
        f"{settings.matrix_memory_mb:g}: their entries are computed anew in every product, which is slower",
    )


def _project(u: np.ndarray, geometry: Geometry, model: Model) -> np.ndarray:
    """One projection without storing a matrix."""
    projector = Projector(geometry, model, torch.float64, memory_limit_mb=0.0)
    return projector.forward(torch.from_numpy(u)).numpy()


def refined(truth: np.ndarray) -> np.ndarray:
    """Return an image of twice the pixels per side, smooth within, whose 2 x 2 means are the truth.

    Args:
        truth: (n, n).

    Returns:
        Cubic interpolation plus what it misses of every mean, (2n, 2n).
    """
    fine = zoom(truth, 2, order=3, mode="grid-constant", grid_mode=True)
    n = len(truth)
    missing = truth - fine.reshape(n, 2, n, 2).mean(axis=(1, 3))
    return np.asarray(fine + np.kron(missing, np.ones((2, 2))))


def _noisy(
    clean: np.ndarray, settings: ScanSettings, unit: float, seed: int
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, str, tuple[str, ...]]:
    """Sinogram of u, weights, variance, the noise in words, notes; p without unit is unit times that of u."""
    if settings.noise == "poisson":
        i0 = settings.i0 or I0_DEFAULT
        p, inverse = noise.poisson(clean * unit, i0, settings.electronic, seed)
        told = f"poisson (I0 {i0:g}, electronic {settings.electronic:g})"
        starved = noise.count_starved(p, i0)
        notes = (f"{starved} of {p.size} bins without a photon count as half a photon",) if starved else ()
        return p / unit, inverse * unit**2, 1 / (inverse * unit**2), told, notes
    if settings.noise == "readout":
        p = noise.readout(clean, settings.tau, settings.readout, seed)
        variance = noise.readout_variance(clean, settings.tau, settings.readout)
        return p, None, variance, f"readout (tau {settings.tau:g}, readout {settings.readout:g})", ()
    return clean, None, None, "none", ()


def measured(found: Sinogram, settings: ScanSettings) -> Scan:
    """Prepare a measured scan.

    Args:
        found: the sinogram.
        settings: of the scan.

    Returns:
        The scan; its units are HU where `mu_water` is given, else 1 / length.

    Raises:
        ConfigError: when the centre lies off the detector or cannot be found.
        InputError: when nothing can be seen in the data.
    """
    n_bins = found.values.shape[1]
    magnification = _magnification(settings)
    spacing = settings.detector_spacing or (settings.pixel_size or 1.0) * magnification
    pixel = settings.pixel_size or spacing / magnification  # a bin, as wide as it is on the axis
    n = settings.size or max(8, math.floor(n_bins * spacing / magnification / pixel + 1e-9))
    notes = list(found.notes)
    center = _center(found, settings.center, n_bins, notes)
    geometry = Geometry(n, found.angles, n_bins, 1.0, spacing / pixel, center, **_beam(settings, pixel, n))
    first = fbp(torch.from_numpy(found.values), geometry, "hann")
    bright = float(np.percentile(first.numpy(), BRIGHT))
    if not bright > 0:
        raise InputError(f"{found.path}: a first reconstruction is empty; check --angles and --layout")
    mu_ref = 2 * settings.mu_water if settings.mu_water else bright / pixel
    unit = mu_ref * pixel
    units = HOUNSFIELD if settings.mu_water else Units("1/length", 0.0, mu_ref)
    weights = None if found.weights is None else found.weights * unit**2
    noise_told = "measured" if weights is None else "measured, count-weighted"
    return Scan(
        geometry=geometry,
        operator=settings.operator,
        memory_limit_mb=settings.matrix_memory_mb,
        sinogram=(found.values / unit).astype(np.float32),
        weights=None if weights is None else weights.astype(np.float32),
        variance=None if weights is None else 1 / weights,
        truth=None,
        box=(0, n, 0, n),
        data_range=1.0,
        units=units,
        setting=_setting(geometry, settings, pixel, "measured", noise_told, False, mu_ref),
        source={
            "path": found.path, "sha256": found.sha256, "kind": "sinogram", "shape": list(found.values.shape),
            "dtype": found.dtype, "name": found.name,
        },
        notes=(*notes, *_memory_note(geometry, settings)),
        warnings=(*found.warnings, *_short_turn(geometry), *_cut_out(found.values, geometry, pixel)),
    )  # fmt: skip


def _cut_out(values: np.ndarray, geometry: Geometry, pixel: float) -> tuple[str, ...]:
    """A warning where part of the data comes from rays that miss the slice; geometry in pixels."""
    theta, s = geometry.lines()
    reach = geometry.size / 2 * (np.abs(np.cos(theta)) + np.abs(np.sin(theta))) + 1  # and a pixel of blur
    outside = (np.abs(s) > reach) & (values > EDGE_SHARE * values.max())
    share = float(values[outside].sum() / np.abs(values).sum())
    if share <= OUTSIDE_SHARE:
        return ()
    n, spacing = geometry.size, geometry.detector_spacing
    size = math.ceil(2 * float(np.abs(s[outside]).max()) + spacing)
    return (
        f"{100 * share:.2g} % of the data lie on rays that miss the slice of {n} pixels of {pixel:.4g}: all "
        f"methods but FBP press what lies outside into it; --size {size}, or --pixel-size "
        f"{pixel * size / n:.4g} with --detector-spacing {spacing * pixel:.4g}, takes in all of the object",
    )


def _center(found: Sinogram, asked: float | str | None, n_bins: int, notes: list[str]) -> float | None:
    if asked is None:
        return None
    if asked == "auto":
        try:
            center = find_center(found.values, found.angles)
        except ValueError as error:
            raise ConfigError(f"--center auto: {error}; give --center BIN") from error
        middle = (n_bins - 1) / 2
        notes.append(f"axis of rotation found at bin {center:.2f}; the middle of the detector is {middle:g}")
        return center
    if not 0 <= float(asked) <= n_bins - 1:
        raise ConfigError(f"--center {asked:g}: expected a bin from 0 to {n_bins - 1}")
    return float(asked)


def _setting(
    geometry: Geometry,
    settings: ScanSettings,
    pixel: float,
    kind: str,
    noise_told: str,
    is_crime: bool,
    mu_ref: float,
) -> dict[str, Any]:
    source = None if kind == "measured" else settings.operator if is_crime else "strip, finer grid"
    return {
        "kind": kind,
        "fan": geometry.is_fan,
        "source_distance": settings.source_distance,
        "detector_distance": settings.detector_distance,
        "views": geometry.n_views,
        "angles_deg": _interval(geometry.theta),
        "bins": geometry.n_bins,
        "center_bin": geometry.axis_bin,
        "size": geometry.size,
        "pixel_size": pixel,
        "detector_spacing": geometry.detector_spacing * pixel,
        "noise": noise_told,
        "operator": settings.operator,
        "simulated_with": source,
        "inverse_crime": is_crime,
        "mu_reference": mu_ref,
    }


def _in_order(theta: np.ndarray) -> bool:
    """Whether angles only rise, or only fall."""
    steps = np.diff(theta)
    return bool(np.all(steps >= 0) or np.all(steps <= 0))


def _interval(theta: np.ndarray) -> list[float]:
    """The first angle and the end, a step after the last, in degrees; least and largest if in no order."""
    degrees = np.rad2deg(theta)
    first, end = degrees.min(), degrees.max()
    if _in_order(theta):
        first, end = degrees[0], degrees[-1] + (np.median(np.diff(degrees)) if len(degrees) > 1 else 0.0)
    return [round(float(angle), 6) + 0.0 for angle in (first, end)]  # + 0 makes 0 of -0
