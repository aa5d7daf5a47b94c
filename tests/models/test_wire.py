import numpy as np
import torch

from lrnn_cli.models.contract import count_parameters
from tests.models.support import check, is_uniform, layer, make, points, weights


def complex_version(w, x, depth, omega_first, omega_hidden, scale):
    """The published formula in complex numpy."""
    width = w["first.bias"].size
    z = layer(w, "first", x).astype(complex)
    h = np.exp(1j * omega_first * z - np.abs(scale * z) ** 2)
    for k in range(depth - 1):
        matrix = w[f"layers.{k}.weight"][0] + 1j * w[f"layers.{k}.weight"][1]
        z = h @ matrix.T + (w[f"layers.{k}.bias"][0] + 1j * w[f"layers.{k}.bias"][1])
        h = np.exp(1j * omega_hidden * z - np.abs(scale * z) ** 2)
    head = w["head.weight"][:, :width] - 1j * w["head.weight"][:, width:]
    return (h @ head.T).real + w["head.bias"]


def test_it_is_the_complex_formula_with_a_real_part_at_the_end():
    model = make("wire", width=7, depth=3, omega_first=4.0, omega_hidden=3.0, scale=1.5)
    x, w = points(50, 2), weights(model)
    check(model, x, complex_version(w, x.numpy(), 3, 4.0, 3.0, 1.5))


def test_every_complex_number_counts_twice():
    model = make("wire", n_inputs=2, n_outputs=1, width=5, depth=2)
    assert count_parameters(model) == (2 * 5 + 5) + 2 * (5 * 5 + 5) + (2 * 5 + 1)
    assert not any(p.is_complex() for p in model.parameters())


def test_the_initial_weights_are_those_of_torch_for_complex_layers():
    w = weights(make("wire", width=150, depth=2))
    theirs = torch.nn.Linear(150, 150, dtype=torch.complex64)
    for part in (
        *w["layers.0.weight"],
        theirs.weight.detach().real.numpy(),
        theirs.weight.detach().imag.numpy(),
    ):
        assert is_uniform(part, 1 / np.sqrt(150))
    assert is_uniform(w["head.weight"], 1 / np.sqrt(150), tolerance=0.1)


def test_the_gradient_is_that_of_the_formula():
    model = make("wire", width=4, depth=2, omega_first=3.0, omega_hidden=2.0, scale=1.0)
    assert torch.autograd.gradcheck(model, (points(6, 2).requires_grad_(),))
