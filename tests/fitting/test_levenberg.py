"""Levenberg-Marquardt: the Jacobian in closed form, and digits that first-order training does not reach."""

from itertools import pairwise

import pytest
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.levenberg import State, levenberg_step, solve_levenberg, start_network
from lrnn_cli.fitting.solve_linear import Solved
from lrnn_cli.objectives.collocation import collocate, measure_scales
from lrnn_cli.objectives.named_problems import named_problem
from lrnn_cli.objectives.poisson import Problem, ProblemConfig, compile_problem


def problem(exact: str) -> Problem:
    return compile_problem(ProblemConfig(exact=exact))


@pytest.mark.parametrize("exact", ["x*(1-x)*y*(1-y)", "exp(x*y)"])
@pytest.mark.parametrize("n_factors", [1, 2, 4])
def test_jacobian_equals_differentiation(exact: str, n_factors: int) -> None:
    found = problem(exact)
    rows = collocate(found, 30, measure_scales(found)).rows
    network = start_network(found, 4, n_factors, 5.0, 0)
    residual, jacobian = network.jacobian(rows)
    reference = torch.autograd.functional.jacobian(
        lambda step: network.moved(step).residual(rows), torch.zeros_like(network.vector())
    )
    torch.testing.assert_close(residual, network.residual(rows))
    torch.testing.assert_close(jacobian, reference, rtol=1e-10, atol=1e-10)


def test_steps_only_go_down() -> None:
    found = problem("x*(1-x)*y*(1-y)*sin(3*x*y)")
    rows = collocate(found, 200, measure_scales(found)).rows
    network = start_network(found, 6, 2, 4.0, 0)
    state = State(network, float(network.residual(rows).square().sum()), 1e-2)
    costs = [state.cost]
    for _ in range(12):
        state = levenberg_step(state, rows)
        costs.append(state.cost)
    assert all(after < before for before, after in pairwise(costs))
    assert costs[-1] < 1e-3 * costs[0]


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
