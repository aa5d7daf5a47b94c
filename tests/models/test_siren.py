"""SIREN: plain torch code, and the statistics of its initialisation."""

import math

import pytest
import torch
from torch.nn.functional import linear

from lrnn_cli.models.catalog import build, config_class
from tests.models.support import is_uniform, make, points


def test_equals_plain_torch_code():
    model = make("siren", width=16, depth=3, omega_first=20.0, omega_hidden=10.0)
    state, x = model.state_dict(), points(30, 2)
    h = x
    for k, omega in enumerate((20.0, 10.0, 10.0)):
        h = torch.sin(omega * linear(h, state[f"layers.{k}.weight"], state[f"layers.{k}.bias"]))
    expected = linear(h, state["head.weight"], state["head.bias"])
    torch.testing.assert_close(model(x).detach(), expected, rtol=1e-13, atol=1e-13)


def test_the_start_is_as_written():
    config = config_class("siren")(width=300, depth=3, omega_hidden=20.0)
    model = build("siren", config, n_inputs=3, n_outputs=40, seed=0)
    first, *hidden = model.layers
    assert is_uniform(first.weight.detach(), 1 / 3)
    assert is_uniform(first.bias.detach(), 1 / math.sqrt(3), 0.15)
    for layer in (*hidden, model.head):
        assert is_uniform(layer.weight.detach(), math.sqrt(6 / 300) / 20.0)
        assert is_uniform(layer.bias.detach(), 1 / math.sqrt(300), 0.3)


@pytest.mark.parametrize("omega", [1.0, 30.0])
def test_the_arguments_of_the_sines_stay_standard_normal_through_20_layers(omega):
    config = config_class("siren")(width=512, depth=20, omega_hidden=omega)
    model = build("siren", config, n_inputs=2, n_outputs=1, seed=0)
    h = points(200, 2).float()
    with torch.no_grad():
        h = torch.sin(30.0 * model.layers[0](h))
        for layer in model.layers[1:]:
            without_bias = omega * linear(h, layer.weight)
            assert abs(float(without_bias.mean())) < 0.1
            assert 0.85 < float(without_bias.std()) < 1.15
            assert 2.6 < float((without_bias / without_bias.std()).pow(4).mean()) < 3.4  # of a normal law: 3
            h = torch.sin(omega * layer(h))
        assert 0.37 < float(h.square().mean()) < 0.6  # of a normal argument: 0.43
