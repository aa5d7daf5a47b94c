"""The two lemmas of the LRNN paper, measured.

Lemma 1, for independent g_j of mean 0 and variance s^2, with s'^2 the mean of g'^2 and gamma = D^(-1/2):
Var[phi] <= exp(s^2) - 1 and sum_k Var[d phi / d z_k] <= s'^2 exp(s^2) for any D.
Lemma 2: a product of D sines holds all sums and differences of their frequencies, and nothing else.
"""

import itertools
import math

import numpy as np
import pytest
import torch

from lrnn_cli.kernels.families import FAMILIES
from tests.models.support import make

DBARS = [1, 2, 4, 16, 64, 256]
N_POINTS, N_NEURONS, N_INPUTS = 400, 150, 64
# phi is nearly log-normal for large D, and its fourth moment finite but large: 60 000 values, of which those
# of one neuron, and those at one point, are related, give a variance to some 10 %.
TOLERANCE = 1.2


def ratios(sigma, dbar, n_inputs):
    """Measured variances over the bounds of Lemma 1, for one layer as it starts."""
    options = {"rank": N_NEURONS, "dbar": dbar, "sigma": sigma}
    generator = torch.Generator().manual_seed(3)
    if n_inputs == 2:  # the first layer, on the square
        layer = make("lrnn", depth=1, **options).layers[0].float()
        x = torch.rand(N_POINTS, 2, generator=generator) * 2 - 1
    else:  # a hidden layer, behind LayerNorm
        model = make("lrnn", n_inputs=n_inputs, depth=2, **{**options, "rank": n_inputs})
        layer = model.layers[1].float()
        x = torch.nn.functional.layer_norm(torch.randn(N_POINTS, n_inputs, generator=generator), (n_inputs,))
    with torch.no_grad():
        z = torch.einsum("nd,jrd->jnr", x, layer.weight) + layer.bias[:, None]
        value, slope = FAMILIES[layer.family].value_and_slope(layer.omega * z)
        amplitude = layer.amplitude[0][:, None]
        g, dg = amplitude * (value - layer.centre), amplitude * layer.omega * slope
        factors = (1 + layer.gamma * g).double()
        before, after = torch.ones_like(factors), torch.ones_like(factors)
        before[1:] = factors[:-1].cumprod(0)
        after[:-1] = factors.flip(0)[:-1].cumprod(0).flip(0)
        slopes = (layer.gamma * dg * before * after).var((1, 2)).sum()
        bound = float(g.double().var())
        phi = float(factors.prod(0).var()) / math.expm1(bound)
        return phi, float(slopes) / (float(dg.double().square().mean()) * math.exp(bound)), bound


@pytest.mark.parametrize("sigma", ["sin", "spder", "spder-sqrt", "gauss", "tanh", "relu"])
@pytest.mark.parametrize("dbar", DBARS)
def test_lemma_1_holds_in_hidden_layers(sigma, dbar):
    phi, slopes, variance = ratios(sigma, dbar, N_INPUTS)
    assert variance == pytest.approx(1, abs=0.05)
    assert 0.3 < phi < TOLERANCE
    assert 0.2 < slopes < TOLERANCE


@pytest.mark.parametrize("dbar", DBARS)
def test_lemma_1_holds_in_the_first_layer_for_sines(dbar):
    phi, slopes, variance = ratios("sin", dbar, 2)
    assert variance == pytest.approx(1, abs=0.05)
    assert 0.3 < phi < TOLERANCE
    assert 0.2 < slopes < TOLERANCE


@pytest.mark.parametrize("dbar", [1, 2, 4, 8])
def test_lemma_1_holds_in_the_first_layer_for_the_default_family(dbar):
    phi, slopes, _ = ratios("spder", dbar, 2)
    assert phi < TOLERANCE
    assert slopes < TOLERANCE


def test_without_gamma_lemma_1_would_not_hold():
    model = make("lrnn", rank=50, dbar=64, depth=1, sigma="sin", layer_norm=False)
    x = torch.rand(200, 2, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        calm = float(model.features(x).var())
        model.layers[0].gamma = 1.0
        wild = float(model.features(x).var())
    assert calm < math.e
    assert wild > 1e3 * calm


def test_lemma_2_sums_and_differences_of_frequencies():
    n, frequencies = 128, (2, 7, 23)
    model = make("lrnn", n_inputs=1, n_outputs=1, rank=1, dbar=3, depth=1, sigma="sin", layer_norm=False)
    (layer,) = model.layers
    x = torch.from_numpy(-1 + (2 * np.arange(n) + 1.0) / n)[:, None]
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(frequencies).view(3, 1, 1) * math.pi / layer.omega)
        phi = model.features(x)[:, 0].numpy()
    found = np.flatnonzero(np.abs(np.fft.rfft(phi)) / n > 1e-10)
    signs = itertools.product((-1, 0, 1), repeat=3)
    expected = {abs(sum(s * f for s, f in zip(choice, frequencies, strict=True))) for choice in signs}
    assert set(found.tolist()) == expected
    assert len(expected) == 14
