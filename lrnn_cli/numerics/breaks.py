"""Where an expression breaks inside a domain: jumps of its value, kinks, and roots with infinite slopes.

An expression knows by what it switches (`Expression.crossings`): u in abs(u), left minus right in a
comparison. Between sample points on both sides of such a switch bisection finds the place, and the expression
right before and behind it tells whether there is a break at all: `0 if x < 0.5 else (x - 0.5)^3` has none
that matters. What lies between no two sample points is not found.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lrnn_cli.numerics.expression import Closure, Expression

BISECTIONS = 55
ASIDE = 1e-13  # of the largest coordinate: where values are compared
FARTHER = 1e5  # times that: there a difference that is no jump is larger, as of (x - 0.5)^0.3 beside 0.5
SEARCH, TINY = 200, 1e-6  # moves towards the least size under a root, and what counts as 0 there
WITHIN = 1e-6  # of a segment: so far a break has to lie inside
JUMP = 1e-6  # smallest, in parts of the largest value; sqrt(ASIDE) is less

Inside = Callable[[Tensor], Tensor]


def find_jump(expression: Expression, points: Tensor, inside: Inside) -> Tensor | None:
    """Return a place where the value jumps from one point of space to the next, at the same time.

    Args:
        expression: in d coordinates.
        points: (n, d), all over the domain, neighbours mostly one after the other.
        inside: tells for points (m, d) whether they lie in the domain.

    Returns:
        a point (d,), or None where no jump is found.
    """
    ends = points.roll(1, 0)
    ends[:, : expression.n_time] = points[:, : expression.n_time]
    return _find(expression, points, ends, inside, slopes=False)


def find_kink(expression: Expression, points: Tensor, inside: Inside) -> Tensor | None:
    """Return a place where the Laplacian is no function: value or slope jump, or the slope may be infinite.

    In space-time a kink along time alone does not count.

    Args:
        expression: in d coordinates.
        points: (n, d), all over the domain, neighbours mostly one after the other.
        inside: tells for points (m, d) whether they lie in the domain.

    Returns:
        a point (d,), near it where it is one of the roots; None where none is found.
    """
    found = _find(expression, points, points.roll(1, 0), inside, slopes=True)
    if found is not None:
        return found
    gap = 2 * len(points) ** (-1 / points.shape[1])  # twice that between samples, in parts of a side
    for root in expression.roots:
        size = expression.part(root, points).abs()
        if not float(size.min()) > gap * float(size.max()):
            place = points[size.argmin()]
            if not _least(expression, root, place, points, inside) > TINY * float(size.max()):
                return place
    return None


def _least(expression: Expression, root: Closure, place: Tensor, points: Tensor, inside: Inside) -> float:
    """Return the least size under a root near a place (d,) that a search along the axes finds."""
    least = float(expression.part(root, place[None]).abs())
    step = (points.amax(0) - points.amin(0)) * len(points) ** (-1 / len(place))
    for _ in range(SEARCH):
        around = place + torch.cat([torch.diag(step), -torch.diag(step)])
        around = around[inside(around)]
        size = expression.part(root, around).abs()
        if len(around) and float(size.min()) < least:
            place, least = around[size.argmin()], float(size.min())
        else:
            step = step / 2
    return least


def _find(
    expression: Expression, starts: Tensor, ends: Tensor, inside: Inside, *, slopes: bool
) -> Tensor | None:
    """Return a break on segments from starts to ends, (n, d) both."""
    aside = ASIDE * float(starts.abs().max())
    for crossing in expression.crossings:
        negative = expression.part(crossing, starts) < 0
        cut = negative != (expression.part(crossing, ends) < 0)
        if not bool(cut.any()):
            continue
        start, way, side = starts[cut], (ends - starts)[cut], negative[cut]
        low, high = torch.zeros(len(start), dtype=torch.float64), torch.ones(len(start), dtype=torch.float64)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            before = (expression.part(crossing, start + middle[:, None] * way) < 0) == side
            low, high = torch.where(before, middle, low), torch.where(before, high, middle)
        place, step = start + high[:, None] * way, aside * way / way.norm(dim=1, keepdim=True)
        broken = inside(place - WITHIN * way) & inside(place + WITHIN * way)
        broken &= _differ(expression, place - step, place + step, starts, slopes)
        if not slopes:
            near, far = (
                (expression(place + k * step) - expression(place - k * step)).abs() for k in (1, FARTHER)
            )
            broken &= ~(near <= far / 2)
        if bool(broken.any()):
            return place[broken][0]
    return None


def _differ(expression: Expression, one: Tensor, two: Tensor, points: Tensor, slopes: bool) -> Tensor:
    """Tell for pairs of points (n, d) whether values, or slopes in space, differ in size: bool (n,)."""
    if not slopes:
        return _apart(expression(one)[None], expression(two)[None], expression(points))
    first, second, usual = (expression.jet(where) for where in (one, two, points))
    space = slice(expression.n_time, None)
    value = _apart(first.value[None], second.value[None], usual.value)
    return value | _apart(first.gradient[space], second.gradient[space], usual.gradient[space])


def _apart(one: Tensor, two: Tensor, usual: Tensor) -> Tensor:
    """Compare (k, n) with (k, n), in parts of what is usual or there; what is not finite is apart."""
    size = torch.maximum(one.abs(), two.abs()).amax(0).nan_to_num(posinf=0.0)
    return ~((one - two).abs().amax(0) <= JUMP * size.clamp_min(float(usual.nan_to_num(0, 0, 0).abs().max())))
