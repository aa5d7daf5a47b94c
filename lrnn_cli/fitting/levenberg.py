"""Training all weights of a product network on an equation: Levenberg-Marquardt, geodesic acceleration.

The residuals are ρ(θ) = L u_θ - t at weighted rows, θ = (a, b, v, S). With the dense Jacobian J (n, P) a
step is

    δ = -(JᵀJ + λ I)⁻¹ Jᵀρ,
    ρ'' = (2 / h) ((ρ(θ + h δ) - ρ(θ)) / h - J δ),      h = 0.1,
    α = -(JᵀJ + λ I)⁻¹ Jᵀρ'',                            θ ← θ + δ + α / 2,

taken when 2 |α| ≤ 0.75 |δ| and the sum of squares falls; λ goes down after a step and up after a refusal. The
acceleration α follows the curved valley of the sum of squares and is what brings six digits instead of four.

J is in closed form: a row of neuron ℓ depends on z_j, v_j, β·a_j and the Gram entries of that neuron
alone, so that one differentiation to these (n, r) numbers gives every column by elementwise products.

Source: M. K. Transtrum and J. P. Sethna, Improvements to the Levenberg-Marquardt algorithm, 2012. Least
squares for S alone is no good start: it makes S huge.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lrnn_cli.errors import ConfigError, FitError
from lrnn_cli.fitting.fields import ProductField
from lrnn_cli.fitting.linear_features import ProductFeatures, draw_features
from lrnn_cli.fitting.solve_linear import Solved, SolveStep
from lrnn_cli.numerics.calculus import combine_factors, product_rows, sine_factors
from lrnn_cli.numerics.rows import Rows
from lrnn_cli.objectives.collocation import N_HELDOUT, collocate, measure_scales
from lrnn_cli.objectives.poisson import Problem

LM_DIMENSIONS = (1, 20)
ROWS_PER_PARAMETER = 2.0
MOST_PARAMETERS = 4000  # of a dense Jacobian
PROBE = 0.1  # h
BEND = 0.75  # largest 2 |α| / |δ|
DOWN, UP = 1 / 3, 2.0
LAMBDA = (1e-16, 1e10)
DEFAULT_RANK = 48
BUDGET = 1000  # parameters
TRIES = (2.0, 4.0, 8.0)  # values of omega in up to three dimensions
TRIES_BEYOND = (0.5,)
TRIAL_STEPS = 8
START_DAMPING = 1e-2
OVERFIT = 30.0


@dataclass(frozen=True)
class Network:
    """A shallow product network.

    Features, output layer S (r,), and a constant where the boundary is not hard.
    """

    features: ProductFeatures
    head: Tensor
    shift: Tensor

    def vector(self) -> Tensor:
        """Return all parameters as one vector (P,)."""
        f = self.features
        parts = (f.weight, f.bias, f.amplitude, self.head, self.shift)
        return torch.cat([part.reshape(-1) for part in parts])

    def moved(self, step: Tensor) -> Network:
        """Return the network with θ + step."""
        f = self.features
        parts = (f.weight, f.bias, f.amplitude, self.head, self.shift)
        new = [
            part + piece.reshape(part.shape)
            for part, piece in zip(parts, step.split([p.numel() for p in parts]), strict=True)
        ]
        return Network(ProductFeatures(new[0], new[1], new[2]), new[3], new[4])

    def residual(self, rows: Rows) -> Tensor:
        """Return ρ (n,)."""
        f = self.features
        values = product_rows(f.weight, f.bias, sine_factors(f.amplitude), rows) @ self.head
        return values + rows.zeroth * self.shift.sum() - rows.target

    def jacobian(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return ρ (n,) and J (n, P) in closed form."""
        f = self.features
        weight, n = f.weight, len(rows)
        n_factors, rank, d = weight.shape
        z = torch.matmul(rows.points, weight.transpose(1, 2)) + f.bias[:, None]
        gram = torch.einsum("jrd,krd->jkr", weight, weight)[:, :, None].expand(-1, -1, n, -1)
        leaves = [
            leaf.detach().clone().requires_grad_(True)
            for leaf in (
                z, f.amplitude.expand(-1, n, -1), gram, torch.matmul(rows.first, weight.transpose(1, 2)),
            )
        ]  # fmt: skip
        with torch.enable_grad():
            z, amplitude, gram, along = leaves
            product, partial, laplacian = combine_factors(*sine_factors(amplitude)(z), gram)
            values = rows.second[:, None] * laplacian + rows.zeroth[:, None] * product
            for e, m in zip(partial, along, strict=True):
                values = values + e * m
            by_z, by_v, by_gram, by_along = torch.autograd.grad(values.sum(), leaves)
        values = values.detach()
        symmetric = by_gram + by_gram.transpose(0, 1)
        jacobian = torch.empty(n, n_factors * rank * (d + 2) + rank + len(self.shift), dtype=torch.float64)
        inner = jacobian[:, : n_factors * rank * d].view(n, n_factors, rank, d)
        torch.mul(by_z.movedim(0, 1)[..., None], rows.points[:, None, None], out=inner)
        inner += by_along.movedim(0, 1)[..., None] * rows.first[:, None, None]
        for k in range(n_factors):
            inner += symmetric[:, k].movedim(0, 1)[..., None] * weight[k]
        inner *= self.head[:, None]
        position = n_factors * rank * d
        for part in (by_z, by_v):
            columns = jacobian[:, position : position + n_factors * rank].view(n, n_factors, rank)
            torch.mul(part.movedim(0, 1), self.head, out=columns)
            position += n_factors * rank
        jacobian[:, position : position + rank] = values
        jacobian[:, position + rank :] = rows.zeroth[:, None]
        return values @ self.head + rows.zeroth * self.shift.sum() - rows.target, jacobian


