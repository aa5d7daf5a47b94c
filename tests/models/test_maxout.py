import numpy as np
import pytest
import torch

from lrnn_cli.models.maxout import second_moment_of_maximum
from tests.models.support import check, layer, make, points, weights


def test_it_is_the_formula():
    model = make("maxout", width=7, depth=3, pieces=4)
    x, w, h = points(50, 2), weights(model), points(50, 2).numpy()
    for k in range(3):
        z = layer(w, f"layers.{k}", h)
        h = np.stack([[max(row[4 * j : 4 * j + 4]) for j in range(7)] for row in z.tolist()])
    check(model, x, layer(w, "head", h))


def test_two_pieces_of_which_one_is_zero_are_a_relu():
    maxout, relu = make("maxout", width=6, depth=1, pieces=2), make("mlp-relu", width=6, depth=1)
    with torch.no_grad():
        maxout.layers[0].weight.zero_()[::2] = relu.layers[0].weight
        maxout.layers[0].bias.zero_()[::2] = relu.layers[0].bias
        maxout.head.load_state_dict(relu.head.state_dict())
    x = points(30, 2)
    assert torch.allclose(maxout(x), relu(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("pieces", "expected"), [(2, 1.0), (3, 1 + np.sqrt(3) / (2 * np.pi)), (4, 1 + np.sqrt(3) / np.pi)]
)
def test_the_second_moment_of_a_maximum_in_closed_form(pieces, expected):
    assert second_moment_of_maximum(pieces) == pytest.approx(expected, rel=1e-12)


def test_the_mean_square_stays_through_the_layers_at_the_start():
    model = make("maxout", n_inputs=300, width=400, depth=5, pieces=3)
    with torch.no_grad():
        for part in model.layers:
            part.bias.zero_()
        h = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 300)))
        features = model.features(h)
    assert 0.5 < float(features.square().mean() / h.square().mean()) < 2.0
