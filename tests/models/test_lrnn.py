"""LRNN against plain loops, its special cases and symmetries."""

import math

import numpy as np
import pytest
import torch

from lrnn_cli.models.catalog import build, config_class
from tests import references
from tests.models.support import check, make, points, weights

FAMILIES = ("sin", "spder", "spder-sqrt", "gauss", "tanh", "relu")


def shaken(model, seed=0):
    """All parameters moved from their start, where many are equal."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.2 * p.abs().mean() * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model


def slow(model, x):
    """The same network in plain loops."""
    layers = list(model.layers)
    return references.lrnn(
        weights(model),
        x.numpy(),
        family=layers[0].family,
        omegas=[layer.omega for layer in layers],
        gamma=layers[0].weight.shape[0] ** -0.5,
        centres=[layer.centre for layer in layers],
    )


@pytest.mark.parametrize("sigma", FAMILIES)
@pytest.mark.parametrize(
    "options",
    [
        {"depth": 1, "layer_norm": False},
        {"depth": 3},
        {"depth": 2, "component_width": 3, "components": "shared"},
        {"depth": 2, "dbar": 1, "component_width": 2},
    ],
    ids=["shallow", "deep", "shared", "one-factor"],
)
def test_equals_plain_loops(sigma, options):
    sizes = {"rank": 4, "dbar": 3, "omega_first": 7.0, "omega_hidden": 3.0}
    model = shaken(make("lrnn", sigma=sigma, **{**sizes, **options}))
    x = points(5, 2)
    check(model, x, slow(model, x))
    if sigma != "relu":  # in pieces: rounding may fall on either side of a kink
        model.use_engine("fused")
        check(model, x, slow(model, x))


def test_the_frequencies_of_the_layers_are_those_of_the_configuration():
    model = make("lrnn", rank=3, depth=3, omega_first=11.0, omega_hidden=5.0)
    assert [layer.omega for layer in model.layers] == [11.0, 5.0, 5.0]


def test_scales_of_the_first_projections():
    options = {"rank": 400, "dbar": 3, "depth": 2}
    equal, spread = (
        [layer.weight.detach() for layer in make("lrnn", first_scales=scales, **options).layers]
        for scales in ("equal", "spread")
    )
    assert 0.49 < float(equal[0].abs().max()) <= 0.5
    assert 0.7 < float(spread[0].abs().max()) <= 1.0
    lengths = [w[0].norm(dim=-1).flatten() for w in (equal, spread)]
    assert float(lengths[1].mean() / lengths[0].mean()) == pytest.approx(1.0, abs=0.1)
    small = [float((length < 0.05).double().mean()) for length in lengths]  # below a tenth of the bound
    assert small[0] < 0.02
    assert small[1] > 5 * small[0]
    assert float(spread[1].abs().max()) == pytest.approx(float(equal[1].abs().max()), rel=0.01)


def test_hidden_rate_is_of_projections_between_the_first_and_the_last():
    plain, slow = make("lrnn", depth=4), make("lrnn", depth=4, hidden_rate=0.25)
    slower = {n for n, _ in plain.named_parameters() if slow.rate_factor(n) != plain.rate_factor(n)}
    assert slower == {"layers.1.weight", "layers.2.weight"}
    assert slow.rate_factor("layers.2.weight") == 0.25 * plain.rate_factor("layers.2.weight")


def test_one_factor_with_fixed_components_is_a_shallow_network():
    model = make("lrnn", rank=8, dbar=1, depth=1, layer_norm=False, sigma="tanh", omega_first=2.0)
    (layer,) = model.layers
    with torch.no_grad():
        layer.amplitude.fill_(1.0)
        layer.frequency.fill_(1.0)
        layer.phase.zero_()
    assert layer.centre == pytest.approx(0, abs=1e-12)
    x, w = points(30, 2), weights(model)
    hidden = np.tanh(2.0 * (x.numpy() @ w["layers.0.weight"][0].T + w["layers.0.bias"][0]))
    head = w["head.weight"]
    check(model, x, hidden @ head.T + (w["head.bias"] + head.sum(1)))


@pytest.mark.parametrize("engine", ["reference", "fused"])
def test_without_components_every_feature_is_one(engine):
    model = make("lrnn", rank=5, dbar=7, depth=1, layer_norm=False)
    model.use_engine(engine)
    with torch.no_grad():
        model.layers[0].amplitude.zero_()
    assert (model.features(points(20, 2)) == 1).all()


def test_the_plain_product_has_no_one():
    model = make("lrnn", rank=5, dbar=3, depth=1, layer_norm=False, product="plain")
    with torch.no_grad():
        model.layers[0].amplitude.zero_()
    assert (model.features(points(20, 2)) == 0).all()


@pytest.mark.parametrize("engine", ["reference", "fused"])
def test_the_order_of_the_factors_does_not_matter(engine):
    model = shaken(make("lrnn", rank=5, dbar=4, depth=2, component_width=2))
    model.use_engine(engine)
    x = points(20, 2)
    before = model(x).detach()
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        for layer in model.layers:
            for p in (layer.weight, layer.bias):
                p.copy_(p[order])
            for p in (layer.amplitude, layer.frequency, layer.phase):
                p.copy_(p[:, order])
        torch.testing.assert_close(model(x), before, rtol=1e-12, atol=1e-12)
        model.layers[0].weight.copy_(model.layers[0].weight[order])  # alone: another network
        assert (model(x) - before).abs().max() > 1e-3


@pytest.mark.parametrize("engine", ["reference", "fused"])
def test_the_order_of_the_points_shows_in_the_order_of_the_values(engine):
    model = make("lrnn", rank=5, dbar=4, depth=2)
    model.use_engine(engine)
    x, order = points(20, 2), torch.randperm(20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(x[order]), model(x)[order], rtol=1e-12, atol=1e-12)


def test_the_start_is_as_written():
    options = {"rank": 200, "dbar": 8, "depth": 2, "omega_first": 20.0, "omega_hidden": 10.0}
    config = config_class("lrnn")(sigma="sin", sigma_g=0.7, **options)
    model = build("lrnn", config, n_inputs=4, n_outputs=1, seed=0)
    first, second = model.layers
    for values, bound in [
        (first.weight, 1 / 4),
        (first.bias, math.pi / 20.0),
        (second.weight, math.sqrt(3 / 200) / 10.0),
        (second.bias, math.pi / 10.0),
    ]:
        values = values.detach()
        assert 0.97 * bound < float(values.abs().max()) <= bound
        assert float(values.std()) == pytest.approx(bound / math.sqrt(3), rel=0.03)
    for layer in (first, second):
        assert (layer.amplitude == layer.amplitude[0, 0, 0]).all()
        assert layer.amplitude[0, 0, 0].item() == pytest.approx(0.7 * math.sqrt(2), rel=1e-3)
        assert (layer.frequency == 1).all()
        assert (layer.phase == 0).all()
        assert layer.centre == pytest.approx(0, abs=1e-6)


def test_relevance_is_the_largest_step_from_one():
    model = make("lrnn", rank=5, dbar=4, depth=1, component_width=3, sigma="sin", components="shared")
    (layer,) = model.layers
    relevance = layer.relevance()
    assert relevance.shape == (4, 5)
    expected = 0.5 * np.abs(weights(model)["layers.0.amplitude"]).sum(0)
    np.testing.assert_allclose(relevance.numpy(), np.broadcast_to(expected, (4, 5)), rtol=1e-12)
