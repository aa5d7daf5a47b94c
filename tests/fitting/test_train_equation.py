"""Training models of the catalog on equations by first-order methods."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from lrnn_cli.errors import CheckpointError, ConfigError, FitError
from lrnn_cli.fitting import checkpoint, train_equation
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.catalog_network import (
    CatalogNetwork,
    PerThread,
    choose_config,
    start_catalog_network,
)
from lrnn_cli.fitting.fields import FORMAT, NetworkField, encode, load
from lrnn_cli.fitting.solve_linear import Solved
from lrnn_cli.fitting.train_equation import train_network
from lrnn_cli.models.catalog import CATALOG, build
from lrnn_cli.models.contract import use_engine
from lrnn_cli.numerics.domains import Disc
from lrnn_cli.numerics.jets import nested
from lrnn_cli.objectives.collocation import collocate, measure_scales
from lrnn_cli.objectives.compile_poisson import compile_problem
from lrnn_cli.objectives.poisson import Problem, ProblemConfig
from tests.kernels.support import compiled_engine

BUMP = compile_problem(ProblemConfig(exact="x*(1-x)*y*(1-y)*exp(x)"))
HARMONIC = compile_problem(ProblemConfig(domain=Disc(), exact="exp(x)*cos(y)"))
RUNNER = BlockRunner(torch.device("cpu"))


def train(found: Problem, method: str, name: str, n_steps: int, **more: float) -> tuple[Solved, list[float]]:
    config, _ = choose_config(name, {}, 120, found.n_inputs)
    solved = Solved()
    kept = {"target": 1e-9, **more}
    steps = train_network(found, solved, method=method, name=name, config=config, n_steps=n_steps, **kept)
    return solved, [step.loss for step in steps]


def error(found: Problem, solved: Solved) -> float:
    points = found.domain.heldout(300, 1)
    assert solved.solution is not None and found.exact is not None
    exact = found.exact(points)
    return float((solved.solution.jet(points).value - exact).norm() / exact.norm())


def test_lbfgs_solves_a_smooth_problem() -> None:
    solved, losses = train(BUMP, "lbfgs", "mlp-tanh", 150)
    assert all(after <= before for before, after in pairwise(losses))
    assert error(BUMP, solved) < 2e-2


def test_boundary_rows_where_u_is_not_zero() -> None:
    solved, _ = train(HARMONIC, "lbfgs", "lrnn", 80)
    assert error(HARMONIC, solved) < 5e-2


@pytest.mark.parametrize("name", sorted(CATALOG))
@pytest.mark.parametrize("engine", ["reference", "fused"])
def test_rows_and_weights_may_lie_on_another_device(name: str, engine: str) -> None:
    """Torch refuses to mix tensors of the device `meta`, which has no numbers, with those of the CPU."""
    elsewhere = torch.device("meta")
    rows = collocate(BUMP, 50, measure_scales(BUMP)).rows.to(elsewhere)
    config, _ = choose_config(name, {}, 500, 2)
    module = build(name, config, n_inputs=2, n_outputs=1, seed=0).double().to(elsewhere)
    use_engine(module, engine)
    module.requires_grad_(False)
    theta = torch.nn.utils.parameters_to_vector(module.parameters()).requires_grad_()
    network = CatalogNetwork(BUMP, name, config, PerThread(module), theta, engine=engine)
    cost = network.rows_of(network.weights(theta), rows).square().sum()
    (gradient,) = torch.autograd.grad(cost, theta)
    assert (cost.device, gradient.device, gradient.shape) == (elsewhere, elsewhere, theta.shape)


def test_adam_descends_and_keeps_the_best() -> None:
    solved, losses = train(BUMP, "adam", "siren", 120, lr=1e-2)
    assert losses[-1] < 0.5 * losses[0]
    assert solved.about["residual_training"] == min(losses)
    assert solved.about["steps"] == 120


def test_a_budget_of_time_is_not_cut_by_the_usual_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(train_equation.STEPS, "adam", 5)
    assert train(BUMP, "adam", "siren", 0)[0].about["steps"] == 5
    assert train(BUMP, "adam", "siren", 0, time_s=0.5)[0].about["steps"] > 5


def test_it_stops_at_the_target() -> None:
    solved, losses = train(BUMP, "lbfgs", "mlp-tanh", 400, target=0.02)
    assert solved.reached
    assert losses[-1] <= 0.02 < losses[-2]


def test_the_gradient_is_that_of_nested_differentiation() -> None:
    rows = collocate(BUMP, 30, measure_scales(BUMP)).rows
    config, _ = choose_config("kan", {}, 120, 2)
    network = start_catalog_network(BUMP, "kan", config, 0, rows, RUNNER)
    cost, gradient = network.loss_and_gradient(network.theta, rows, RUNNER)
    leaf = network.theta.clone().requires_grad_(True)
    weights = network.weights(leaf)

    def field(x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(network.module, weights, (2 * x - 1,))[:, 0]

    reference = (rows.apply(nested(field, rows.points)) * network.scale - rows.target).square().sum()
    torch.testing.assert_close(cost, float(reference.detach()))
    (expected,) = torch.autograd.grad(reference, leaf)
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))


DEEP = {"depth": 2, "layer_norm": True, "sigma": "spder", "component_width": 2, "rank": 5}


@pytest.mark.parametrize("engine", ["fused", *compiled_engine()])
@pytest.mark.parametrize("options", [{"rank": 6}, DEEP], ids=["shallow", "deep"])
def test_engines_agree_on_an_equation(engine: str, options: dict[str, Any]) -> None:
    rows = collocate(BUMP, 90, measure_scales(BUMP)).rows
    config, _ = choose_config("lrnn", options, None, 2)
    one, two = (
        start_catalog_network(BUMP, "lrnn", config, 0, rows, RUNNER, kind) for kind in ("reference", engine)
    )
    assert two.scale == pytest.approx(one.scale, rel=1e-12)
    torch.testing.assert_close(two.residual(rows, RUNNER), one.residual(rows, RUNNER), rtol=1e-11, atol=1e-11)
    (cost, gradient), (other, expected) = (
        net.loss_and_gradient(net.theta, rows, RUNNER) for net in (two, one)
    )
    assert cost == pytest.approx(other, rel=1e-11)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()))
    jacobian = two.jacobian(rows, RUNNER)[1]
    torch.testing.assert_close(jacobian, one.jacobian(rows, RUNNER)[1], rtol=1e-9, atol=1e-9)
    assert two.module.layers[0].engine == engine  # as before the Jacobian, which takes the reference


@pytest.mark.parametrize("name", ["lrnn", "kan", "fourier"])
def test_a_checkpoint_gives_the_same_field(name: str, tmp_path: Path) -> None:
    solved, _ = train(BUMP, "adam", name, 11)
    assert isinstance(solved.solution, NetworkField)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(encode(solved.solution, BUMP, {"solve": solved.about}))
    loaded, found, header = load(path)
    points = BUMP.domain.heldout(20, 2)
    one, two = solved.solution.jet(points), loaded.jet(points)
    assert torch.equal(one.value, two.value)
    assert torch.equal(one.laplacian, two.laplacian)
    assert loaded.n_coefficients == solved.solution.n_coefficients
    assert found.config == BUMP.config
    assert header["solve"]["model"] == name


def test_spoilt_checkpoints_are_refused(tmp_path: Path) -> None:
    solved, _ = train(BUMP, "adam", "siren", 1)
    assert solved.solution is not None
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(encode(solved.solution, BUMP, {}))
    tensors, header = checkpoint.read(path, FORMAT)
    for change, message in (
        ({"config": {**header["field"]["config"], "width": 7}}, "do not agree"),
        ({"config": {**header["field"]["config"], "depth": 10**6}}, "do not agree"),
        ({"model": "nothing"}, "unknown"),
        ({"lift": True}, "met the boundary in another way for this problem; solve it again"),
    ):
        spoilt = {**header, "field": {**header["field"], **change}}
        path.write_bytes(checkpoint.encode(tensors, spoilt))
        with pytest.raises(CheckpointError, match=message):
            load(path)
    path.write_bytes(checkpoint.encode(tensors, {**header, "field": "none"}))
    with pytest.raises(CheckpointError, match="the header makes no sense"):
        load(path)
    path.write_bytes(checkpoint.encode({key: t.float() for key, t in tensors.items()}, header))
    with pytest.raises(CheckpointError, match="expected weights in float64"):
        load(path)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown option 'wdth'"):
        choose_config("siren", {"wdth": 3}, None, 2)
    with pytest.raises(ConfigError, match=r"model siren: width: .* got -3"):
        choose_config("siren", {"width": -3}, None, 2)
    with pytest.raises(ConfigError, match="--params sets width of siren"):
        choose_config("siren", {"width": 3}, 100, 2)
    with pytest.raises(FitError, match="use a smaller --lr"):
        train(BUMP, "adam", "mlp-tanh", 40, lr=1e200)


def test_a_loss_that_is_not_finite_is_told_by_what_the_method_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(network: train_equation.CatalogNetwork, *_: object) -> tuple[float, torch.Tensor]:
        return math.nan, torch.zeros_like(network.theta)

    monkeypatch.setattr(train_equation.CatalogNetwork, "loss_and_gradient", lost)
    with pytest.raises(
        FitError, match=r"^lbfgs: the loss is not finite; use another --seed, or --solver adam$"
    ):
        train(BUMP, "lbfgs", "mlp-tanh", 40)


def test_piecewise_linear_models_are_named() -> None:
    solved, _ = train(BUMP, "adam", "mlp-relu", 1)
    assert "piecewise linear" in solved.notes[0]


def test_a_width_of_ones_own() -> None:
    config, count = choose_config("siren", {"width": 5}, None, 2)
    assert config.model_dump()["width"] == 5
    assert count == 5 * 3 + 5 * 6 + 6
