import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.models.contract import count_parameters
from tests.models.support import check, is_uniform, make, points, weights


def edge_sums(x, knots, matrix, order):
    """sum_i (w_oi silu(x_i) + spline_oi(x_i)), edge by edge, with splines of scipy."""
    n_nodes, n_splines = x.shape[1], knots.shape[1] - order - 1
    total = np.zeros((len(x), len(matrix)))
    for o, row in enumerate(matrix):
        for i in range(n_nodes):
            start = n_nodes + i * n_splines
            # zero splines beyond the last knots, so that scipy takes the whole support as its interval
            padded = np.concatenate(
                [knots[i, :1] - np.arange(order, 0, -1), knots[i], knots[i, -1:] + np.arange(1, order + 1)]
            )
            coefficients = np.concatenate([np.zeros(order), row[start : start + n_splines], np.zeros(order)])
            spline = np.nan_to_num(BSpline(padded, coefficients, order, extrapolate=False)(x[:, i]))
            total[:, o] += row[i] * x[:, i] / (1 + np.exp(-x[:, i])) + spline
    return total


@pytest.mark.parametrize(("grid", "order"), [(4, 3), (6, 2), (1, 1)])
def test_it_is_the_formula_with_splines_of_scipy(grid, order):
    model = make("kan", width=5, depth=2, grid=grid, order=order)
    w, h = weights(model), points(60, 2).numpy()
    for k in range(2):
        h = edge_sums(h, w[f"edges.{k}.knots"], w[f"layers.{k}.weight"], order)
    expected = edge_sums(h, w["edges.2.knots"], w["head.weight"], order) + w["head.bias"]
    check(model, points(60, 2), expected)


def test_knots_are_stored_but_not_learned():
    model = make("kan", n_inputs=2, n_outputs=1, width=5, depth=1, grid=4, order=3)
    per_edge = 1 + 4 + 3
    assert count_parameters(model) == 2 * 5 * per_edge + 5 * 1 * per_edge + 1
    assert "edges.0.knots" in model.state_dict()


def test_memory_does_not_grow_with_inputs_times_outputs():
    """Autograd keeps O(n width (G + p)) numbers: doubling the width doubles them, all but the weights."""

    def kept(width):
        model, total = build("kan", config_class("kan")(width=width, depth=2), n_inputs=2, n_outputs=1), 0

        def count(t):
            nonlocal total
            total += t.numel() if t.shape[:1] == (64,) else 0
            return t

        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            model(torch.zeros(64, 2))
        return total

    assert kept(64) / kept(32) < 2.1


def test_the_initial_splines_give_every_node_a_deviation_of_one_half():
    model = make("kan", n_inputs=40, width=300, depth=1)
    w = weights(model)["layers.0.weight"]
    assert is_uniform(w[:, :40], np.sqrt(6 / 340))
    x = points(500, 40)
    splines = model.edges[0].splines(x).flatten(1).numpy() @ w[:, 40:].T
    assert 0.45 < splines.std() < 0.55


def test_refitting_keeps_a_smooth_function_and_covers_what_occurs():
    model = make("kan", width=6, depth=2, grid=12)
    rng = np.random.default_rng(0)
    for layer, edge in zip([*model.layers, model.head], model.edges, strict=True):
        n, m = edge.knots.shape[0], layer.out_features
        place, phase = np.linspace(-1.25, 1.25, 15), rng.uniform(0, 6, (m, n, 1))
        waves = np.cos(rng.uniform(0, 3, (m, n, 1)) * place + phase) / n
        layer.weight.data[:, n:] = torch.from_numpy(waves.reshape(m, -1))
    x = 0.5 + 0.3 * points(4000, 2)  # a part of the first grid
    before = model(x).detach()
    model.refit_grid(x)
    change = (model(x).detach() - before).std() / before.std()
    assert float(change) < 1e-3
    first, last = model.edges[0].knots[:, 3], model.edges[0].knots[:, -4]
    assert torch.all(first < x.amin(0))
    assert torch.all(last > x.amax(0))
    assert torch.all(last - first < 1.05 * (x.amax(0) - x.amin(0)))
    assert all(bool((edge.knots.diff() > 0).all()) for edge in model.edges)


def test_refitting_a_function_that_the_new_splines_hold_is_exact():
    """Splines of degree p hold polynomials up to p, whatever the knots: fit one, move them, compare."""
    model = make("kan", n_inputs=1, n_outputs=1, width=1, depth=1, grid=5)
    x = points(500, 1)
    with torch.no_grad():
        basis = model.edges[0].splines(x)[:, 0]
        target = x.square() - 0.5 * x
        model.layers[0].weight[0, 0] = 0.0
        model.layers[0].weight[0, 1:] = torch.linalg.lstsq(basis, target).solution[:, 0]
        model.refit_grid(x)
        np.testing.assert_allclose(model.layers[0](model.edges[0](x)).numpy(), target.numpy(), atol=1e-9)


def test_an_input_that_does_not_vary_keeps_its_knots_apart():
    model = make("kan", n_inputs=1, width=3, depth=1)
    model.refit_grid(torch.full((50, 1), 0.25, dtype=torch.float64))
    assert all(bool((edge.knots.diff() > 0).all()) for edge in model.edges)
    assert torch.isfinite(model(points(10, 1))).all()


def test_the_option_refit_moves_the_knots_at_the_start_and_leaves_the_rest_alone():
    plain, moved = make("kan", width=5, depth=2, seed=3), make("kan", width=5, depth=2, refit=True, seed=3)
    x = points(3000, 2)
    for k, (old, new) in enumerate(zip(plain.edges, moved.edges, strict=True)):
        assert not torch.allclose(old.knots, new.knots)
        first, last = new.knots[:, 3], new.knots[:, -4]
        inside = (x > first) & (x < last)
        assert inside.double().mean() > 0.99
        x = plain.layers[k](old(x)) if k < len(plain.layers) else x
    base = weights(plain)["layers.0.weight"][:, :2]
    np.testing.assert_array_equal(weights(moved)["layers.0.weight"][:, :2], base)
