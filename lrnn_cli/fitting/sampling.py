"""Which points enter a step: all of them, or the next piece of a random permutation."""

from typing import Any

import torch
from torch import Tensor


class BatchSampler:
    """Goes through random permutations of all points; every point once per pass, whatever the batch size.

    Its state is a seed and two counts, so that a resumed run draws the very same batches.
    """

    def __init__(
        self, n_points: int, batch_points: int, seed: int, device: torch.device | None = None
    ) -> None:
        """Draw nothing yet; a batch of all points needs no permutation.

        Permutations are drawn on the CPU, the same for all devices, and moved to `device` once per pass.
        """
        self.device = device
        self.n_points, self.batch_points, self.seed = n_points, min(batch_points, n_points), seed
        self.is_full = self.batch_points == n_points
        self.passes, self.position = 0, 0
        self._order = torch.arange(n_points, device=device) if self.is_full else self._permutation()

    def _generator(self) -> torch.Generator:
        """Return the generator of this pass."""
        mixed = (self.seed * 2_654_435_761 + self.passes) % 2**32  # torch's CPU generator takes 32 bits of it
        return torch.Generator().manual_seed(mixed)

    def _permutation(self) -> Tensor:
        return torch.randperm(self.n_points, generator=self._generator()).to(self.device or "cpu")

    def next(self) -> Tensor:
        """Return the flat indices of the next batch; what is left of a pass is joined to the next pass."""
        if self.is_full:
            self.passes += 1
            return self._order
        stop = self.position + self.batch_points
        batch = self._order[self.position : stop]
        self.position = stop
        if stop >= self.n_points:
            self.passes += 1
            self._order = self._permutation()
            self.position = stop - self.n_points
            batch = torch.cat([batch, self._order[: self.position]])
        return batch

    def state(self) -> dict[str, Any]:
        """Return the two counts."""
        return {"passes": self.passes, "position": self.position}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from counts returned by `state` of a sampler with the same points, batch and seed."""
        self.passes, self.position = int(state["passes"]), int(state["position"])
        if not (self.passes >= 0 and 0 <= self.position < self.n_points):
            raise ValueError(f"expected a position below {self.n_points}, got {self.position}")
        if not self.is_full:
            self._order = self._permutation()
