"""Inputs of the product layer as the kernel tests draw them."""

import torch
from hypothesis import strategies as st

from lrnn_cli.kernels import dispatch, native
from lrnn_cli.kernels.families import FAMILIES

INPUTS = ("x", "weight", "bias", "amplitude", "frequency", "phase")
# sigma(c) = 0 exactly: with frequency 0 such a factor is the same number at all points
ZERO_PHASE = {**dict.fromkeys(FAMILIES, 0.0), "gauss": 20.0, "bspline": 3.0}
FAMILY = st.sampled_from(sorted(FAMILIES))


def compiled_engine():
    """["compiled"] where there is a compiler; no test of it otherwise."""
    return ["compiled"] if native.compiler() else []


def draw(n, d, n_factors, n_neurons, width, *, seed, dtype=torch.float64):
    """Random inputs of these sizes that want gradients."""
    generator = torch.Generator().manual_seed(seed)
    component = (width, n_factors, n_neurons)
    shapes = [(n, d), (n_factors, n_neurons, d), (n_factors, n_neurons), component, component, component]
    return [torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes]


def plant_zeros(inputs, family, places):
    """Make the factors (j, k) at these places exactly 0, given one component and the constants returned."""
    _, _, _, amplitude, frequency, phase = inputs
    with torch.no_grad():
        for j, k in places:
            amplitude[:, j, k], frequency[:, j, k], phase[:, j, k] = -4.0, 0.0, ZERO_PHASE[family]
    return {"gamma": 0.5, "offset": 1.0, "centre": -0.5}


def value_and_gradients(inputs, upstream, engine, **constants):
    """phi, and the gradients of <phi, upstream> by all inputs."""
    phi = dispatch.product_layer(*inputs, engine=engine, **constants)
    return phi.detach(), torch.autograd.grad(phi, inputs, upstream)


def bytes_saved(call):
    """Bytes that autograd keeps for the backward pass of what a function computes."""
    kept = 0

    def count(t):
        nonlocal kept
        kept += t.numel() * t.element_size()
        return t

    with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
        call()
    return kept
