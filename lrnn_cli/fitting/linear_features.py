"""Least squares for the output layer of a network whose inner weights are random and stay as they are.

With u = m Σ_ℓ S_ℓ φ_ℓ every condition of a linear problem is linear in S. That is not training, and not
special to product neurons: with one factor the φ_ℓ are random Fourier features. On smooth problems in
the plane it reaches ten digits and more, where trained networks stop at three.

    min_S |[A D⁻¹; τ I] S' - [t; 0]|²,    S = D⁻¹ S',    D = norms of the columns of A,  τ = 1e-13,

by QR; never by the normal equations, which would square a condition number that is about 1/τ already.

Sources: Chen, Chi, E and Yang, Bridging traditional and machine learning-based algorithms for solving
PDEs: the random feature method, 2022; Dong and Li, Local extreme learning machines, 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lrnn_cli.errors import FitError
from lrnn_cli.numerics.calculus import product_jet, product_rows, sine_factors
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.numerics.rows import BLOCK, Rows, block_rows, in_blocks, map_blocks

TIKHONOV = 1e-13
AMPLITUDE = 1.2  # of sin in a factor 1 + D^(-1/2) · 1.2 · sin z


@dataclass(frozen=True)
class ProductFeatures:
    """r product neurons φ = ∏_j (1 + v sin(a_j·x + b_j)).

    Weight a (D, r, d), bias b (D, r), amplitude v (D, 1, r); n_time is 1 where the first coordinate is time,
    which the Laplacian leaves out.
    """

    weight: Tensor
    bias: Tensor
    amplitude: Tensor
    n_time: int = 0

    def __len__(self) -> int:
        return self.weight.shape[1]

    def columns(self, rows: Rows) -> Tensor:
        """Return every neuron's value of every row: (n, r)."""
        factors = sine_factors(self.amplitude)
        return in_blocks(
            lambda part: product_rows(self.weight, self.bias, factors, part, self.n_time), rows, len(self)
        )

    def jet(self, points: Tensor, head: Tensor) -> Jet:
        """Return the jet of Σ_ℓ head_ℓ φ_ℓ at points (n, d), computed in blocks."""
        factors = sine_factors(self.amplitude)
        return jet_in_blocks(
            lambda x: product_jet(self.weight, self.bias, factors, x, head, self.n_time),
            points,
            block_rows(len(self)),
        )


def draw_features(
    bounds: tuple[tuple[float, ...], tuple[float, ...]],
    n_features: int,
    n_factors: int,
    omega: float,
    seed: int,
    n_time: int = 0,
) -> ProductFeatures:
    """Draw inner weights: with the box mapped to [-1, 1]^d, a ~ U(-ω, ω) and b ~ U(-π, π).

    Args:
        bounds: lower and upper corner of the bounding box.
        n_features: r.
        n_factors: D.
        omega: ω, the largest frequency, in radians per half side of the box.
        seed: of the generator; the result depends on nothing else that is random.
        n_time: 1 where the first coordinate is time.

    Returns:
        the features, in physical coordinates.
    """
    generator = torch.Generator().manual_seed(seed)
    lower, upper = (torch.tensor(b, dtype=torch.float64) for b in bounds)
    shape = (n_factors, n_features, len(lower))
    weight = omega * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)
    phase = math.pi * (2 * torch.rand(shape[:2], generator=generator, dtype=torch.float64) - 1)
    weight = weight / ((upper - lower) / 2)
    size = AMPLITUDE / math.sqrt(n_factors)
    amplitude = torch.full((n_factors, 1, n_features), size, dtype=torch.float64)
    return ProductFeatures(weight, phase - weight @ ((upper + lower) / 2), amplitude, n_time)


def solve_columns(columns: Tensor, target: Tensor) -> Tensor:
    """Return the coefficients (k,) that minimise |columns · S - target| as described above.

    Args:
        columns: A (n, k), of any rank.
        target: t (n,).

    Returns:
        S (k,).

    Raises:
        FitError: when entries are not finite, or all columns vanish.
    """
    norms = columns.norm(dim=0)
    if not bool(torch.isfinite(norms).all() & torch.isfinite(target).all()):
        raise FitError("least squares: the system holds NaN or infinite entries")
    if not bool((norms > 0).any()):
        raise FitError("least squares: singular, every column of the system is zero")
    k = columns.shape[1]
    system = torch.zeros(len(columns) + k, k, dtype=torch.float64)
    system[: len(columns)] = columns / norms.clamp_min(1e-300)
    system[len(columns) :].diagonal().fill_(TIKHONOV)
    right = torch.cat([target, target.new_zeros(k)])[:, None]
    solution = torch.linalg.lstsq(system, right, driver="gels").solution[:, 0] / norms.clamp_min(1e-300)
    if not bool(torch.isfinite(solution).all()):
        raise FitError("least squares: singular, the solution is not finite")
    return solution


def jet_in_blocks(jet: Callable[[Tensor], Jet], points: Tensor, size: int = BLOCK) -> Jet:
    """Return a jet at points (n, d), computed in blocks of `size` points."""
    parts = map_blocks(lambda span: jet(points[span]), len(points), size)
    if not parts:
        return Jet(points.new_zeros(0), points.new_zeros(points.shape[1], 0), points.new_zeros(0))
    return Jet(
        torch.cat([p.value for p in parts]),
        torch.cat([p.gradient for p in parts], 1),
        torch.cat([p.laplacian for p in parts]),
    )
