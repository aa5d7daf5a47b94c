"""Prior maps against slow definitions, and the laws they obey."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.numerics.denoise import nonlocal_means, tv_denoise
from lrnn_cli.numerics.total_variation import gradient


def noisy(n: int = 12, m: int = 12, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(n, m, dtype=torch.float64)
    image[n // 4 : n // 2, m // 4 :] = 1.0
    return image + 0.1 * torch.randn(n, m, generator=generator, dtype=torch.float64)


def slow_nonlocal_means(image: np.ndarray, h: float, patch: int, reach: int) -> np.ndarray:
    """The definition, pixel by pixel."""
    half, (n, m) = patch // 2, image.shape
    wide = np.pad(image, half, mode="reflect")

    def around(i: int, j: int) -> np.ndarray:
        return wide[i : i + patch, j : j + patch]

    out = np.empty_like(image)
    for i in range(n):
        for j in range(m):
            places = [
                (k, q)
                for k in range(max(0, i - reach), min(n, i + reach + 1))
                for q in range(max(0, j - reach), min(m, j + reach + 1))
            ]
            w = np.array([np.exp(-np.mean((around(i, j) - around(*p)) ** 2) / h**2) for p in places])
            out[i, j] = np.sum(w * np.array([image[p] for p in places])) / w.sum()
    return out


@pytest.mark.parametrize(("n", "m", "patch", "reach"), [(12, 12, 5, 4), (7, 10, 3, 9), (8, 8, 1, 2)])
def test_nonlocal_means_against_the_definition(n: int, m: int, patch: int, reach: int) -> None:
    image = noisy(n, m)
    expected = slow_nonlocal_means(image.numpy(), 0.2, patch, reach)
    found = nonlocal_means(image, 0.2, patch=patch, reach=reach).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(-5, 5), scale=st.floats(0.1, 10), turns=st.integers(0, 3))
def test_nonlocal_means_follow_shift_scale_and_turns(shift: float, scale: float, turns: int) -> None:
    image = noisy()
    plain = nonlocal_means(image, 0.2, reach=3)
    moved = nonlocal_means(torch.rot90(scale * image + shift, turns), 0.2 * scale, reach=3)
    torch.testing.assert_close(moved, torch.rot90(scale * plain + shift, turns), rtol=1e-9, atol=1e-9)


def test_nonlocal_means_limits() -> None:
    image = noisy()
    torch.testing.assert_close(nonlocal_means(image, 1e-4), image)
    constant = torch.full((9, 9), 0.3)
    torch.testing.assert_close(nonlocal_means(constant, 0.1), constant)
    guided = nonlocal_means(image, 1e3, guide=torch.zeros_like(image), reach=20)
    torch.testing.assert_close(guided, image.mean().expand_as(image), rtol=1e-3, atol=1e-3)


def objective(z: torch.Tensor, v: torch.Tensor, weight: float) -> float:
    return float(0.5 * (z - v).square().sum() + weight * gradient(z).norm(dim=0).sum())


@settings(max_examples=15, deadline=None)
@given(weight=st.floats(0.01, 1.0), seed=st.integers(0, 9))
def test_tv_denoise_is_a_minimum(weight: float, seed: int) -> None:
    image = noisy(seed=seed)
    best = tv_denoise(image, weight, 400)
    value = objective(best, image, weight)
    generator = torch.Generator().manual_seed(seed)
    for size in (1e-1, 1e-2):
        other = best + size * torch.randn(12, 12, generator=generator, dtype=torch.float64)
        assert value <= objective(other, image, weight) + 1e-6
    assert float(best.mean()) == pytest.approx(float(image.mean()))


def test_tv_denoise_of_a_step_in_closed_form() -> None:
    # along one axis two plateaus of length k move together by weight / k each
    image = torch.zeros(1, 8, dtype=torch.float64)
    image[0, 4:] = 1.0
    expected = torch.tensor([[0.05] * 4 + [0.95] * 4], dtype=torch.float64)
    torch.testing.assert_close(tv_denoise(image, 0.2, 500), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(tv_denoise(image, 0.0), image)


def test_senseless_arguments() -> None:
    image = noisy()
    with pytest.raises(ValueError, match="weight: expected 0 or more, got -1"):
        tv_denoise(image, -1.0)
    with pytest.raises(ValueError, match="bandwidth: expected a positive number, got 0"):
        nonlocal_means(image, 0.0)
    with pytest.raises(ValueError, match="expected an odd one and at least 1, got 4, 3"):
        nonlocal_means(image, 1.0, patch=4, reach=3)
