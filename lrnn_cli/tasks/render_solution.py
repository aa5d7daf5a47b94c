"""`render` for solutions of equations: u and ∇u at any points, on a grid or from a table.

The field is a function: a grid finer than that of the run costs only its evaluation. Points outside the
domain hold NaN.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.fitting.fields import AnyField
from lrnn_cli.objectives.poisson import Problem
from lrnn_cli.signals.field import encode_csv, encode_npz, encode_vti, read_points

MOST_POINTS = 2**26
SUFFIXES = (".npz", ".csv", ".png", ".vti")
_GRID = re.compile(r"(?:grid[ :]*)?(\d+(?:x\d+)*)")
_DEFAULT_NODES = {1: 1001, 2: 512, 3: 64}


@dataclass(frozen=True)
class Place:
    """Where to evaluate.

    Attributes:
        axes: nodes per axis of a grid over the bounding box; empty for points from a table.
        points: (n, d), last axis fastest.
        label: for the name of the file.
        names: of the coordinates.
    """

    axes: tuple[np.ndarray, ...]
    points: np.ndarray
    label: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Rendered:
    """u (n,) and gradient (n, d), NaN outside the domain."""

    u: np.ndarray
    gradient: np.ndarray

    @property
    def n_outside(self) -> int:
        """Return how many points lie outside the domain."""
        return int(np.isnan(self.u).sum())


def find_place(problem: Problem, at: str | None) -> Place:
    """Read what --at says.

    Args:
        problem: for its dimension and bounding box.
        at: "grid 512x512" (one number serves all axes), or the name of a table of points; a grid when left
            out.

    Returns:
        the points.

    Raises:
        ConfigError: when a grid has too many axes, too few nodes or too many points.
        InputError: when the table cannot be read, or has not d columns of numbers.
    """
    d = problem.n_inputs
    if at is None:
        if d > 3:
            raise ConfigError(f"--at: a grid in {d} dimensions is too large; name a table of points")
        at = f"grid {_DEFAULT_NODES[d]}"
    match = _GRID.fullmatch(at.strip().lower())
    if match is None:
        if at.lower().startswith("grid"):
            raise ConfigError(f"--at: expected grid N or grid {'x'.join('NMK'[:d] or 'N')}, got {at!r}")
        return Place((), read_points(at, problem.coordinates), "points", problem.coordinates)
    sizes = [int(n) for n in match[1].split("x")]
    sizes = sizes * d if len(sizes) == 1 else sizes
    if len(sizes) != d:
        raise ConfigError(f"--at {at}: {len(sizes)} axes, but the problem has {d} dimensions")
    if min(sizes) < 2 or np.prod([float(n) for n in sizes]) > MOST_POINTS:
        raise ConfigError(f"--at {at}: expected at least 2 nodes per axis and at most {MOST_POINTS} points")
    ends = zip(*problem.domain.bounds(), sizes, strict=True)
    axes = tuple(np.linspace(lower, upper, n) for lower, upper, n in ends)
    points = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
    return Place(axes, points, "x".join(map(str, sizes)), problem.coordinates)


def check_suffix(place: Place, suffix: str) -> None:
    """Refuse a format before anything is evaluated.

    Args:
        place: where the field is to be evaluated.
        suffix: of the file.

    Raises:
        ConfigError: when the suffix is unknown, or the format cannot hold this.
    """
    if suffix not in SUFFIXES:
        raise ConfigError(f"-o: expected a name ending in {', '.join(SUFFIXES)}, got {suffix or 'none'}")
    if not place.axes and suffix not in (".csv", ".npz"):
        raise ConfigError(f"-o: {suffix} needs a grid; write points as .csv or .npz")


def render_field(problem: Problem, solution: AnyField, place: Place) -> Rendered:
    """Evaluate a solution with its gradient.

    Args:
        problem: for its domain.
        solution: the field.
        place: where.

    Returns:
        the values.

    Raises:
        InputError: when no point lies in the domain.
    """
    points = torch.from_numpy(place.points)
    inside = problem.domain.inside(points)
    if not bool(inside.any()):
        raise InputError("--at: no point lies in the domain")
    jet = solution.jet(points[inside])
    u = np.full(len(points), np.nan)
    gradient = np.full(place.points.shape, np.nan)
    u[inside.numpy()], gradient[inside.numpy()] = jet.value.numpy(), jet.gradient.T.numpy()
    return Rendered(u, gradient)


def encode_rendered(place: Place, rendered: Rendered, suffix: str, title: str) -> bytes:
    """Return the bytes of a file.

    Args:
        place: where the field was evaluated.
        rendered: its values.
        suffix: as `check_suffix` allows it.
        title: of a picture.

    Returns:
        the file.
    """
    d, names = place.points.shape[1], place.names
    shape = tuple(len(axis) for axis in place.axes) or (len(place.points),)
    u, gradient = rendered.u.reshape(shape), rendered.gradient.reshape(*shape, d)
    if suffix == ".csv":
        columns = {name: place.points[:, k] for k, name in enumerate(names)}
        columns["u"] = rendered.u
        return encode_csv(columns | {f"du_d{name}": rendered.gradient[:, k] for k, name in enumerate(names)})
    if suffix == ".npz":
        grid = dict(zip(names, place.axes, strict=True)) if place.axes else {"points": place.points}
        return encode_npz({**grid, "u": u, "gradient": gradient})
    if suffix == ".vti":
        return encode_vti(place.axes, {"u": u, "gradient": gradient})
    from lrnn_cli.pictures.field_figures import draw_gradient  # matplotlib: a second

    if names[0] == "t" and d == 3:  # the last picture of the film
        title = f"{title}, t = {place.axes[0][-1]:g}"
        return draw_gradient(place.axes[1:], u[-1], gradient[-1, ..., 1:], names=names[1:], title=title)
    return draw_gradient(place.axes, u, gradient, names=names, title=title)