def start_network(problem: Problem, rank: int, n_factors: int, omega: float, seed: int) -> Network:
    """Draw a network: inner weights as for least squares, S ~ 0.1 N(0, 1) / √r."""
    features = draw_features(problem.domain.bounds(), rank, n_factors, omega, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    head = torch.randn(rank, generator=generator, dtype=torch.float64) * (0.1 / math.sqrt(rank))
    shift = torch.zeros(0 if problem.hard else 1, dtype=torch.float64)
    return Network(features, head, shift)


@dataclass(frozen=True)
class State:
    """Network, sum of squares and λ between two steps."""

    network: Network
    cost: float
    damping: float


def levenberg_step(state: State, rows: Rows) -> State:
    """Take one accepted step, raising λ as often as it needs; the same state when no step helps."""
    network = state.network
    residual, jacobian = network.jacobian(rows)
    normal = jacobian.T @ jacobian
    gradient = jacobian.T @ residual
    damping = state.damping
    diagonal = normal.diagonal().clone()
    while damping < LAMBDA[1]:
        normal.diagonal().copy_(diagonal + damping)
        factor, failed = torch.linalg.cholesky_ex(normal)
        if not int(failed):
            step = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            probe = network.moved(PROBE * step).residual(rows)
            second = (2 / PROBE) * ((probe - residual) / PROBE - jacobian @ step)
            bend = -torch.cholesky_solve((jacobian.T @ second)[:, None], factor)[:, 0]
            if 2 * float(bend.norm()) <= BEND * float(step.norm()):
                moved = network.moved(step + bend / 2)
                cost = float(moved.residual(rows).square().sum())
                if cost < state.cost:
                    return State(moved, cost, max(damping * DOWN, LAMBDA[0]))
        damping *= UP
    return replace(state, damping=damping)


def solve_levenberg(
    problem: Problem,
    solved: Solved,
    *,
    target: float,
    rank: int | None = None,
    n_factors: int | None = None,
    omega: float | None = None,
    n_steps: int = 400,
    seed: int = 0,
    time_s: float | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[SolveStep]:
    """Train a product network on a problem, yielding a record per step.

    Args:
        problem: what to solve, in any dimension up to 20.
        solved: filled in at the end.
        target: relative residual of the training rows at which to stop.
        rank: r; chosen so that there are some 800 parameters if left out.
        n_factors: D; 4 in up to three dimensions and 2 beyond if left out.
        omega: largest frequency of the inner weights at the start; chosen by a few steps each if left out.
        n_steps: most steps.
        seed: of the initial weights.
        time_s: no step is begun after this many seconds.
        should_stop: asked before each step.

    Yields:
        a record per step; its loss is the relative residual of the training rows.

    Raises:
        ConfigError: when there are too many parameters for a dense Jacobian.
        FitError: when no step lowers the residual.
    """
    began = time.perf_counter()
    d = problem.n_inputs
    n_factors = n_factors or (4 if d <= 3 else 2)
    rank = rank or max(8, min(DEFAULT_RANK, BUDGET // (n_factors * (d + 2) + 1)))
    n_parameters = rank * (n_factors * (d + 2) + 1) + 1
    if n_parameters > MOST_PARAMETERS:
        raise ConfigError(
            f"--solver lm: {n_parameters} parameters, at most {MOST_PARAMETERS} for a dense Jacobian; "
            "lower --rank"
        )
    scales = measure_scales(problem)
    rows = collocate(problem, round(ROWS_PER_PARAMETER * n_parameters), scales).rows

    def elapsed() -> float:
        return time.perf_counter() - began

    def over() -> bool:
        return should_stop() or (time_s is not None and elapsed() > time_s)

    def fresh(frequency: float) -> State:
        network = start_network(problem, rank, n_factors, frequency, seed)
        return State(network, float(network.residual(rows).square().sum()), START_DAMPING)

    tries = (omega,) if omega else TRIES if d <= 3 else TRIES_BEYOND
    states = {frequency: fresh(frequency) for frequency in tries}
    count = 0
    for frequency in tries if len(tries) > 1 else ():
        for _ in range(TRIAL_STEPS):
            if not over():
                states[frequency] = levenberg_step(states[frequency], rows)
                count += 1
    chosen = min(states, key=lambda frequency: states[frequency].cost)
    state = states[chosen]
    if len(tries) > 1:
        yield SolveStep(
            count, math.sqrt(state.cost), elapsed(), count / (n_steps + count),
            event=f"omega {chosen:g}: residual {math.sqrt(state.cost):.1e} after {TRIAL_STEPS} steps",
        )  # fmt: skip
    for k in range(n_steps):
        if over() or math.sqrt(state.cost) <= target:
            break
        state = levenberg_step(state, rows)
        count += 1
        if state.damping >= LAMBDA[1]:
            solved.notes.append("no further step lowers the residual")
            break
        share = (k + 1) / n_steps if time_s is None else max((k + 1) / n_steps, min(1.0, elapsed() / time_s))
        yield SolveStep(count, math.sqrt(state.cost), elapsed(), share, steps_per_s=count / elapsed())
    network = state.network
    if not bool(torch.isfinite(network.vector()).all()):
        raise FitError("Levenberg-Marquardt: the weights are not finite; use a smaller --omega")
    heldout = collocate(problem, N_HELDOUT, scales, heldout_seed=seed + 17).rows
    residual = float(network.residual(heldout).norm())
    if residual > OVERFIT * math.sqrt(state.cost):
        solved.notes.append(
            f"the residual on held-out points, {residual:.1e}, is far above that of the training rows"
        )
    about: dict[str, object] = {
        "solver": "lm", "features": "product", "n_features": rank, "n_factors": n_factors, "omega": chosen,
        "rows": len(rows), "singular_functions": 0, "steps": count,
        "residual_training": math.sqrt(state.cost),
    }  # fmt: skip
    solution = ProductField(problem, network.features, network.head, shift=float(network.shift.sum()))
    solved.offer(solution, residual, about, target)
    solved.reached = math.sqrt(state.cost) <= target
