"""NAdam in machine code against torch's, which stays in the places where there is none."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.fitting.nadam import NAdam
from lrnn_cli.kernels import native_nadam
from tests.kernels.support import compiled_engine

SHAPES = [(3, 5), (1,), (0,), (257,)]


def weights_and_gradients(seed, steps, dtype=torch.float32, size=1.0):
    generator = torch.Generator().manual_seed(seed)

    def draw():
        return [torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for s in SHAPES]

    return [torch.nn.Parameter(p) for p in draw()], [[size * g for g in draw()] for _ in range(steps)]


def groups_of(weights, lr):
    return [{"params": weights[:2], "lr": lr}, {"params": weights[2:], "lr": 3 * lr}]


def descend(optimizer, weights, gradients):
    for step in gradients:
        for weight, gradient in zip(weights, step, strict=True):
            weight.grad = gradient.to(weight.dtype)
        optimizer.step()


@pytest.mark.parametrize("engine", compiled_engine())
@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 40),
    st.floats(1e-5, 1e-1),
    st.sampled_from([0.9, 0.99, 0.999]),
    st.sampled_from([1e-6, 1.0, 1e3]),
)
def test_equals_torch_in_double_precision(engine, seed, steps, lr, beta2, size):
    weights, gradients = weights_and_gradients(seed, steps, size=size)
    exact = [torch.nn.Parameter(w.detach().double()) for w in weights]
    optimizer = NAdam(groups_of(weights, lr), lr=lr, betas=(0.9, beta2))
    assert optimizer._fits() and native_nadam.load() is not None
    descend(optimizer, weights, gradients)
    descend(torch.optim.NAdam(groups_of(exact, lr), lr=lr, betas=(0.9, beta2)), exact, gradients)
    for found, expected in zip(weights, exact, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=2e-6 * (1 + 3 * lr * steps))


@pytest.mark.parametrize("engine", compiled_engine())
def test_the_state_is_that_of_torch(engine):
    weights, gradients = weights_and_gradients(0, 8)
    other = [torch.nn.Parameter(w.detach().clone()) for w in weights]
    ours = NAdam(groups_of(weights, 1e-2), lr=1e-2, betas=(0.9, 0.999))
    theirs = torch.optim.NAdam(groups_of(other, 1e-2), lr=1e-2, betas=(0.9, 0.999))
    descend(ours, weights, gradients[:4])
    theirs.load_state_dict(copy.deepcopy(ours.state_dict()))  # it shares tensors with its argument
    for one, two in zip(other, weights, strict=True):
        one.data.copy_(two)
    descend(ours, weights, gradients[4:])
    descend(theirs, other, gradients[4:])
    for one, two in zip(weights, other, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    for one, two in zip(ours.state.values(), theirs.state.values(), strict=True):
        assert one.keys() == two.keys()
        for key, value in one.items():
            torch.testing.assert_close(value, two[key], rtol=1e-5, atol=1e-7)


def same_as_torch(weights, gradients, other, **kept):
    descend(NAdam(groups_of(weights, 1e-2), lr=1e-2, betas=(0.9, 0.999), **kept), weights, gradients)
    descend(torch.optim.NAdam(groups_of(other, 1e-2), lr=1e-2, betas=(0.9, 0.999)), other, gradients)
    return all(torch.equal(a, b) for a, b in zip(weights, other, strict=True))


def test_without_a_compiler_or_in_double_precision_it_is_torch_s(monkeypatch):
    weights, gradients = weights_and_gradients(1, 5, torch.float64)
    other = [torch.nn.Parameter(w.detach().clone()) for w in weights]
    assert same_as_torch(weights, gradients, other)
    monkeypatch.setattr(native_nadam, "load", lambda: None)
    weights, gradients = weights_and_gradients(1, 5)
    other = [torch.nn.Parameter(w.detach().clone()) for w in weights]
    assert same_as_torch(weights, gradients, other)


def test_weights_with_gaps_are_left_to_torch():
    generator = torch.Generator().manual_seed(0)
    start, gradient = (torch.randn(4, 6, generator=generator).T for _ in range(2))
    one, two = (torch.nn.Parameter(start.clone(memory_format=torch.preserve_format)) for _ in range(2))
    assert not one.is_contiguous()
    for weight, kind in ((one, NAdam), (two, torch.optim.NAdam)):
        weight.grad = gradient.contiguous()
        kind([weight], lr=1e-2, betas=(0.9, 0.999)).step()
    assert torch.equal(one, two)


@pytest.mark.parametrize("engine", compiled_engine())
@pytest.mark.parametrize(
    "wrong",
    [torch.ones(2), torch.ones(3, dtype=torch.float64), torch.ones(6)[::2]],
    ids=["shape", "precision", "gaps"],
)
def test_moments_that_do_not_fit_are_not_written_to_by_the_kernel(engine, wrong, monkeypatch):
    """As a spoilt file of a run might bring them; torch says what is wrong with them, or works with them."""
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    optimizer = NAdam([weight], lr=1e-2, betas=(0.9, 0.999))
    optimizer.step()
    before = weight.detach().clone()
    optimizer.state[weight]["exp_avg"] = wrong
    monkeypatch.setattr(native_nadam, "update_", lambda *args, **kept: pytest.fail("the kernel ran"))
    if wrong.is_contiguous():
        with pytest.raises(RuntimeError):
            optimizer.step()
        assert torch.equal(weight, before)
    else:
        optimizer.step()
        assert (weight < before).all()


@pytest.mark.parametrize("engine", compiled_engine())
def test_weights_without_gradient_stay(engine):
    one, two = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    one.grad = torch.ones(3)
    optimizer = NAdam([one, two], lr=1e-2, betas=(0.9, 0.999))
    optimizer.step()
    assert torch.equal(two, torch.ones(3)) and (one < 1).all()
    assert two not in optimizer.state


@pytest.mark.parametrize("engine", compiled_engine())
def test_nan_in_nan_out(engine):
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.tensor([1.0, torch.nan, 1.0])
    NAdam([weight], lr=1e-2, betas=(0.9, 0.999)).step()
    assert weight.isnan().tolist() == [False, True, False]
