"""Lifts: smooth functions inside a domain that take given Dirichlet data on its boundary.

With a lift G and a mask m that vanishes on the boundary, u = G + m N meets the data exactly whatever N is.
Only what is known of the boundary goes into it:

    box       transfinite interpolation: with (P_k g)(x) the linear function of x_k between the data on the
              two faces of axis k, G = g - ∏_k (1 - P_k) g, a sum over faces, edges and corners, up to three
              dimensions; the data have to agree where faces meet
    annulus   s g_outer + (1 - s) g_inner with s = (ρ² - R_0²) / (R² - R_0²), ρ the distance from the centre
    other     the common expression of all sides, taken inside as well

The first two ask for data on faces and for expressions, the last only for expressions: the values of an
exact solution inside the domain are never used.

Source: W. J. Gordon and C. A. Hall, Transfinite element methods, Numerische Mathematik 21, 1973.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lrnn_cli.numerics import jets
from lrnn_cli.numerics.domains import Annulus, Box, Domain
from lrnn_cli.numerics.expression import Expression
from lrnn_cli.numerics.jets import Jet


class Lift(Protocol):
    """A function that takes the data on the boundary."""

    def jet(self, points: Tensor) -> Jet:
        """Return value (n,), gradient (d, n) and Laplacian (n,) at points (n, d)."""


@dataclass(frozen=True)
class BoxLift:
    """Transfinite interpolation of data on the faces of a box: one expression per face, x0, x1, y0, …."""

    domain: Box
    faces: tuple[Expression, ...]

    def jet(self, points: Tensor) -> Jet:
        """Return Σ_{S ≠ ∅} (-1)^{|S| + 1} Σ_ends ∏_{k in S} w_k g(x with x_k at its end for k in S)."""
        ends = list(zip(self.domain.lower, self.domain.upper, strict=True))
        weights = []
        for x, (a, b) in zip(jets.coordinates(points), ends, strict=True):
            share = (x + points.new_tensor(-a)) * points.new_tensor(1 / (b - a))
            weights.append((-share + points.new_tensor(1.0), share))
        total = jets.constant(0.0, points)
        for size in range(1, len(ends) + 1):
            for axes in itertools.combinations(range(len(ends)), size):
                for chosen in itertools.product((0, 1), repeat=size):
                    at = {k: ends[k][end] for k, end in zip(axes, chosen, strict=True)}
                    term = self.faces[2 * axes[0] + chosen[0]].jet(points, at)
                    for k, end in zip(axes, chosen, strict=True):
                        term = term * weights[k][end]
                    total = total + (term if size % 2 else -term)
        return total


@dataclass(frozen=True)
class RingLift:
    """Data on the two circles of an annulus, blended by the square of the distance from its centre."""

    domain: Annulus
    outer: Expression
    inner: Expression

    def jet(self, points: Tensor) -> Jet:
        """Return s g_outer + (1 - s) g_inner."""
        x, y = jets.coordinates(points - points.new_tensor(self.domain.centre))
        low, high = self.domain.inner**2, self.domain.outer**2
        share = (x * x + y * y + points.new_tensor(-low)) * points.new_tensor(1 / (high - low))
        return share * self.outer.jet(points) + (-share + points.new_tensor(1.0)) * self.inner.jet(points)


def lift(
    domain: Domain, data: tuple[Expression | None, ...], exact: Expression | None, probe: Tensor
) -> Lift | None:
    """Return a lift of Dirichlet data that agree where sides meet, or None where there is no smooth one.

    Data with kinks, jumps, roots or possible poles have none: a lift would carry them inside.

    Args:
        domain: where.
        data: per side; None for values of the exact solution, which are taken on the boundary alone.
        exact: the exact solution, for those.
        probe: points (n, d) of the domain at which the lift has to be finite.

    Returns:
        the lift.
    """
    found: Lift | None = None
    if isinstance(domain, Box) and len(domain.lower) <= 3:
        faces = tuple(exact if side is None else side for side in data)
        known = tuple(face for face in faces if face is not None and _regular(face))
        found = BoxLift(domain, known) if len(known) == len(faces) else None
    else:
        first, own = data[0], tuple(side for side in data if side is not None and _regular(side))
        if first is None or len(own) < len(data):
            return None
        if isinstance(domain, Annulus) and len(own) == 2:
            found = RingLift(domain, own[0], own[1])
        elif len({side.text for side in own}) == 1:
            found = first
    if found is None:
        return None
    jet = found.jet(probe)  # exponentials may overflow
    parts = (jet.value, jet.gradient, jet.laplacian)
    return found if all(bool(torch.isfinite(part).all()) for part in parts) else None


def _regular(expression: Expression) -> bool:
    return expression.smooth and not expression.poles
