"""Levenberg-Marquardt: the Jacobian in closed form, and digits that first-order training does not reach."""

import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.catalog_network import choose_config, start_catalog_network
from lrnn_cli.fitting.levenberg import State, levenberg_step, lower_gram, solve_levenberg
from lrnn_cli.fitting.linear_jacobian import LayerWatch, linear_layers
from lrnn_cli.fitting.product_network import start_network
from lrnn_cli.fitting.solve_linear import Solved
from lrnn_cli.numerics.taylor import lift
from lrnn_cli.objectives.collocation import collocate, measure_scales
from lrnn_cli.objectives.compile_poisson import compile_problem
from lrnn_cli.objectives.named_problems import named_problem
from lrnn_cli.objectives.poisson import Problem, ProblemConfig

RUNNER = BlockRunner(torch.device("cpu"))
# zero, lifted, and, since a kink outside is not seen to be outside, rows of their own
BOUNDARIES = ("x*(1-x)*y*(1-y)", "exp(x*y)", "exp(x*y) + abs(x - 2)")


def problem(exact: str) -> Problem:
    return compile_problem(ProblemConfig(exact=exact))


@pytest.mark.parametrize("exact", BOUNDARIES)
@pytest.mark.parametrize("n_factors", [1, 2, 4])
def test_jacobian_equals_differentiation(exact: str, n_factors: int) -> None:
    found = problem(exact)
    rows = collocate(found, 30, measure_scales(found)).rows
    network = start_network(found, 4, n_factors, 5.0, 0)
    residual, jacobian = network.jacobian(rows, RUNNER)
    reference = torch.autograd.functional.jacobian(
        lambda step: network.moved(step).residual(rows, RUNNER), torch.zeros_like(network.vector())
    )
    torch.testing.assert_close(residual, network.residual(rows, RUNNER))
    torch.testing.assert_close(jacobian, reference, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "at_once"),
    [("siren", True), ("mlp-tanh", True), ("spder", True), ("fourier", True), ("mfn", None), ("lrnn", False)],
)
@pytest.mark.parametrize("exact", BOUNDARIES)
def test_linear_layers_need_one_backward_pass(name: str, at_once: bool | None, exact: str) -> None:
    found = problem(exact)
    rows = collocate(found, 300, measure_scales(found)).rows
    config, _ = choose_config(name, {}, 150, 2)
    network = start_catalog_network(found, name, config, 0, rows, RUNNER)
    if at_once is not None:
        assert bool(linear_layers(network.module)) == at_once
    runner = BlockRunner(torch.device("cpu"), threads=2)
    residual, jacobian = network.jacobian(rows, runner)
    runner.close()
    by_rows = network._jacobian_by_rows(rows, RUNNER)
    torch.testing.assert_close(residual, by_rows[0])
    torch.testing.assert_close(jacobian, by_rows[1], rtol=1e-9, atol=1e-9 * float(jacobian.abs().max()))
    assert not any(layer._forward_hooks for layer in linear_layers(network.module).values())


def test_a_layer_that_is_called_twice_is_left_to_the_other_way() -> None:
    layer = torch.nn.Linear(2, 2).double()
    x = lift(torch.rand(5, 2, dtype=torch.float64), torch.zeros(2).double(), torch.ones(2).double())
    weights = dict(layer.named_parameters())
    with LayerWatch({"": layer}) as watch:
        assert watch.jacobian(lambda w: layer(layer(x)).value[:, 0], weights) is None


@pytest.mark.parametrize("name", ["lrnn", "siren", "kan"])
def test_jacobian_of_a_model_of_the_catalog(name: str) -> None:
    found = problem("x*(1-x)*y*(1-y)")
    rows = collocate(found, 20, measure_scales(found)).rows
    config, count = choose_config(name, {}, 120, 2)
    network = start_catalog_network(found, name, config, 0, rows, RUNNER)
    residual, jacobian = network.jacobian(rows, RUNNER)
    assert jacobian.shape == (len(rows), count)
    torch.testing.assert_close(residual, network.residual(rows, RUNNER))
    direction = torch.linspace(-1, 1, count, dtype=torch.float64)
    moved = [network.moved(h * direction).residual(rows, RUNNER) for h in (1e-5, -1e-5)]
    slope = (moved[0] - moved[1]) / 2e-5
    torch.testing.assert_close(jacobian @ direction, slope, rtol=1e-5, atol=1e-5 * float(slope.abs().max()))


