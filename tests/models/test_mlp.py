import numpy as np
import pytest
import torch
from torch import nn

from lrnn_cli.models.catalog import config_class
from tests.models.support import check, is_uniform, layer, make, points, weights

ACTIVATIONS = {
    "mlp-relu": (nn.ReLU, lambda z: np.maximum(z, 0)),
    "mlp-tanh": (nn.Tanh, lambda z: (np.exp(2 * z) - 1) / (np.exp(2 * z) + 1)),
    "mlp-sigmoid": (nn.Sigmoid, lambda z: 1 / (1 + np.exp(-z))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_it_is_the_formula(name):
    model = make(name, width=7, depth=3)
    x, w, h = points(50, 2), weights(model), points(50, 2).numpy()
    for k in range(3):
        h = ACTIVATIONS[name][1](layer(w, f"layers.{k}", h))
    check(model, x, layer(w, "head", h))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_it_equals_torch_layers_with_torch_weights(name):
    """The same seed gives the same weights, and the same weights the same bits."""
    activation = ACTIVATIONS[name][0]
    torch.manual_seed(5)
    net = nn.Sequential(
        nn.Linear(2, 9), activation(), nn.Linear(9, 9), activation(), nn.Linear(9, 3)
    ).double()
    model = make(name, seed=5, width=9, depth=2)
    ours, theirs = list(model.parameters()), list(net.parameters())
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    x = points(20, 2)
    assert torch.equal(model(x), net(x))


def test_the_initial_weights_are_as_documented():
    w = weights(make("mlp-relu", width=200, depth=2))
    assert is_uniform(w["layers.1.weight"], 1 / np.sqrt(200))
    assert is_uniform(w["layers.0.bias"], 1 / np.sqrt(2), tolerance=0.15)


def test_each_row_has_a_configuration_of_its_own():
    assert len({config_class(name) for name in ACTIVATIONS}) == 3
