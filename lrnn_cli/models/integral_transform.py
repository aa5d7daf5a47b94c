"""Integral activation transform with ReLU, I(z) = c int_{-1}^{1} q(s) max(0, z . p(s)) ds, d to d numbers.

p and q are families of d functions (`numerics.line_bases`), c their `gain`. Two rules:

midpoint    I = (2 c / M) Q max(0, P^T z), P and Q the values at the centres of M equal cells. Piecewise
            linear in z; exact for rect with rect if M is a multiple of d.
exact       by the roots of the state function f(s) = z . p(s). On every cell of a mesh on which p is linear
            and q polynomial, f > 0 on one interval (a, b), whose ends are the cell's or the root, and

                int_a^b t^k (alpha + beta t) dt,   t in [-1, 1] across the cell,   k = 0 ... degree of q,

            are closed forms; one matrix with the coefficients of q turns them into I. p `pwq` and `fourier`
            are replaced by linear interpolants, q `fourier` by a quadratic one, on M more cells. Roots are
            differentiated too, so that I has second derivatives.

In the second rule the intervals are the activation pattern D(z), and I(z) = S(D(z)) z = dI/dz z. With the
pattern of another state, S(D(zeta)) z, it is the decoupled transform.

Source: Z. Zhang, F. Bao, G. Zhang, Improving the Expressive Power of Deep Neural Networks through Integral
Activation Transform, 2024, equations (4), (12), (17)-(22).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lrnn_cli.numerics.line_bases import (
    DEGREE,
    Basis,
    cell_polynomials,
    end_values,
    evaluate,
    gain,
    mesh,
)


class Spec(NamedTuple):
    """Which transform: families p and q, d functions in each, M points or additional cells.

    `pattern_size` is the number of functions p of the state that gives the pattern, if not the same state.
    """

    inputs: Basis
    outputs: Basis
    size: int
    points: int
    pattern_size: int = 0


def _constant(values: np.ndarray, like: Tensor) -> Tensor:
    with torch.inference_mode(False):  # kept for later calls, which may want gradients
        return torch.from_numpy(np.ascontiguousarray(values)).to(dtype=like.dtype, device=like.device)


def _kept(
    build: Callable[[Spec], tuple[np.ndarray, ...]],
) -> Callable[[Spec, Tensor], tuple[Tensor, ...]]:
    """Return build(spec) as tensors of the type and device of another one, kept for the next call.

    They follow from the configuration, so that they are neither parameters nor worth a place in a checkpoint.
    """

    @lru_cache(maxsize=32)
    def tensors(spec: Spec, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
        like = torch.empty(0, dtype=dtype, device=device)
        return tuple(_constant(values, like) for values in build(spec))

    return lambda spec, like: tensors(spec, like.dtype, like.device)


@_kept
def _point_values(spec: Spec) -> tuple[np.ndarray, ...]:
    """Return P (d, M) and 2 c Q^T / M (M, d)."""
    s = (np.arange(spec.points) + 0.5) * (2.0 / spec.points) - 1.0
    scale = gain(spec.inputs, spec.outputs, spec.size) * 2.0 / spec.points
    return evaluate(spec.inputs, spec.size, s), scale * evaluate(spec.outputs, spec.size, s).T


@_kept
def _cell_values(spec: Spec) -> tuple[np.ndarray, ...]:
    """Return p at the ends of K cells (d, 2 K), c q as polynomials ((g + 1) K, d), and p' as p (e, 2 K)."""
    families = [(spec.inputs, spec.size), (spec.outputs, spec.size)]
    if spec.pattern_size:
        families.append((spec.inputs, spec.pattern_size))
    edges = mesh(families, {spec.inputs}, spec.points)
    scale = gain(spec.inputs, spec.outputs, spec.size)
    values = (
        end_values(spec.inputs, spec.size, edges),
        scale * cell_polynomials(spec.outputs, spec.size, edges),
    )
    return (*values, end_values(spec.inputs, spec.pattern_size, edges)) if spec.pattern_size else values


def midpoint(z: Tensor, spec: Spec) -> Tensor:
    """Map z (n, d) to I(z) (n, d) by the midpoint rule."""
    p, q = _point_values(spec, z)
    return torch.relu(z @ p) @ q


def exact(z: Tensor, spec: Spec) -> Tensor:
    """Map z (n, d) to I(z) (n, d) by roots."""
    p, q = _cell_values(spec, z)
    left, right = (z @ p).chunk(2, 1)
    return _moments(left, right, *active_interval(left, right), DEGREE[spec.outputs]) @ q


def decoupled(z: Tensor, zeta: Tensor, spec: Spec) -> Tensor:
    """Map z (n, d) and a state zeta (n, e) that gives the pattern to S(D(zeta)) z (n, d)."""
    p, q, pattern = _cell_values(spec, z)
    left, right = (z @ p).chunk(2, 1)
    interval = active_interval(*(zeta @ pattern).chunk(2, 1))
    return _moments(left, right, *interval, DEGREE[spec.outputs]) @ q


def active_interval(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return the interval (a, b) of [-1, 1] where the line from `left` to `right` is positive; a = b if none.

    Differentiable in both, through the root -(right + left) / (right - left).
    """
    rises, falls = (left <= 0) & (right > 0), (left > 0) & (right <= 0)
    crosses = rises | falls
    # the second `where` keeps the derivative of the branch not taken finite
    root = -(right + left) / torch.where(crosses, right - left, torch.ones_like(left))
    one = torch.ones_like(left)
    start = torch.where(rises, root, -one)
    stop = torch.where(falls, root, torch.where((left <= 0) & (right <= 0), -one, one))
    return start, stop


def _moments(left: Tensor, right: Tensor, start: Tensor, stop: Tensor, degree: int) -> Tensor:
    """Return int t^k f dt from start to stop, f the line from left to right, for k = 0 ... degree in turn."""
    alpha, beta = 0.5 * (right + left), 0.5 * (right - left)
    integrals, lower, upper = [], start, stop
    for k in range(1, degree + 3):  # int t^(k - 1) dt
        integrals.append((upper - lower) / k)
        lower, upper = lower * start, upper * stop
    return torch.cat([alpha * low + beta * high for low, high in pairwise(integrals)], 1)
