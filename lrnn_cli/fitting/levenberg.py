"""Training all weights of a network on an equation: Levenberg-Marquardt with geodesic acceleration.

The residuals are ρ(θ) = L u_θ - t at weighted rows. With the dense Jacobian J (n, P) a step is

    δ = -(JᵀJ + λ D)⁻¹ Jᵀρ,
    ρ'' = (2 / h) ((ρ(θ + h δ) - ρ(θ)) / h - J δ),      h = 0.1,
    α = -(JᵀJ + λ D)⁻¹ Jᵀρ'',                            θ ← θ + δ + α / 2,

taken when 2 |α| ≤ 0.75 |δ|, |δ|² = δᵀ D δ, and the sum of squares falls; λ goes down after a step that was
taken at once, stays after one that was not, and goes up after a refusal. The acceleration α follows the
curved valley of the sum of squares and is what brings six digits instead of four. D is diagonal, the largest
diagonal of JᵀJ so far, with mean 1, since weights of a network differ in scale.

For product networks J is in closed form (`numerics.product_jacobian`), for other models of the catalog it
takes a backward pass per row, or one for all rows where the weights lie in linear layers (`linear_jacobian`).
Only the lower half of JᵀJ is computed, in tiles on all threads.

Sources: M. K. Transtrum and J. P. Sethna, Improvements to the Levenberg-Marquardt algorithm, 2012; D: J. J.
Moré, The Levenberg-Marquardt algorithm: implementation and theory, 1978. Least squares for S alone is no good
start: it makes S huge.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor

from lrnn_cli.errors import ConfigError, FitError
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.catalog_network import start_catalog_network
from lrnn_cli.fitting.error_probe import ErrorProbe
from lrnn_cli.fitting.fields import AnyField, with_mean
from lrnn_cli.fitting.product_network import start_network
from lrnn_cli.fitting.solve_linear import Solved, SolveStep
from lrnn_cli.models.contract import ModelConfig
from lrnn_cli.numerics.rows import Rows
from lrnn_cli.objectives.collocation import (
    N_HELDOUT,
    TRAINING_FLOOR,
    choose_points,
    collocate,
    measure_scales,
)
from lrnn_cli.objectives.poisson import Problem

LM_DIMENSIONS = (1, 20)
ROWS_PER_PARAMETER = 2.0
MOST_PARAMETERS = 4000  # of a dense Jacobian
PROBE = 0.1  # h
BEND = 0.75  # largest 2 |α| / |δ|
DOWN, UP = 1 / 3, 2.0
FLAT = 1e-8  # smallest entry of D, for weights on which nothing depends
LAMBDA = (1e-16, 1e10)
DEFAULT_RANK = 48
BUDGET = 1000  # parameters
TRIES = (2.0, 4.0, 8.0)  # values of omega in up to three dimensions
TRIES_BEYOND = (0.5,)
TRIAL_STEPS = 8
START_DAMPING = 1e-2
OVERFIT = 30.0
STEPS, MANY = 400, 10**6
ADAPT_EVERY = 15  # steps between new points
_TILES = 4  # of JᵀJ per axis


class Network(Protocol):
    """What can be trained here."""

    def vector(self) -> Tensor:
        """Return θ (P,)."""

    def moved(self, step: Tensor) -> Self:
        """Return the network with θ + step."""

    def residual(self, rows: Rows, runner: BlockRunner) -> Tensor:
        """Return ρ (n,)."""

    def jacobian(self, rows: Rows, runner: BlockRunner) -> tuple[Tensor, Tensor]:
        """Return ρ (n,) and J (n, P)."""

    def field(self, problem: Problem) -> AnyField:
        """Return the solution that it stands for."""


@dataclass(frozen=True)
class State:
    """Network, sum of squares, λ and the diagonal behind D (P,) between two steps; None before the first."""

    network: Network
    cost: float
    damping: float
    diagonal: Tensor | None = None


def default_factors(n_inputs: int) -> int:
    """Return D where none is given: 4 in up to three dimensions, 2 beyond."""
    return 4 if n_inputs <= 3 else 2


def check_size(n_parameters: int) -> None:
    """Refuse networks whose dense Jacobian would be too large.

    Raises:
        ConfigError: when there are more than `MOST_PARAMETERS`.
    """
    if n_parameters > MOST_PARAMETERS:
        raise ConfigError(
            f"--solver lm: {n_parameters} parameters, at most {MOST_PARAMETERS} for a dense Jacobian; "
            "lower --rank or --params"
        )


def lower_gram(jacobian: Tensor, runner: BlockRunner) -> Tensor:
    """Return JᵀJ (P, P); what lies above the tiles on the diagonal is not computed."""
    n = jacobian.shape[1]
    normal = jacobian.new_zeros(n, n)
    edges = [n * k // _TILES for k in range(_TILES + 1)]

    def tile(k: int) -> None:
        start, stop = edges[k], edges[k + 1]
        torch.matmul(jacobian[:, start:stop].T, jacobian[:, :stop], out=normal[start:stop, :stop])

    list(runner.map(tile, list(reversed(range(_TILES)))))
    return normal


def levenberg_step(state: State, rows: Rows, runner: BlockRunner) -> State:
    """Take one accepted step, raising λ as often as it needs; the same state when no step helps."""
    network = state.network
    residual, jacobian = network.jacobian(rows, runner)
    normal = lower_gram(jacobian, runner)
    gradient = jacobian.T @ residual
    damping, own = state.damping, normal.diagonal().clone()
    diagonal = own if state.diagonal is None else torch.maximum(own, state.diagonal)
    scales = (diagonal / diagonal.mean()).clamp_min(FLAT)

    def length(vector: Tensor) -> float:
        return float((vector.square() * scales).sum().sqrt())

    while damping < LAMBDA[1]:
        normal.diagonal().copy_(own + damping * scales)
        factor, failed = torch.linalg.cholesky_ex(normal)
        if not int(failed):
            step = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            probe = network.moved(PROBE * step).residual(rows, runner)
            second = (2 / PROBE) * ((probe - residual) / PROBE - jacobian @ step)
            bend = -torch.cholesky_solve((jacobian.T @ second)[:, None], factor)[:, 0]
            if 2 * length(bend) <= BEND * length(step):
                moved = network.moved(step + bend / 2)
                cost = float(moved.residual(rows, runner).square().sum())
                if cost < state.cost:
                    lower = DOWN if damping == state.damping else 1.0
                    return State(moved, cost, max(damping * lower, LAMBDA[0]), diagonal)
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
    model: tuple[str, ModelConfig] | None = None,
    collocation: str = "auto",
    n_steps: int | None = None,
    seed: int = 0,
    time_s: float | None = None,
    threads: int = 1,
    engine: str = "reference",
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[SolveStep]:
    """Train a network on a problem, yielding a record per step.

    Args:
        problem: what to solve, in any dimension up to 20.
        solved: filled in at the end.
        target: relative residual of the training rows at which to stop.
        rank: r; chosen so that there are some 800 parameters if left out.
        n_factors: D; 4 in up to three dimensions and 2 beyond if left out.
        omega: largest frequency of the inner weights at the start; chosen by a few steps each if left out.
        model: name and configuration of another model of the catalog than the shallow product network; rank,
            n_factors and omega then mean nothing.
        collocation: kind of the points (`objectives.collocation`); adaptive ones are drawn anew now and then.
        n_steps: most steps, after those of the trials; 400 if neither they nor a time are given.
        seed: of the initial weights.
        time_s: no step is begun after this many seconds.
        threads: of the CPU.
        engine: of the product layers of such a model, as resolved by `dispatch.choose_engine` for Laplacians.
        should_stop: asked before each step.

    Yields:
        a record per step; its loss is the relative residual of the training rows.

    Raises:
        ConfigError: when there are too many parameters for a dense Jacobian.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the runner spreads the work: many small operations, few large ones
    runner = BlockRunner(torch.device("cpu"), threads=threads)
    most = STEPS if time_s is None else MANY  # a budget of time is one's own
    try:
        training = _Training(problem, target, collocation, n_steps or most, seed, time_s, runner, should_stop)
        if model is None:
            yield from training.product(rank, n_factors, omega)
        else:
            yield from training.catalog(*model, engine)
        training.finish(solved)
    finally:
        runner.close()
        torch.set_num_threads(before)


