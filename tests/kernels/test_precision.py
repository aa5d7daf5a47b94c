"""Precision of the products of the backward pass: the choice, and the products themselves."""

import pytest
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.kernels import precision
from lrnn_cli.kernels.precision import Backward, choose_backward
from tests.kernels.support import INPUTS, compiled_engine, draw, value_and_gradients

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def choose(asked="auto", engine="triton", dtype=torch.float32, device=CPU):
    return choose_backward(asked, engine=engine, dtype=dtype, device=device)


@pytest.fixture
def processor(monkeypatch):
    """Sets the instruction sets of the processor."""
    return lambda *flags: monkeypatch.setattr(precision, "processor_flags", lambda: frozenset(flags))


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_bfloat16_where_the_processor_has_it(processor, flag):
    processor("avx2", flag)
    assert choose() == Backward("bfloat16", "faster on this cpu")


def test_full_where_it_has_not(processor):
    processor("avx2", "avx512f")
    assert choose() == Backward("full", "no faster products on this cpu")
    assert choose("bfloat16") == Backward("bfloat16", "asked for")  # slower, but possible


def test_tf32_on_gpus_that_have_it(monkeypatch):
    for found, name in (((9, 0), "tf32"), ((8, 0), "tf32"), ((7, 5), "full")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=found: found)
        assert choose(device=CUDA).name == name
    assert choose("bfloat16", device=CUDA).name == "bfloat16"


def test_full_is_always_possible():
    assert choose("full", engine="torch", dtype=torch.float64) == Backward("full", "asked for")


@pytest.mark.parametrize(
    ("asked", "changes", "reason"),
    [
        ("bfloat16", {"engine": "reference"}, "engine reference multiplies in full precision only"),
        ("tf32", {"engine": "torch"}, "engine torch multiplies in full precision only"),
        ("bfloat16", {"dtype": torch.float64}, "the model is in float64"),
        ("tf32", {}, "tf32 is for GPUs"),
    ],
)
def test_what_is_not_possible(processor, asked, changes, reason):
    processor("amx_bf16")
    with pytest.raises(ConfigError) as caught:
        choose(asked, **changes)
    assert str(caught.value) == f"backward {asked}: {reason}; use --backward auto"
    if changes:
        assert choose(**changes) == Backward("full", reason)


def test_an_unknown_precision():
    with pytest.raises(ConfigError) as caught:
        choose("fp8")
    assert str(caught.value) == "backward: expected one of auto, full, tf32, bfloat16, got 'fp8'"


def test_the_flags_of_this_processor():
    precision.processor_flags.cache_clear()
    assert all(flag and flag == flag.strip() for flag in precision.processor_flags())


@pytest.mark.parametrize(("name", "low", "high"), [("full", 0, 0), ("tf32", 0, 0), ("bfloat16", 1e-4, 1e-2)])
def test_products(name, low, high):
    a, b, total = torch.randn(30, 40), torch.randn(40, 20), torch.randn(30, 20)
    exact = a @ b
    out = torch.empty(30, 20)
    precision.product_into(out, a, b, name)
    summed = total.clone()
    precision.add_product_(summed, a, b, name)
    for found, expected in ((out, exact), (summed, total + exact)):
        assert found.dtype == torch.float32
        error = float((found - expected).abs().max() / exact.abs().max())
        assert low <= error <= high + 1e-6


@pytest.mark.parametrize("engine", ["fused", *compiled_engine()])
def test_a_rounded_backward_pass(engine):
    inputs = draw(2000, 30, 3, 17, 1, seed=2, dtype=torch.float32)
    inputs[1] = (inputs[1].detach() / 30**0.5).requires_grad_()
    constants = {"family": "spder", "gamma": 0.6, "offset": 1.0, "centre": 0.2, "engine": engine}
    results = [
        value_and_gradients(inputs, torch.ones(2000, 17), backward=name, **constants)
        for name in ("full", "bfloat16")
    ]
    (phi, full), (same, rounded) = results
    assert torch.equal(phi, same)  # values are never rounded
    for name, exact, found in zip(INPUTS, full, rounded, strict=True):
        error = float((found - exact).abs().max() / exact.abs().max())
        assert (1e-5 < error < 2e-2) if name in ("x", "weight") else error == 0, name
