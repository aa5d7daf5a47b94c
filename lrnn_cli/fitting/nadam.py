"""NAdam with its step in machine code where there is a compiler; its state is that of torch's.

With t the step, mu_t = beta1 (1 - 0.96^(t psi) / 2), psi = `momentum_decay`, and M_t = prod_{s<=t} mu_s,

    p <- p - eta (a_t g + b_t m) / (sqrt(v / (1 - beta2^t)) + eps),
    a_t = (1 - mu_t) / (1 - M_t),    b_t = mu_{t+1} / (1 - M_t mu_{t+1}).

torch takes a dozen operations per tensor of weights for this: it has a fused Adam, but no fused NAdam.

Source: T. Dozat, Incorporating Nesterov Momentum into Adam, ICLR workshop 2016; torch.optim.NAdam.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.kernels import native_nadam


class NAdam(torch.optim.NAdam):
    """`torch.optim.NAdam` without weight decay; float32 on the CPU in machine code, else as torch does it."""

    def __init__(self, params: Any, *, lr: float, betas: tuple[float, float]) -> None:
        """Take groups of weights; of torch's options those that the kernel knows."""
        super().__init__(params, lr=lr, betas=betas)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one step of all weights that have a gradient."""
        library = native_nadam.load() if closure is None and self._fits() else None
        if library is None:
            return super().step(closure)
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(library, group, weight, weight.grad)
        return None

    def _fits(self) -> bool:
        """Tell whether the kernel takes all weights, their gradients, and the moments that there are."""
        return all(
            native_nadam.supports(weight, weight.grad, *self._moments(weight))
            for group in self.param_groups
            for weight in group["params"]
            if weight.grad is not None
        )

    def _moments(self, weight: Tensor) -> tuple[Tensor, ...]:
        state = self.state.get(weight)
        return (state["exp_avg"], state["exp_avg_sq"]) if state else ()

    def _update(self, library: ctypes.CDLL, group: dict[str, Any], weight: Tensor, gradient: Tensor) -> None:
        state = self.state[weight]
        if not state:
            state |= {"step": torch.tensor(0.0), "mu_product": torch.tensor(1.0)}
            state |= {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
        state["step"] += 1
        step, (beta1, beta2) = float(state["step"]), group["betas"]
        now, then = (beta1 * (1.0 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1.0))
        state["mu_product"] *= now
        product, lr = float(state["mu_product"]), float(group["lr"])
        native_nadam.update_(
            library, weight, gradient, (state["exp_avg"], state["exp_avg_sq"]),
            betas=(beta1, beta2), correction2=1.0 - beta2**step, eps=group["eps"],
            by_gradient=lr * (1.0 - now) / (1.0 - product), by_moment=lr * then / (1.0 - product * then),
        )  # fmt: skip
