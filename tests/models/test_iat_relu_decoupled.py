import numpy as np
import pytest
import torch

from lrnn_cli.models.contract import count_parameters
from lrnn_cli.numerics.line_bases import evaluate
from tests.models.support import make, points

CONTINUOUS = ["pwl", "pwq", "fourier", "pwl-w"]
S = (np.arange(2000) + 0.5) / 1000 - 1


def active(model, x, basis):
    """D_1 ... D_L as indicators on a fine mesh, (L, n, 2000)."""
    size = model.pattern.spec.size
    values = torch.from_numpy(evaluate(basis, size, S))
    return torch.stack([state @ values > 0 for state in model.pattern(x)])


@pytest.mark.parametrize("basis", CONTINUOUS)
def test_with_equal_weights_it_is_the_coupled_network(basis):
    coupled = make("iat-relu", width=7, depth=3, input_basis=basis, integral="exact", mesh_ratio=9)
    model = make("iat-relu-decoupled", width=7, depth=3, input_basis=basis, mesh_ratio=9)
    model.layers.load_state_dict(coupled.layers.state_dict())
    model.pattern.layers.load_state_dict(coupled.layers.state_dict())
    model.head.load_state_dict(coupled.head.state_dict())
    x = points(40, 2)
    torch.testing.assert_close(model(x), coupled(x), rtol=0, atol=1e-11)


def test_for_a_fixed_pattern_it_is_linear_in_each_layer():
    """F(x, W1, D) with the (W_k, b_k) of one layer times t: affine in t. D does not depend on W1."""
    model, x = make("iat-relu-decoupled", width=6, depth=3), points(20, 2)
    start, before = [p.detach().clone() for p in model.layers[1].parameters()], active(model, x, "pwl-w")

    def at(t):
        with torch.no_grad():
            for p, value in zip(model.layers[1].parameters(), start, strict=True):
                p.copy_(t * value)
            return model(x)

    torch.testing.assert_close(at(-2.0), 3 * at(0.0) - 2 * at(1.0), rtol=0, atol=1e-11)
    assert torch.equal(active(model, x, "pwl-w"), before)


def test_a_pattern_moves_to_a_network_of_another_width():
    small = make("iat-relu-decoupled", width=5, depth=3, pattern_width=8, seed=1)
    large = make("iat-relu-decoupled", width=19, depth=3, pattern_width=8, seed=2)
    x = points(30, 2)
    assert not torch.equal(active(small, x, "pwl-w"), active(large, x, "pwl-w"))
    large.pattern.load_state_dict(small.pattern.state_dict())
    assert torch.equal(active(small, x, "pwl-w"), active(large, x, "pwl-w"))
    assert large(x).isfinite().all()


@pytest.mark.parametrize("basis", CONTINUOUS)
def test_it_is_continuous_where_the_pattern_changes(basis):
    """Patterns change all along a line; its largest step becomes small when looked at more closely."""
    model = make("iat-relu-decoupled", n_outputs=1, width=8, depth=2, input_basis=basis)

    def steps(start, stop):
        t = torch.linspace(start, stop, 2001, dtype=torch.float64)
        line = torch.stack([t, 0.3 - 0.6 * t], 1)
        with torch.no_grad():
            return t, line, model(line).diff(dim=0).abs()[:, 0]

    t, line, far = steps(-1.0, 1.0)
    changes = active(model, line[::20], basis).flatten(2).diff(dim=1).any(2)
    assert changes.double().mean() > 0.5
    for k in far.topk(5).indices.tolist():
        assert float(steps(float(t[k]), float(t[k + 1]))[2].max()) < 0.05 * float(far[k])


@pytest.mark.parametrize("basis", CONTINUOUS)
def test_the_pattern_has_a_gradient(basis):
    model = make("iat-relu-decoupled", width=6, depth=2, input_basis=basis)
    model(points(50, 2)).square().sum().backward()
    for name, parameter in model.pattern.named_parameters():
        assert float(parameter.grad.abs().max()) > 1e-3, name


def test_the_width_of_the_pattern_is_the_width_unless_given():
    assert make("iat-relu-decoupled", width=5).pattern.spec.size == 5
    model = make("iat-relu-decoupled", width=5, depth=2, pattern_width=3)
    assert count_parameters(model) == (5 * 3 + 5 * 6) + (3 * 3 + 3 * 4) + 3 * 6
