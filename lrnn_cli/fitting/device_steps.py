"""Steps on a GPU that the host only launches: it reads the losses of several steps at once.

Reading a number from a GPU waits until all that was launched before is done; with small networks that costs
more than the step. So gradient, limit of its norm, and update stay on the device; a gradient that is not
finite changes nothing there. A whole step is played as one CUDA graph (`cuda_graph`); where that fails, steps
are launched operation by operation, and the run says so.
"""

import torch
from torch import Tensor

from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.cuda_graph import Recorded
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.objectives.samples import Samples

READ_EVERY = 16  # steps between readings of the losses
OPTIMIZERS = ("adam", "adamw")  # those of torch that can skip a step on the device


def suits(runner: BlockRunner, optimizer: str) -> bool:
    """Tell whether the steps of a run can stay on the device: one process, on CUDA, Adam."""
    return runner.device.type == "cuda" and runner.group.size == 1 and optimizer in OPTIMIZERS


class DeviceSteps:
    """Launches steps; `read` returns the losses and gradient norms of those launched since it was called."""

    def __init__(
        self,
        model: CoordinateModel,
        samples: Samples,
        runner: BlockRunner,
        optimizer: torch.optim.Optimizer,
        *,
        clip_norm: float | None,
    ) -> None:
        """Prepare; nothing is launched yet.

        Args:
            model: trained in place.
            samples: on the device of the runner.
            runner: gives the size of blocks.
            optimizer: from `make_optimizer(..., on_device=True)`.
            clip_norm: limit of the gradient's norm.
        """
        self.model, self.samples, self.runner, self.optimizer = model, samples, runner, optimizer
        self.clip_norm, self.parameters = clip_norm, list(model.parameters())
        device = runner.device
        self.result = torch.zeros(2, device=device, dtype=samples.targets.dtype)
        self.history = torch.zeros(READ_EVERY, 2, device=device, dtype=samples.targets.dtype)
        self.pending = 0
        self.work = Recorded(self._gradient_and_update, device)
        self._indices: Tensor | None = None

    def launch(self, indices: Tensor, lr: float) -> None:
        """Launch a step at these flat indices, on the device; call `read` after READ_EVERY at the latest."""
        for group in self.optimizer.param_groups:
            group["lr"].fill_(lr * group["factor"])
        if self._indices is None:
            self._indices = indices.clone()
        else:
            self._indices.copy_(indices)
        self.runner.with_less_memory(self.work)
        self.history[self.pending].copy_(self.result)
        self.pending += 1

    def read(self) -> list[tuple[float, float]]:
        """Return loss and norm of each step launched since the last reading; this waits for the device."""
        values = self.history[: self.pending].tolist()
        self.pending = 0
        return [(float(loss), float(norm)) for loss, norm in values]

    def _gradient_and_update(self) -> None:
        """Do one step: never a number from the device to the host."""
        assert self._indices is not None
        n, loss = len(self._indices), torch.zeros_like(self.result[0])
        total: list[Tensor] = []
        for part in self._indices.split(self.runner.block_points):
            with torch.enable_grad():
                error = self.samples.squared_error(self.model(self.samples.coords(part)), part) / n
                gradients = list(torch.autograd.grad(error, self.parameters))
            loss = loss + error.detach()
            if total:
                torch._foreach_add_(total, gradients)
            else:
                total = gradients
        norm = torch.nn.utils.get_total_norm(total)
        if self.clip_norm is not None:
            torch._foreach_mul_(total, (self.clip_norm / norm).clamp(max=1.0))
        for parameter, gradient in zip(self.parameters, total, strict=True):
            parameter.grad = gradient
        # as a scaler for mixed precision does: 1 makes the optimiser leave weights and moments as they are
        self.optimizer.found_inf = (~(loss + norm).isfinite()).float()  # type: ignore[attr-defined]
        self.optimizer.step()
        self.result.copy_(torch.stack([loss, norm.to(loss.dtype)]))
