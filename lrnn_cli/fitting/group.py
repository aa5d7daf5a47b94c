"""Several processes on one fit: each takes its share of the points of a batch, and the sums are added up.

All processes hold the same model, the same signal and the same random numbers, and decide the same: what they
decide by is either computed from sums over all of them or the word of one. So a run on several processes
equals one on a single process up to the rounding of sums.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.errors import DeviceError
from lrnn_cli.fitting.launch import Place, place

PATIENCE = timedelta(minutes=30)  # for the slowest process
LOST = "another process of this run has ended; what it said is the reason"


class Group:
    """The processes of a run. This class is the group of one, for which there is nothing to do."""

    place = Place()

    @property
    def rank(self) -> int:
        """Number of this process; 0 writes and talks."""
        return self.place.rank

    @property
    def size(self) -> int:
        """Number of processes."""
        return self.place.size

    def share(self, n: int) -> slice:
        """Return the part of range(n) that is this process's: contiguous, as equal as can be."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes."""

    def total(self, loss: float, gradients: Sequence[Tensor]) -> float:
        """Replace gradients by their sums over all processes, and return that of the losses."""
        if self.size == 1:
            return loss
        message = torch.tensor([loss], dtype=torch.float64, device=gradients[0].device)
        self.sum_([*gradients, message])
        return float(message)

    def largest(self, values: Sequence[float]) -> list[float]:
        """Return the largest of each value over all processes."""
        return list(values)

    def first(self, value: bool) -> bool:
        """Return what process 0 says."""
        return value


ALONE = Group()


class Processes(Group):
    """Processes started by torchrun, over gloo on the CPU and NCCL on CUDA."""

    def __init__(self, device: torch.device) -> None:
        """Meet the others.

        Raises:
            DeviceError: when they cannot be met.
        """
        import torch.distributed as dist

        self.place, self._dist = place(), dist
        try:
            backend = "nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(backend, timeout=PATIENCE)
            # plain numbers go over the CPU, so that they do not wait for the GPU
            self._plain = dist.new_group(backend="gloo", timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            raise DeviceError(f"the processes of this run cannot meet: {_first_line(error)}") from error

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one device by their sums over all processes, in one message per precision."""
        views = [torch.view_as_real(t) if t.is_complex() else t for t in tensors]
        for dtype in dict.fromkeys(view.dtype for view in views):
            same = [view for view in views if view.dtype == dtype]
            message = torch.cat([view.reshape(-1) for view in same])
            self._call(self._dist.all_reduce, message)
            for view, part in zip(same, message.split([view.numel() for view in same]), strict=True):
                view.copy_(part.view_as(view))

    def largest(self, values: Sequence[float]) -> list[float]:
        """Return the largest of each value over all processes."""
        message = torch.tensor(values, dtype=torch.float64)
        self._call(self._dist.all_reduce, message, op=self._dist.ReduceOp.MAX, group=self._plain)
        return [float(value) for value in message]

    def first(self, value: bool) -> bool:
        """Return what process 0 says."""
        return bool(self.largest([float(value and self.rank == 0)])[0])

    def _call(self, collective: Any, *arguments: Any, **options: Any) -> None:
        try:
            collective(*arguments, **options)
        except RuntimeError as error:
            raise DeviceError(LOST) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@lru_cache
def join(device: torch.device) -> Group:
    """Return the group of this process, the same at each call: `ALONE` unless torchrun started several."""
    return Processes(device) if place().size > 1 else ALONE


def leave() -> None:
    """End what `join` began."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
    join.cache_clear()
