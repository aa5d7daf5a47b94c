"""Product neurons: the closed form against nested differentiation."""

import pytest
import torch

from lrnn_cli.numerics.calculus import product_jet, product_rows, sine_factors
from lrnn_cli.numerics.jets import Jet, nested
from lrnn_cli.numerics.rows import Rows, join, value_rows


def setting(n_factors: int, d: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n_factors * 10 + d)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return draw(n_factors, 7, d), draw(n_factors, 7), draw(n_factors, 1, 7), draw(20, d)


@pytest.mark.parametrize("n_factors", [1, 2, 3, 5])
@pytest.mark.parametrize("d", [1, 2, 10])
def test_closed_form_equals_nested_differentiation(n_factors: int, d: int) -> None:
    weight, bias, amplitude, points = setting(n_factors, d)
    head = torch.linspace(-1, 1, 7, dtype=torch.float64)

    def network(x: torch.Tensor) -> torch.Tensor:
        z = torch.einsum("jrd,nd->jnr", weight, x) + bias[:, None]
        return (1 + amplitude * z.sin()).prod(0) @ head

    reference = nested(network, points)
    found = product_jet(weight, bias, sine_factors(amplitude), points, head)
    torch.testing.assert_close(found.value, reference.value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.gradient, reference.gradient, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.laplacian, reference.laplacian, rtol=1e-11, atol=1e-11)


def test_rows_are_the_operator_applied_to_jets() -> None:
    weight, bias, amplitude, points = setting(3, 2)
    generator = torch.Generator().manual_seed(1)
    alpha, kappa = (torch.randn(20, generator=generator, dtype=torch.float64) for _ in range(2))
    beta = torch.randn(20, 2, generator=generator, dtype=torch.float64)
    rows = Rows(points, alpha, beta, kappa, torch.zeros(20, dtype=torch.float64))
    columns = product_rows(weight, bias, sine_factors(amplitude), rows)
    for neuron in range(7):
        head = torch.eye(7, dtype=torch.float64)[neuron]
        jet = product_jet(weight, bias, sine_factors(amplitude), points, head)
        torch.testing.assert_close(columns[:, neuron], rows.apply(jet))
        mask = Jet(points[:, 0] ** 2, torch.stack([2 * points[:, 0], 0 * points[:, 0]]), 2 + 0 * points[:, 0])
        torch.testing.assert_close(rows.through(mask).apply(jet), rows.apply(mask * jet))


def test_rows_scale_join_and_split() -> None:
    rows = value_rows(torch.zeros(3, 2, dtype=torch.float64))
    both = join([rows, rows.scaled(2.0)])
    assert both.zeroth.tolist() == [1, 1, 1, 2, 2, 2]
    assert len(both.take(slice(2, 5))) == 3
    assert rows.scaled(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)).zeroth.tolist() == [1, 2, 3]
