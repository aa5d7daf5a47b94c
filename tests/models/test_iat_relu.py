import numpy as np
import pytest
import torch

from lrnn_cli.models.contract import count_parameters
from lrnn_cli.numerics.line_bases import evaluate, gain
from tests.models.support import check, is_uniform, layer, make, points, weights


def test_it_is_the_formula():
    model = make("iat-relu", width=6, depth=3, mesh_ratio=5)
    x, w, h = points(40, 2), weights(model), points(40, 2).numpy()
    s = np.linspace(-1, 1, 31)[:-1] + 1 / 30
    p, q = evaluate("fourier", 6, s), evaluate("pwq", 6, s)
    for k in range(3):
        h = gain("fourier", "pwq", 6) * 2 / 30 * np.maximum(0, layer(w, f"layers.{k}", h) @ p) @ q.T
    check(model, x, layer(w, "head", h))


@pytest.mark.parametrize("integral", ["midpoint", "exact"])
def test_rect_with_rect_is_the_plain_relu_network(integral):
    options = {"input_basis": "rect", "output_basis": "rect", "integral": integral}
    model, relu = make("iat-relu", width=9, depth=3, **options), make("mlp-relu", width=9, depth=3)
    relu.load_state_dict(model.state_dict())
    x = points(50, 2)
    torch.testing.assert_close(model(x), relu(x), rtol=0, atol=1e-12)


def test_points_are_the_mesh_ratio_times_the_width_unless_given():
    assert make("iat-relu", width=10, mesh_ratio=3).spec.points == 30
    assert make("iat-relu", width=10, mesh_ratio=3, points=500).spec.points == 500


def test_more_points_come_nearer_to_the_exact_network():
    exact, x = make("iat-relu", width=8, depth=2, input_basis="pwl", integral="exact"), points(50, 2)
    errors = []
    for n in (8, 32, 128):
        model = make("iat-relu", width=8, depth=2, input_basis="pwl", points=n)
        errors.append((model(x) - exact(x)).abs().max().item())
    assert errors[1] < errors[0] / 4
    assert errors[2] < errors[1] / 4


def test_the_exact_network_has_a_laplacian_and_the_midpoint_rule_has_none():
    """Against central differences of the gradient in float64."""
    x = points(20, 2).requires_grad_()
    for integral, bends in (("exact", True), ("midpoint", False)):
        model = make("iat-relu", width=8, depth=2, input_basis="pwl", integral=integral, n_outputs=1)

        def gradient(x, model=model):
            return torch.autograd.grad(model(x).sum(), x, create_graph=True)[0]

        (second,) = torch.autograd.grad(gradient(x)[:, 0].sum(), x)
        assert bool((second.abs() > 1e-2).any()) is bends
        if bends:
            step = torch.tensor([1e-6, 0.0], dtype=x.dtype)
            difference = (gradient(x + step) - gradient(x - step))[:, 0] / 2e-6
            close = (difference - second[:, 0]).abs() < 1e-4 * (1 + second[:, 0].abs())
            assert (
                float(close.double().mean()) > 0.9
            )  # but where a step crosses a jump of the second derivative


def test_the_initial_weights_keep_the_mean_square():
    model = make("iat-relu", width=150, depth=6, n_inputs=150)
    w = weights(model)
    assert is_uniform(w["layers.0.weight"], np.sqrt(6 / 150))
    assert is_uniform(w["layers.3.weight"], np.sqrt(6 / 150))
    with torch.no_grad():
        for part in model.layers:
            part.bias.zero_()
        h = torch.from_numpy(np.random.default_rng(0).normal(size=(100, 150)))
        assert 0.1 < float(model.features(h).square().mean()) < 2.0  # 1/2 behind every layer


def test_bases_are_neither_parameters_nor_in_the_checkpoint():
    model = make("iat-relu", width=7, depth=2)
    assert set(model.state_dict()) == set(make("mlp-relu", width=7, depth=2).state_dict())
    assert count_parameters(model) == 7 * 3 + 7 * 8 + 3 * 8