def test_gram_matrix_in_tiles() -> None:
    jacobian = torch.randn(30, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    runner = BlockRunner(torch.device("cpu"), threads=2)
    torch.testing.assert_close(lower_gram(jacobian, runner).tril(), (jacobian.T @ jacobian).tril())
    runner.close()


def test_threads_change_no_bit() -> None:
    found = problem("x*(1-x)*y*(1-y)*sin(3*x*y)")
    heads = []
    for threads in (1, 2):
        solved = Solved()
        list(solve_levenberg(found, solved, target=1e-9, rank=20, omega=4.0, n_steps=2, threads=threads))
        assert solved.solution is not None
        heads.append(solved.solution.jet(found.domain.heldout(5, 1)).value)
    assert torch.equal(heads[0], heads[1])


def test_any_model_of_the_catalog_can_be_trained() -> None:
    found = problem("x*(1-x)*y*(1-y)*sin(3*x*y)")
    config, _ = choose_config("siren", {"omega_first": 6.0}, 100, 2)
    solved = Solved()
    steps = list(solve_levenberg(found, solved, target=2e-2, model=("siren", config), n_steps=40))
    assert solved.reached
    assert steps[-1].loss <= 2e-2


def test_steps_only_go_down() -> None:
    found = problem("x*(1-x)*y*(1-y)*sin(3*x*y)")
    rows = collocate(found, 200, measure_scales(found)).rows
    network = start_network(found, 6, 2, 4.0, 0)
    state = State(network, float(network.residual(rows, RUNNER).square().sum()), 1e-2)
    costs = [state.cost]
    for _ in range(12):
        state = levenberg_step(state, rows, RUNNER)
        costs.append(state.cost)
    assert all(after < before for before, after in pairwise(costs))
    assert costs[-1] < 1e-3 * costs[0]


@dataclass(frozen=True)
class Valley:
    """Rosenbrock's function, ρ = (10 (y - x²), 1 - x), the second weight in its own unit, a third idle."""

    weights: torch.Tensor
    unit: float = 1.0

    def moved(self, step: torch.Tensor) -> "Valley":
        return Valley(self.weights + step, self.unit)

    def residual(self, rows: object, runner: object) -> torch.Tensor:
        x, y = self.weights[0], self.unit * self.weights[1]
        return torch.stack([10 * (y - x.square()), 1 - x])

    def jacobian(self, rows: object, runner: object) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.weights[0]
        matrix = torch.zeros(2, 3, dtype=torch.float64)
        matrix[0, 0], matrix[0, 1], matrix[1, 0] = -20 * x, 10 * self.unit, -1
        return self.residual(rows, runner), matrix


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e3])
def test_weights_of_any_scale_and_idle_ones_are_no_hindrance(unit: float) -> None:
    start = Valley(torch.tensor([-1.2, 1.0 / unit, 5.0], dtype=torch.float64), unit)
    state = State(start, float(start.residual(None, None).square().sum()), 1e-2)
    diagonals = []
    for _ in range(60):
        state = levenberg_step(state, None, RUNNER)
        diagonals.append(state.diagonal)
        if state.cost < 1e-20:
            break
    assert state.cost < 1e-20
    assert all(bool((after >= before).all()) for before, after in pairwise(diagonals))
    assert float(state.network.weights[2]) == 5.0


def test_damping_falls_after_a_step_at_once_and_not_after_a_refusal() -> None:
    start = Valley(torch.tensor([-1.2, 1.0, 0.0], dtype=torch.float64))
    cost = float(start.residual(None, None).square().sum())
    calm = levenberg_step(State(start, cost, 1.0), None, RUNNER)
    assert calm.damping == pytest.approx(1 / 3)
    bold = levenberg_step(State(start, cost, 1e-9), None, RUNNER)
    doublings = math.log2(bold.damping / 1e-9)
    assert doublings > 0 and doublings == round(doublings)


def test_a_budget_of_time_is_not_cut_by_the_usual_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrnn_cli.fitting.levenberg.STEPS", 3)
    found = problem("x*(1-x)*y*(1-y)*sin(3*x*y)")
    options = {"target": 1e-15, "rank": 3, "n_factors": 2, "omega": 4.0}
    assert list(solve_levenberg(found, Solved(), **options))[-1].step == 3
    assert list(solve_levenberg(found, Solved(), **options, time_s=0.5))[-1].step > 3


def test_a_small_network_learns_a_smooth_solution() -> None:
    found = problem("x*(1-x)*y*(1-y)*sin(3*x*y)")
    solved = Solved()
    steps = list(solve_levenberg(found, solved, target=1e-3, rank=10, n_factors=2, omega=4.0, n_steps=60))
    assert solved.reached
    assert steps[-1].loss <= 1e-3
    points = found.domain.heldout(300, 1)
    assert solved.solution is not None and found.exact is not None
    exact = found.exact(points)
    assert float((solved.solution.jet(points).value - exact).norm() / exact.norm()) < 1e-3


def test_five_dimensions() -> None:
    found = compile_problem(ProblemConfig(**named_problem("anova", dim=5)))
    solved = Solved()
    list(solve_levenberg(found, solved, target=1e-3, rank=8, n_factors=3, omega=1.0, n_steps=40))
    points = found.domain.heldout(300, 1)
    assert solved.solution is not None and found.exact is not None
    exact = found.exact(points)
    assert float((solved.solution.jet(points).value - exact).norm() / exact.norm()) < 3e-2


def test_a_jacobian_too_large_is_refused() -> None:
    with pytest.raises(ConfigError, match="lower --rank"):
        list(solve_levenberg(problem("x"), Solved(), target=1e-3, rank=2000))


@pytest.mark.parametrize("name", ["siren", "lrnn", "kan"])
def test_threads_do_not_meet_in_a_module(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights other than the module's own, in small blocks: threads that shared a module would mix them."""
    for size in ("BLOCK", "PER_SAMPLE", "PER_PASS"):
        monkeypatch.setattr(f"lrnn_cli.fitting.catalog_network.{size}", 4)
    found = problem("x*(1-x)*y*(1-y)")
    rows = collocate(found, 100, measure_scales(found)).rows
    config, count = choose_config(name, {}, 60, 2)
    start = start_catalog_network(found, name, config, 0, rows, RUNNER)
    network = start.moved(torch.linspace(0.5, 1.5, count, dtype=torch.float64))
    runner = BlockRunner(torch.device("cpu"), threads=4)
    for ours, alone in (
        (network.residual(rows, runner), network.residual(rows, RUNNER)),
        (network.jacobian(rows, runner)[1], network.jacobian(rows, RUNNER)[1]),
        (
            network.loss_and_gradient(network.theta, rows, runner)[1],
            network.loss_and_gradient(network.theta, rows, RUNNER)[1],
        ),
    ):
        assert torch.equal(ours, alone)
    runner.close()