class _Training:
    """What the steps of one run share."""

    def __init__(
        self,
        problem: Problem,
        target: float,
        collocation: str,
        n_steps: int,
        seed: int,
        time_s: float | None,
        runner: BlockRunner,
        should_stop: Callable[[], bool],
    ) -> None:
        self.collocation, self.probe, self.adaptations = collocation, ErrorProbe(problem), 0
        self.problem, self.target, self.n_steps, self.seed = problem, target, n_steps, seed
        self.time_s, self.runner, self.should_stop = time_s, runner, should_stop
        self.began = time.perf_counter()
        self.scales = measure_scales(problem, floor=TRAINING_FLOOR)
        self.about: dict[str, object] = {"solver": "lm"}
        self.notes: list[str] = []
        self.count = 0
        self.state: State

    def product(self, rank: int | None, n_factors: int | None, omega: float | None) -> Iterator[SolveStep]:
        """Train a shallow product network, from the best of a few starts."""
        problem, d = self.problem, self.problem.n_inputs
        n_factors = n_factors or default_factors(d)
        rank = rank or max(8, min(DEFAULT_RANK, BUDGET // (n_factors * (d + 2) + 1)))
        self._lay_rows(rank * (n_factors * (d + 2) + 1) + (not problem.hard))
        tries = (omega,) if omega else TRIES if d <= 3 else TRIES_BEYOND
        states = {
            frequency: self._state(start_network(problem, rank, n_factors, frequency, self.seed))
            for frequency in tries
        }
        for frequency in tries if len(tries) > 1 else ():
            for _ in range(TRIAL_STEPS):
                if not self._over():
                    states[frequency] = self._step(states[frequency])
        chosen = min(states, key=lambda frequency: states[frequency].cost)
        self.about |= {
            "features": "product", "n_features": rank, "n_factors": n_factors, "omega": chosen,
            "singular_functions": 0,
        }  # fmt: skip
        self.state = states[chosen]
        if len(tries) > 1:
            reached = f"residual {math.sqrt(self.state.cost):.1e} after {TRIAL_STEPS} steps"
            yield self._record(0, f"omega {chosen:g}: {reached}")
        yield from self._descend()

    def catalog(self, name: str, config: ModelConfig, engine: str) -> Iterator[SolveStep]:
        """Train a model of the catalog."""
        few = collocate(self.problem, 200, self.scales).rows
        network = start_catalog_network(self.problem, name, config, self.seed, few, self.runner, engine)
        self._lay_rows(len(network.vector()))
        self.about |= {"model": name, **config.model_dump(mode="json"), "output_scale": network.scale}
        self.state = self._state(network)
        yield from self._descend()

    def finish(self, solved: Solved) -> None:
        """Measure the network on held-out points and offer it as the solution."""
        network, loss = self.state.network, math.sqrt(self.state.cost)
        if not bool(torch.isfinite(network.vector()).all()):
            raise FitError("Levenberg-Marquardt: the weights are not finite; use a smaller --omega")
        heldout = collocate(self.problem, N_HELDOUT, self.scales, heldout_seed=self.seed + 17).rows
        residual = float(network.residual(heldout, self.runner).norm())
        solved.notes += self.notes
        if residual > OVERFIT * loss:
            solved.notes.append(
                f"the residual on held-out points, {residual:.1e}, is far above that of the training rows"
            )
        about = {
            **self.about, "rows": len(self.rows), "steps": self.count, "collocation": self.collocation,
            "adaptations": self.adaptations, "residual_training": loss,
        }  # fmt: skip
        solved.offer(network.field(self.problem), residual, about, self.target)
        solved.solution = with_mean(self.problem, solved.solution)
        solved.reached = loss <= self.target

    def _lay_rows(self, n_parameters: int) -> None:
        check_size(n_parameters)
        self.n_rows = round(ROWS_PER_PARAMETER * n_parameters)
        self._place_rows()

    def _place_rows(self, network: Network | None = None) -> None:
        jet = None if network is None else network.field(self.problem).jet
        points = choose_points(self.problem, self.n_rows, self.collocation, jet, self.seed + self.adaptations)
        self.rows = collocate(self.problem, self.n_rows, self.scales, points=points).rows

    def _adapt(self) -> None:
        """Choose the points anew by the residual; λ stays."""
        self.adaptations += 1
        self._place_rows(self.state.network)
        self.state = replace(self._state(self.state.network), damping=self.state.damping)

    def _state(self, network: Network) -> State:
        cost = float(network.residual(self.rows, self.runner).square().sum())
        return State(network, cost, START_DAMPING)

    def _step(self, state: State) -> State:
        self.count += 1
        return levenberg_step(state, self.rows, self.runner)

    def _descend(self) -> Iterator[SolveStep]:
        for k in range(self.n_steps):
            if self._over() or math.sqrt(self.state.cost) <= self.target:
                return
            if self.collocation == "adaptive" and k % ADAPT_EVERY == ADAPT_EVERY - 1:
                self._adapt()
            self.state = self._step(self.state)
            if self.state.damping >= LAMBDA[1]:
                self.notes.append("no further step lowers the residual")
                return
            yield self._record(k + 1)

    def _record(self, step: int, event: str | None = None) -> SolveStep:
        seconds = time.perf_counter() - self.began
        share = step / self.n_steps
        if self.time_s is not None:
            share = max(share, min(1.0, seconds / self.time_s))
        loss, speed = math.sqrt(self.state.cost), self.count / seconds
        error = self.probe(lambda: self.state.network.field(self.problem))
        return SolveStep(self.count, loss, seconds, share, steps_per_s=speed, event=event, error=error)

    def _over(self) -> bool:
        late = self.time_s is not None and time.perf_counter() - self.began > self.time_s
        return self.should_stop() or late
