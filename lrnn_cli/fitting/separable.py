"""Product features on a box with every combination of one-dimensional factors: tensor grids instead of rows.

    u(x) = Σ_{i…k} C_{i…k} q_i(x_1) … q_k(x_d),    q = combinations of m(t) sin(a t + b),

a ~ U(-ω, ω), b ~ U(-π, π), m = 0 at both ends. That is a product network of rank n^d whose factors are
shared; what would be a least-squares problem with n^d columns falls apart into small ones per axis. Per
axis a singular value decomposition of the derivatives at Gauss nodes picks a basis with ∫ q_i' q_j' =
δ_ij, and the eigenvalues μ of ∫ q_i q_j make the Galerkin system of -a Δu + c u = f diagonal,

    C = F / (a Σ_k ∏_{j≠k} μ_j + c ∏_j μ_j)         (fast diagonalisation, Lynch, Rice and Thomas 1964).

The basis is badly conditioned: rounding makes the first solution good to some six digits only. Steps of
iterative refinement with the residual of the very functions that are stored bring it to twelve or more. The
core is kept for the basis of the decomposition, not for the eigenvectors: there rounding errors are large
only in functions whose coefficients are small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lrnn_cli.fitting.linear_features import jet_in_blocks
from lrnn_cli.numerics.gauss import gauss
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.numerics.lifting import Lift

CUTOFF = 1e-12  # singular values below this part of the largest are left out
REFINEMENTS = 8
_LETTERS = "ijk"


@dataclass(frozen=True)
class AxisBasis:
    """k functions on [lower, upper] that vanish at the ends: frequency, phase (n,), combination (n, k)."""

    lower: float
    upper: float
    frequency: Tensor
    phase: Tensor
    combination: Tensor

    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return values, first and second derivatives at x (n,): (n, k) each."""
        raw = _raw_features(self.frequency, self.phase, self.lower, self.upper, x)
        value, slope, curvature = (part @ self.combination for part in raw)
        return value, slope, curvature


