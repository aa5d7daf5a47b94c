"""Closed-form derivatives of product neurons by their weights against differentiation by torch."""

import pytest
import torch

from lrnn_cli.numerics.calculus import product_rows, sine_factors
from lrnn_cli.numerics.product_jacobian import product_jacobian
from lrnn_cli.numerics.rows import Rows

RANK, N = 5, 12


def setting(n_factors: int, d: int) -> tuple[tuple[torch.Tensor, ...], Rows]:
    generator = torch.Generator().manual_seed(10 * n_factors + d)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = (draw(n_factors, RANK, d), draw(n_factors, RANK), draw(n_factors, 1, RANK), draw(RANK))
    return weights, Rows(draw(N, d), draw(N), draw(N, d), draw(N), draw(N))


@pytest.mark.parametrize("n_factors", [1, 2, 3, 6])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_jacobian(n_factors: int, d: int) -> None:
    weights, rows = setting(n_factors, d)

    def values(a: torch.Tensor, b: torch.Tensor, v: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
        return product_rows(a, b, sine_factors(v), rows) @ head

    reference = torch.autograd.functional.jacobian(values, weights)
    a, b, v, head = weights
    found = torch.empty(N, n_factors * RANK * (d + 2) + RANK, dtype=torch.float64)
    product_jacobian(a, b, v, rows, head, found)
    by_weight = reference[0].permute(0, 3, 1, 2)
    expected = torch.cat([by_weight.flatten(1), *(part.flatten(1) for part in reference[1:])], 1)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
