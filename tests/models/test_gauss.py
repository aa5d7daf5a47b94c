import numpy as np

from tests.models.support import check, is_uniform, layer, make, points, weights


def test_it_is_the_formula():
    model = make("gauss", width=7, depth=3, scale=4.0)
    x, w, h = points(50, 2), weights(model), points(50, 2).numpy()
    for k in range(3):
        h = np.exp(-((4.0 * layer(w, f"layers.{k}", h)) ** 2))
    check(model, x, layer(w, "head", h))


def test_the_initial_weights_are_as_documented():
    w = weights(make("gauss", width=200, depth=2))
    assert is_uniform(w["layers.1.weight"], 1 / np.sqrt(200))
