"""Taylor mode against nested differentiation, for every model of the catalog and for rules of their own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from lrnn_cli.models.catalog import CATALOG, build, config_class
from lrnn_cli.numerics.jets import Jet, nested
from lrnn_cli.numerics.taylor import UnsupportedOperation, field_jet, lift

FALLS_BACK = {"iat-relu-decoupled"}  # to nested differentiation


def points(n: int, d: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(d)
    return 0.1 + 1.3 * torch.rand(n, d, generator=generator, dtype=torch.float64)


def agree(found: Jet, reference: Jet) -> None:
    for one, two in (
        (found.value, reference.value),
        (found.gradient, reference.gradient),
        (found.laplacian, reference.laplacian),
    ):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12 * float(two.detach().abs().max()) + 1e-14)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("name", CATALOG)
def test_every_model_of_the_catalog(name: str, d: int) -> None:
    cls = config_class(name)
    options = {cls.width_key: 6, **({"depth": 2} if "depth" in cls.model_fields else {})}
    model = build(name, cls(**options).for_signal((32,) * d), n_inputs=d, n_outputs=1, seed=1).double()
    origin, scale = torch.full((d,), 0.7).double(), torch.tensor([1.3, 0.6, 0.9]).double()[:d]
    if name not in FALLS_BACK:
        model(lift(points(2, d), origin, scale))
    found = field_jet(model, points(9, d), origin=origin, scale=scale)
    agree(found, nested(lambda x: model((x - origin) / scale)[:, 0], points(9, d)))


@pytest.mark.parametrize("sigma", ["sin", "spder", "spder-sqrt", "gauss", "tanh", "bspline", "fourier"])
def test_every_component_family(sigma: str) -> None:
    config = config_class("lrnn")(rank=4, dbar=3, depth=2, component_width=3, sigma=sigma, omega_first=3.0)
    model = build("lrnn", config, n_inputs=2, n_outputs=1, seed=1).double()
    agree(field_jet(model, points(9, 2)), nested(lambda x: model(x)[:, 0], points(9, 2)))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sum(1, keepdim=True).log().exp().sigmoid() / (1 + x[:, :1] ** 2),
        lambda x: (x.erf() / x.tanh() - x.atan() * x.cos()).mean(1, keepdim=True),
        lambda x: torch.stack([x[:, 0], 2.0 - x[:, 1]], 1).prod(1).unsqueeze(1),
        lambda x: torch.where(x > 0.8, x.sqrt(), -x).sum(1, keepdim=True),
        lambda x: torch.cat([torch.ones_like(x), x * x], 1).amax(1).unsqueeze(1),
        lambda x: torch.nn.functional.silu(x.abs().clamp_min(0.5)).sum(1, keepdim=True),
        lambda x: (3.0 - x.sum(1)).unsqueeze(1) * torch.sub(1.0, x[:, :1]),
        lambda x: torch.ones_like(x[:, :1]) / x[:, :1] + 2.0 / x[:, 1:],
    ],
)
def test_rules(function: Callable[[Any], Any]) -> None:
    function(lift(points(2, 2), torch.zeros(2).double(), torch.ones(2).double()))
    agree(field_jet(function, points(9, 2)), nested(lambda x: function(x)[:, 0], points(9, 2)))


@pytest.mark.parametrize(("power", "laplacian"), [(0, 0.0), (1, 0.0), (2, 4.0), (3, 0.0)])
def test_powers_at_zero(power: int, laplacian: float) -> None:
    found = field_jet(lambda x: (x**power).sum(1, keepdim=True), torch.zeros(1, 2, dtype=torch.float64))
    assert found.gradient.flatten().tolist() == [float(power == 1)] * 2
    assert float(found.laplacian) == laplacian


def test_weights_get_the_same_gradient() -> None:
    model = build("siren", config_class("siren")(width=5, depth=2), n_inputs=2, n_outputs=1, seed=1).double()
    found = []
    for jet in (field_jet(model, points(9, 2)), nested(lambda x: model(x)[:, 0], points(9, 2))):
        loss = (jet.laplacian + jet.value * jet.gradient[0]).square().sum()
        grads = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)
        found.append(torch.cat([g.flatten() for g in grads]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)


def test_without_a_rule_nested_differentiation_steps_in() -> None:
    def function(x: Any) -> Any:
        return torch.cumsum(x.sin(), 1)[:, 1:]

    with pytest.raises(UnsupportedOperation, match="no Taylor rule for 'cumsum'"):
        function(lift(points(2, 2), torch.zeros(2).double(), torch.ones(2).double()))
    agree(field_jet(function, points(9, 2)), nested(lambda x: function(x)[:, 0], points(9, 2)))


def test_a_matrix_from_the_left_has_no_rule() -> None:
    def function(x: Any) -> Any:
        return torch.matmul(torch.ones(2, 2).double(), x[:2])[:, :1]

    with pytest.raises(UnsupportedOperation, match="no Taylor rule for 'matmul' from the left"):
        function(lift(points(2, 2), torch.zeros(2).double(), torch.ones(2).double()))


def test_it_looks_like_a_tensor_where_networks_look() -> None:
    jet = lift(points(2, 2), torch.zeros(2).double(), torch.ones(2).double())
    assert jet.shape == (2, 2)
    assert jet.dtype == torch.float64
    assert bool((jet <= jet.value).all() and (jet >= jet.value).all() and not (jet < 0.0).any())