def _raw_features(
    frequency: Tensor, phase: Tensor, lower: float, upper: float, x: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return m(t) sin(a t + b), m = 1 - t², on t in [-1, 1], with derivatives by x.

    (n, number of features) each.
    """
    half = (upper - lower) / 2
    t = ((x - lower) - (upper - x)) / (2 * half)
    mask = (((x - lower) / half) * ((upper - x) / half))[:, None]
    z = t[:, None] * frequency + phase
    sine, turned = z.sin(), frequency * z.cos()
    slope = -2 * t[:, None] * sine + mask * turned
    curvature = -2 * sine - 4 * t[:, None] * turned - mask * frequency**2 * sine
    return mask * sine, slope / half, curvature / half**2


@dataclass(frozen=True)
class SeparableField:
    """The solution: one basis per axis, the core C, and a lift where it does not vanish on the boundary."""

    axes: tuple[AxisBasis, ...]
    core: Tensor
    lift: Lift | None = None

    @property
    def n_coefficients(self) -> int:
        """Entries of the core."""
        return self.core.numel()

    def jet(self, points: Tensor) -> Jet:
        """Return value, gradient and Laplacian at points (n, d)."""
        return jet_in_blocks(self._jet, points)

    def _jet(self, points: Tensor) -> Jet:
        tables = [axis.evaluate(points[:, k]) for k, axis in enumerate(self.axes)]
        d = len(tables)

        def contract(orders: list[int]) -> Tensor:
            result = tables[0][orders[0]] @ self.core.reshape(self.core.shape[0], -1)
            for k in range(1, d):
                table = tables[k][orders[k]]
                result = torch.einsum("ni,nir->nr", table, result.reshape(len(points), table.shape[1], -1))
            return result[:, 0] if d > 1 else (tables[0][orders[0]] @ self.core)

        first = [contract([int(j == k) for j in range(d)]) for k in range(d)]
        second = [contract([2 * int(j == k) for j in range(d)]) for k in range(d)]
        found = Jet(contract([0] * d), torch.stack(first), torch.stack(second).sum(0))
        return found if self.lift is None else found + self.lift.jet(points)


class SeparableSystem:
    """Bases and quadrature on a box, to be solved for any f and constants a > 0 and c."""

    def __init__(
        self, lower: tuple[float, ...], upper: tuple[float, ...], n_features: int, omega: float, seed: int
    ) -> None:
        """Draw n features per axis with frequencies up to ω and set up the quadrature.

        2 n + 16 nodes per axis.
        """
        generator = torch.Generator().manual_seed(seed)
        self.nodes: list[Tensor] = []
        self._tables: list[tuple[Tensor, Tensor, Tensor]] = []
        self._weights: list[Tensor] = []
        self._mass: list[Tensor] = []
        self._turn: list[Tensor] = []
        axes = []
        for a, b in zip(lower, upper, strict=True):
            frequency = omega * (2 * torch.rand(n_features, generator=generator, dtype=torch.float64) - 1)
            phase = math.pi * (2 * torch.rand(n_features, generator=generator, dtype=torch.float64) - 1)
            nodes, weights = gauss(2 * n_features + 16, a, b)
            _, slope, _ = _raw_features(frequency, phase, a, b, nodes)
            _, singular, right = torch.linalg.svd(weights.sqrt()[:, None] * slope, full_matrices=False)
            kept = int((singular > CUTOFF * singular[0]).sum())
            basis = AxisBasis(a, b, frequency, phase, right[:kept].T / singular[:kept])
            value = basis.evaluate(nodes)[0]
            mass, turn = torch.linalg.eigh(value.T @ (weights[:, None] * value))
            axes.append(basis)
            self.nodes.append(nodes)
            self._weights.append(weights)
            self._tables.append(basis.evaluate(nodes))
            self._mass.append(mass)
            self._turn.append(turn)
        self.axes = tuple(axes)

    def grid(self) -> Tensor:
        """Return the quadrature nodes (n, d), last axis fastest, at which `solve` wants f."""
        return torch.stack([g.ravel() for g in torch.meshgrid(*self.nodes, indexing="ij")], 1)

    def solve(self, source: Tensor, a: float = 1.0, c: float = 0.0) -> tuple[SeparableField, float]:
        """Solve -a Δu + c u = f, u = 0 on the boundary.

        Args:
            source: f at `grid()`, (n,).
            a: a > 0.
            c: c.

        Returns:
            the solution and its residual at the nodes, relative to f in the root mean square.
        """
        f = source.reshape([len(x) for x in self.nodes])
        symbol = self._symbol(a, c)
        projections = [
            ((w[:, None] * t[0]) @ turn).T
            for w, t, turn in zip(self._weights, self._tables, self._turn, strict=True)
        ]
        core = torch.zeros_like(symbol)
        best, smallest, residual = core, math.inf, f
        scale = float(f.norm()) or 1.0
        for _ in range(REFINEMENTS):
            core = core + _along(self._turn, _along(projections, residual) / symbol)
            residual = f - self._operator(core, a, c)
            size = float(residual.norm()) / scale
            if size < smallest:
                best = core
            if not size < 0.9 * smallest:
                break
            smallest = size
        return SeparableField(self.axes, best), min(smallest, size)

    def _symbol(self, a: float, c: float) -> Tensor:
        """Return a Σ_k ∏_{j≠k} μ_j + c ∏_j μ_j for all combinations."""
        d = len(self._mass)
        shaped = [mu.reshape([-1 if j == k else 1 for j in range(d)]) for k, mu in enumerate(self._mass)]
        full = [len(mu) for mu in self._mass]
        symbol = torch.zeros(full, dtype=torch.float64)
        for k in range(d):
            term = torch.full(full, a, dtype=torch.float64)
            for j in range(d):
                term = term if j == k else term * shaped[j]
            symbol += term
        product = torch.full(full, c, dtype=torch.float64)
        for mu in shaped:
            product = product * mu
        return symbol + product

    def _operator(self, core: Tensor, a: float, c: float) -> Tensor:
        """Return -a Δu + c u at the nodes."""
        values = [t[0] for t in self._tables]
        result = c * _along(values, core)
        for k, table in enumerate(self._tables):
            result = result - a * _along([table[2] if j == k else v for j, v in enumerate(values)], core)
        return result


def _along(matrices: list[Tensor], array: Tensor) -> Tensor:
    """Return Σ M¹_{a i} M²_{b j} … A_{i j …}: each axis of an array multiplied by its matrix."""
    for k, matrix in enumerate(matrices):
        array = torch.movedim(torch.tensordot(matrix, array, dims=([1], [k])), 0, k)
    return array
