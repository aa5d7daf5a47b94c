"""Training any model of the catalog on an equation by Adam or L-BFGS: the baselines of `solve_linear` and LM.

Both see all rows in every step, |ρ(θ)|² with the weights of `objectives.collocation`. Adam's rate falls with
a cosine to a hundredth; parameters that the model wants to move faster or slower (`rate_factor`) are scaled,
which for Adam is the same as rates of their own. L-BFGS keeps 50 pairs and searches with the strong Wolfe
conditions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lrnn_cli.errors import FitError
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.catalog_network import PIECEWISE_LINEAR, CatalogNetwork, start_catalog_network
from lrnn_cli.fitting.error_probe import ErrorProbe
from lrnn_cli.fitting.fields import with_mean
from lrnn_cli.fitting.solve_linear import Solved, SolveStep
from lrnn_cli.models.catalog import build
from lrnn_cli.models.contract import ModelConfig
from lrnn_cli.objectives.collocation import (
    N_HELDOUT,
    TRAINING_FLOOR,
    choose_points,
    collocate,
    measure_scales,
)
from lrnn_cli.objectives.poisson import Problem

ROWS_PER_PARAMETER = 1.5
ROWS = (1024, 4096)  # fewest and most
STEPS, MANY = {"adam": 2000, "lbfgs": 2000}, 10**7
RATE = 1e-2  # of Adam: networks of some hundred weights, full batches
ADAM_EVERY = 10  # steps per record
LBFGS_ITERATIONS = 10  # per record, at most
ADAPT_EVERY = 200  # steps of Adam between new points
HISTORY = 50
LAST_RATE = 0.01  # of the peak
CPU = torch.device("cpu")


def train_network(
    problem: Problem,
    solved: Solved,
    *,
    method: str,
    name: str,
    config: ModelConfig,
    target: float,
    lr: float | None = None,
    collocation: str = "auto",
    n_steps: int | None = None,
    seed: int = 0,
    time_s: float | None = None,
    threads: int = 1,
    engine: str = "reference",
    device: torch.device = CPU,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[SolveStep]:
    """Train a model on a problem, yielding records.

    Args:
        problem: what to solve.
        solved: filled in at the end.
        method: adam or lbfgs.
        name: of the model in the catalog.
        config: its configuration.
        target: relative residual of the training rows at which to stop.
        lr: peak rate of Adam; `RATE` when left out.
        collocation: kind of the points (`objectives.collocation`); Adam alone takes adaptive ones.
        n_steps: steps of Adam, or iterations of L-BFGS; 2000 if neither they nor a time are given.
        seed: of the initial weights.
        time_s: no step is begun after this many seconds.
        threads: of the CPU.
        engine: of product layers, as resolved by `dispatch.choose_engine` for Laplacians.
        device: of the training; points are chosen and solutions measured on the CPU.
        should_stop: asked between records.

    Yields:
        records; their loss is the relative residual of the training rows.

    Raises:
        FitError: when the loss is not finite.
    """
    began = time.perf_counter()
    n_steps = n_steps or (STEPS[method] if time_s is None else MANY)  # a budget of time is one's own
    runner = BlockRunner(device, threads=threads)
    try:
        scales = measure_scales(problem, floor=TRAINING_FLOOR)
        n_params = sum(p.numel() for p in _module_shape(name, config, problem))
        n_rows = min(max(round(ROWS_PER_PARAMETER * n_params), ROWS[0]), ROWS[1])
        points = choose_points(problem, n_rows, collocation)
        rows = collocate(problem, n_rows, scales, points=points).rows.to(device)
        network = start_catalog_network(problem, name, config, seed, rows, runner, engine)
        if name in PIECEWISE_LINEAR:
            solved.notes.append(
                f"{name} is piecewise linear: its own Laplacian is 0, it cannot satisfy the equation"
            )
        best, theta, adaptations = math.inf, network.theta, 0
        probe = ErrorProbe(problem)
        evaluate = _Counted(lambda vector: network.loss_and_gradient(vector, rows, runner))

        def share(step: int) -> float:
            spent = 0.0 if time_s is None else (time.perf_counter() - began) / time_s
            return min(1.0, max(step / n_steps, spent))

        stepper = _adam if method == "adam" else _lbfgs
        rate = lr or RATE
        for step, cost, vector in stepper(network, evaluate, rate, n_steps, share):
            if not math.isfinite(cost):
                hint = "use a smaller --lr" if method == "adam" else "use another --seed, or --solver adam"
                raise FitError(f"{method}: the loss is not finite; {hint}")
            if cost < best:
                best, theta = cost, vector.clone()
            seconds = time.perf_counter() - began
            now = network.moved(vector - network.theta)
            error = probe(lambda now=now: now.field(problem))  # type: ignore[misc]
            speed = step / seconds
            yield SolveStep(step, math.sqrt(cost), seconds, share(step), steps_per_s=speed, error=error)
            if should_stop() or share(step) >= 1.0 or math.sqrt(best) <= target:
                break
            if collocation == "adaptive" and step // ADAPT_EVERY > adaptations:
                adaptations += 1
                points = choose_points(
                    problem, n_rows, collocation, now.field(problem).jet, seed + adaptations
                )
                rows = collocate(problem, n_rows, scales, points=points).rows.to(device)
                best = math.inf  # of other rows
        network = network.moved(theta - network.theta)
        heldout = collocate(problem, N_HELDOUT, scales, heldout_seed=seed + 17).rows.to(device)
        residual = float(network.residual(heldout, runner).norm())
        about: dict[str, object] = {
            "solver": method, "model": name, **config.model_dump(mode="json"), "rows": len(rows),
            "steps": step, "evaluations": evaluate.count, "residual_training": math.sqrt(best),
            "collocation": collocation, "adaptations": adaptations, "output_scale": network.scale,
        }  # fmt: skip
        solved.offer(network.field(problem), residual, about, target)
        solved.solution = with_mean(problem, solved.solution)
        solved.reached = math.sqrt(best) <= target
    finally:
        runner.close()


class _Counted:
    """A function that counts its calls."""

    def __init__(self, function: Callable[[Tensor], tuple[float, Tensor]]) -> None:
        self.function, self.count = function, 0

    def __call__(self, vector: Tensor) -> tuple[float, Tensor]:
        self.count += 1
        return self.function(vector)


def _module_shape(name: str, config: ModelConfig, problem: Problem) -> list[Tensor]:
    with torch.device("meta"):
        return list(build(name, config, n_inputs=problem.n_inputs, n_outputs=1).parameters())


Records = Iterator[tuple[int, float, Tensor]]
Evaluate = Callable[[Tensor], tuple[float, Tensor]]


def _adam(
    network: CatalogNetwork, evaluate: Evaluate, rate: float, n_steps: int, share: Callable[[int], float]
) -> Records:
    """Yield step, |ρ|² before it and the weights that belong to it."""
    named = network.module.named_parameters()
    factors = torch.cat([torch.full((p.numel(),), network.module.rate_factor(key)) for key, p in named]).to(
        network.theta
    )
    scaled = torch.nn.Parameter(network.theta / factors)
    optimizer = torch.optim.Adam([scaled], lr=rate)
    for step in range(n_steps):
        vector = scaled.detach() * factors
        cost, gradient = evaluate(vector)
        if step % ADAM_EVERY == 0 or step == n_steps - 1:
            yield step + 1, cost, vector
        scaled.grad = gradient * factors
        for group in optimizer.param_groups:
            group["lr"] = rate * (LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * share(step))))
        optimizer.step()


def _lbfgs(
    network: CatalogNetwork, evaluate: Evaluate, rate: float, n_steps: int, share: Callable[[int], float]
) -> Records:
    """Yield iteration, |ρ|² and the weights that belong to it."""
    del rate, share
    vector = torch.nn.Parameter(network.theta.clone())
    optimizer = torch.optim.LBFGS(
        [vector], max_iter=LBFGS_ITERATIONS, history_size=HISTORY, line_search_fn="strong_wolfe",
        tolerance_grad=0.0, tolerance_change=0.0,
    )  # fmt: skip

    def closure() -> float:
        cost, vector.grad = evaluate(vector.detach())
        return cost

    done = 0
    while done < n_steps:
        before = vector.detach().clone()
        optimizer.param_groups[0]["max_iter"] = min(LBFGS_ITERATIONS, n_steps - done)
        optimizer.step(closure)
        done = optimizer.state[vector]["n_iter"]  # a limit on evaluations may end a call sooner
        yield done, evaluate(vector.detach())[0], vector.detach()
        if torch.equal(before, vector.detach()):
            return
