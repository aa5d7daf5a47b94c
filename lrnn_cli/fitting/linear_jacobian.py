"""The Jacobian of a network whose weights all lie in linear layers: one backward pass for all rows at once.

Rows ρ_n see no point but their own. With the value, gradient and Laplacian of the input x_c and of the output
y_c = W x_c (+ b for the value) of a layer, c = 0 … d + 1,

    ∂ρ_n/∂W = Σ_c ∂ρ_n/∂y_nc x_ncᵀ,        ∂ρ_n/∂b = ∂ρ_n/∂y_n0,

and one backward pass of Σ_n ρ_n gives ∂ρ_n/∂y_nc for all n.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lrnn_cli.numerics.taylor import Taylor

Call = tuple[str, Taylor, Taylor]


def linear_layers(module: nn.Module) -> dict[str, nn.Linear]:
    """Return the linear layers by name; none where a parameter lies elsewhere."""
    layers = {name: part for name, part in module.named_modules() if isinstance(part, nn.Linear)}
    inside = {f"{name}.{key}" for name, layer in layers.items() for key, _ in layer.named_parameters()}
    return layers if inside == {name for name, _ in module.named_parameters()} else {}


class LayerWatch:
    """Records inputs and outputs of linear layers while it is open.

    Args:
        layers: by name.
    """

    def __init__(self, layers: dict[str, nn.Linear]) -> None:
        self.layers = layers
        self.handles: list[Any] = []
        self.calls: list[Call] = []

    def __enter__(self) -> LayerWatch:
        for name, layer in self.layers.items():
            self.handles.append(layer.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(layer: nn.Module, args: Any, output: Any) -> None:
            self.calls.append((name, args[0], output))

        return note

    def jacobian(
        self, rows: Callable[[dict[str, Tensor]], Tensor], weights: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor] | None:
        """Return ρ (n,) and J (n, P), columns in the order of the weights.

        Args:
            rows: weights by name → ρ (n,); calls the layers, each once.
            weights: of the layers, as `named_parameters` has them.

        Returns:
            both; None where a layer was called more or less than once, or with plain tensors.
        """
        leaves = {key: weight.detach().requires_grad_(True) for key, weight in weights.items()}
        self.calls.clear()
        with torch.enable_grad():
            residual = rows(leaves)
        calls = list(self.calls)
        taylor = all(isinstance(x, Taylor) and isinstance(y, Taylor) for _, x, y in calls)
        if not taylor or sorted(name for name, _, _ in calls) != sorted(self.layers):
            return None
        outputs = [part for _, _, y in calls for part in (y.value, y.gradient, y.laplacian)]
        found = torch.autograd.grad(residual.sum(), outputs, allow_unused=True, materialize_grads=True)
        columns: dict[str, Tensor] = {}
        for k, (name, x, _) in enumerate(calls):
            by_value, by_gradient, by_laplacian = found[3 * k : 3 * k + 3]
            outer = torch.cat([by_value[None], by_gradient, by_laplacian[None]])
            inner = torch.cat([x.value[None], x.gradient, x.laplacian[None]]).detach()
            product = torch.bmm(outer.permute(1, 2, 0), inner.permute(1, 0, 2))
            columns[f"{name}.weight"] = product.flatten(1)
            columns[f"{name}.bias"] = by_value
        return residual.detach(), torch.cat([columns[key] for key in weights], 1)
