"""A measured sinogram with its angles: which axis is which, line integrals from counts, what looks wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lrnn_cli.errors import InputError
from lrnn_cli.numerics.checks import count_nonfinite, describe_nonfinite
from lrnn_cli.numerics.coords import view_angles
from lrnn_cli.numerics.noise import count_starved, from_counts, open_beam
from lrnn_cli.signals.arrays import read_array

Layout = Literal["auto", "angles-first", "bins-first"]
EDGE_SHARE = 0.05  # of the largest line integral: what the outermost bins may hold of an object in full view
SMALL_ANGLES = 6.3  # just over 2 π
FEWEST_PHOTONS = 10.0  # of an open beam; below, the values are hardly counts


@dataclass(frozen=True, eq=False)
class Sinogram:
    """Line integrals of a scan.

    Attributes:
        values: p = -log(I / I₀), float64 (views, bins).
        angles: of the views in radians, float64 (views,).
        weights: inverse variances, (views, bins), where counts are known; else None.
        name: stem of the file.
        path: as given.
        sha256: digest of the file.
        dtype: of the file.
        notes: what was detected, for the user.
        warnings: what the user should look at.
    """

    values: np.ndarray
    angles: np.ndarray
    weights: np.ndarray | None
    name: str
    path: str
    sha256: str
    dtype: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_sinogram(
    path: str | Path,
    angles: str | None,
    *,
    radians: bool = False,
    layout: Layout = "auto",
    flat: str | None = None,
    dark: str | None = None,
    i0: float | None = None,
    electronic: float = 0.0,
) -> Sinogram:
    """Read a sinogram, line integrals or raw counts.

    Args:
        path: NPY, NPZ (array `sinogram`), TIFF or CSV file.
        angles: START:STOP:COUNT (half-open), or a file with one angle per view; None for the array
            `angles` of an NPZ file.
        radians: whether the angles are in radians.
        layout: which axis comes first; auto tells by the number of angles.
        flat: file with the open beam per bin, or frames of it; makes the sinogram one of counts.
        dark: file with the counts without a beam.
        i0: counts of the open beam; makes the sinogram one of counts.
        electronic: standard deviation of the electronics in counts.

    Returns:
        The line integrals, one row per view.

    Raises:
        InputError: when a file cannot be read, the numbers of views and angles differ, or values are
            unusable.
    """
    found = read_array(path)
    name = str(path)
    values = found.values
    if values.ndim != 2:
        raise InputError(
            f"{name}: expected one slice, (views, bins), got shape {values.shape}; save one slice"
        )
    n_nan, n_infinite = count_nonfinite(values)
    if n_nan or n_infinite:
        raise InputError(
            f"{name}: {describe_nonfinite(n_nan, n_infinite, values.size)}; mend those bins first"
        )
    theta, warnings = read_angles(angles, found.others.get("angles"), radians=radians, name=name)
    values, notes = oriented(values, len(theta), layout, name)
    weights = None
    if flat is not None or i0 is not None:
        values, weights, more = _integrals(values, flat, dark, i0, electronic, name)
        notes += more
    elif dark is not None:
        raise InputError(
            f"{dark}: a dark field without an open beam is of no use; give --flat or --i0 as well"
        )
    if values.max() <= 0:
        raise InputError(f"{name}: no line integral is above 0, so nothing stands in the beam")
    warnings += edge_warning(values)
    return Sinogram(
        values,
        theta,
        weights,
        Path(path).stem,
        name,
        found.sha256,
        found.dtype,
        tuple(notes),
        tuple(warnings),
    )


def read_angles(
    text: str | None, stored: np.ndarray | None, *, radians: bool, name: str
) -> tuple[np.ndarray, list[str]]:
    """Read the view angles.

    Args:
        text: START:STOP:COUNT, or a file; None to take those stored beside the sinogram.
        stored: angles found in the sinogram's own file.
        radians: whether they are in radians.
        name: of the sinogram, for messages.

    Returns:
        The angles in radians, float64 (v,), and warnings about them.

    Raises:
        InputError: when there are none, or they cannot be read.
    """
    if text is None:
        if stored is None:
            raise InputError(
                f"{name}: no angles; give --angles FILE or --angles START:STOP:COUNT as 0:180:100"
            )
        source = f"{name} (angles)"
        if stored.dtype.kind not in "iuf":
            raise InputError(
                f"{source}: expected real numbers, got {stored.dtype} of shape {stored.shape}; "
                "save one number per view"
            )
        values = stored.astype(np.float64).reshape(-1)
    elif text.count(":") == 2 and not Path(text).exists():
        source, values = f"--angles {text}", _angle_range(text)
    else:
        source, values = text, read_array(text, key="angles").values.reshape(-1)
    if not values.size:
        raise InputError(f"{source}: expected at least one angle, got none")
    if not np.isfinite(values).all():
        raise InputError(f"{source}: the angles hold NaN or infinity; write one number per view")
    return (values if radians else np.deg2rad(values)), _odd_angles(values, radians, source)


def _angle_range(text: str) -> np.ndarray:
    try:
        start, stop, count = (float(part) for part in text.split(":"))
        if count != int(count):
            raise ValueError
        return view_angles(start, stop, int(count))
    except (ValueError, OverflowError):
        raise InputError(
            f"--angles {text}: expected START:STOP:COUNT with COUNT >= 1 and another STOP, as 0:180:100"
        ) from None


def _odd_angles(values: np.ndarray, radians: bool, source: str) -> list[str]:
    """What makes one suspect that the angles are not what they are said to be."""
    found = []
    turn = 2 * math.pi if radians else 360.0
    if not radians and len(values) > 1 and np.abs(values).max() < SMALL_ANGLES and np.ptp(values) > 0:
        found.append(
            f"{source}: all angles are below 6.3 and read as degrees; if they are radians, add --radians"
        )
    if radians and np.abs(values).max() > 4 * math.pi:
        found.append(f"{source}: angles up to {np.abs(values).max():g} read as radians; are they degrees?")
    steps = np.diff(values)
    if len(steps) and not (np.all(steps >= 0) or np.all(steps <= 0)):
        found.append(f"{source}: the angles are not in order; every one is taken as it stands")
    folded = np.round(np.mod(values, turn) / turn, 9) % 1.0
    repeated = len(values) - len(np.unique(folded))
    if repeated:
        found.append(f"{source}: {repeated} of {len(values)} angles are repeated; such views count twice")
    return found


def oriented(values: np.ndarray, n_angles: int, layout: Layout, name: str) -> tuple[np.ndarray, list[str]]:
    """Bring a sinogram into the order (views, bins).

    Args:
        values: two axes.
        n_angles: number of angles.
        layout: what the user says; auto to tell by the number of angles.
        name: for messages.

    Returns:
        The array with one row per view, and notes on what was decided.

    Raises:
        InputError: when neither axis, or not the one named, has as many entries as there are angles.
    """
    rows, columns = values.shape
    if layout == "auto":
        if rows == n_angles:
            note = f"{rows}x{columns} values: as many rows as columns, rows are taken as views; else --layout"
            return values, [note] if rows == columns else []
        if columns == n_angles:
            note = f"{rows}x{columns} values and {n_angles} angles: read as bins x views and transposed"
            return np.ascontiguousarray(values.T), [note]
        raise InputError(
            f"{name}: {n_angles} angles fit neither its {rows} rows nor its {columns} columns; check --angles"
        )
    views, other, wrong = (
        (rows, columns, "bins-first") if layout == "angles-first" else (columns, rows, "angles-first")
    )
    if views != n_angles:
        hint = f"as --layout {wrong} it would fit" if other == n_angles else "check --angles"
        raise InputError(
            f"{name}: with --layout {layout} it has {views} views, but there are {n_angles} angles; {hint}"
        )
    return (values if layout == "angles-first" else np.ascontiguousarray(values.T)), []


def _integrals(
    counts: np.ndarray, flat: str | None, dark: str | None, i0: float | None, electronic: float, name: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """From counts to line integrals and weights, with notes."""
    if flat is not None and i0 is not None:
        raise InputError(f"{flat}: --flat and --i0 both state the open beam; give one of them")
    if (counts < 0).any():
        raise InputError(
            f"{name}: {int((counts < 0).sum())} counts are negative; is it a sinogram of line integrals?"
        )
    fields = {}
    for option, field in (("flat", flat), ("dark", dark)):
        if field is None:
            continue
        frames = read_array(field, key=option).values
        if frames.shape[-1] != counts.shape[1] or frames.ndim > 2:
            raise InputError(
                f"{field}: expected {counts.shape[1]} bins as in the sinogram, got shape {frames.shape}"
            )
        fields[option] = frames
    try:
        values, weights = from_counts(counts, i0=i0, electronic_std=electronic, **fields)
        beam = open_beam(i0, fields.get("flat"), fields.get("dark"))
    except ValueError as error:
        raise InputError(f"{flat or name}: {error}") from error
    if float(np.median(beam)) < FEWEST_PHOTONS:
        raise InputError(
            f"{flat or name}: an open beam of {float(np.median(beam)):.3g} is no number of photons; for "
            "transmissions I / I0 save the line integrals -log(I / I0), without --flat, --dark and --i0"
        )
    starved = count_starved(values, beam)
    notes = [f"{starved} bins without a photon count as half a photon"] if starved else []
    return values, weights, notes


def edge_warning(values: np.ndarray) -> list[str]:
    """Say when the object seems to reach over the edge of the detector.

    Args:
        values: line integrals, (views, bins).

    Returns:
        One warning, or none.
    """
    edge = np.maximum(np.median(values[:, :2], axis=1), np.median(values[:, -2:], axis=1))
    share = float(edge.max() / values.max())
    if share <= EDGE_SHARE:
        return []
    return [
        f"the outermost bins hold up to {100 * share:.0f} % of the largest line integral: the object seems "
        "to be larger than the field of view, and values near its border will be too high"
    ]
