"""Fitting a network to projections: an explicit image meets the data, and the network meets the image.

    minimise  E(x) + R(z)   subject to  x = z = f_θ

with the projections' E (`objectives.projection`) and prior knowledge R, by the alternating direction method
of multipliers with scaled dual u and coupling ρ:

    x ← argmin E(x) + ρ/2 |x - (z - u)|²    conjugate gradients on the explicit image: ill-conditioned, cheap
    t ← max(P(x + u), 0)                    the prior's map: (1 - a) nonlocal means + a total variation
    θ ← argmin |f_θ - t|²                   the network fits an image: well-conditioned; this never stops
    z ← f_θ;  u ← u + x - z

The network starts on a classical reconstruction (the warm start), and the rounds are spread over the budget.
The last part belongs to the network alone, which must render the final image. Nothing here sees a truth.

Sources: S. Boyd et al., Distributed optimization and statistical learning via the alternating direction
method of multipliers, 2011; S. Venkatakrishnan, C. Bouman, B. Wohlberg, Plug-and-play priors for model based
reconstruction, 2013; M. Najaf, G. Ongie, arXiv 2504.13390, 2025.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lrnn_cli.fitting.loop import Step, Trainer
from lrnn_cli.numerics.denoise import nonlocal_means, tv_denoise
from lrnn_cli.objectives.projection import ProjectionObjective

WARM = 0.15  # part of the budget for the first fit to the classical image
COUPLING = 0.3
POLISH = 0.25  # part at the end for fitting the last image


@dataclass(frozen=True)
class Prior:
    """What is known of slices: the map P.

    Attributes:
        tv: weight of the total variation's proximal map, in units of the image; 0 for none.
        bandwidth: h of the nonlocal means; 0 for none.
        share: a, the part of the total variation where both are on.
    """

    tv: float = 0.0
    bandwidth: float = 0.0
    share: float = 0.5

    def __call__(self, image: Tensor) -> Tensor:
        """Map an image (n, n) to a likelier one."""
        flat = tv_denoise(image, self.tv) if self.tv else image
        if not self.bandwidth:
            return flat
        alike = nonlocal_means(image, self.bandwidth)
        return torch.lerp(alike, flat, self.share) if self.tv else alike


def coupling_for(objective: ProjectionObjective, tv_weight: float, step: float) -> float:
    """Return ρ: the usual share of the data term, or more where the noise asks for it.

    A prior of which the total variation has the proximal weight `step` smooths about as strongly as λ TV if
    ρ = λ / step; with good data that would be so weak that the rounds would not converge in time.

    Args:
        objective: the data term.
        tv_weight: λ that suits the data, as `numerics.choice` finds it.
        step: proximal weight of the total variation, in units of the image.
    """
    return max(COUPLING * objective.scale(), tv_weight / objective.mean_weight / step)


@dataclass
class Splitting:
    """The explicit half of the method, which can also run without a network (z = t).

    Attributes:
        objective: E.
        prior: P.
        image: z.
        coupling: ρ.
        x: the image that meets the data.
        dual: u.
    """

    objective: ProjectionObjective
    prior: Prior
    image: Tensor
    coupling: float
    x: Tensor = field(init=False)
    dual: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Start with x = z and u = 0."""
        self.x, self.dual = self.image, torch.zeros_like(self.image)

    def target(self) -> Tensor:
        """Do the first two steps of a round: x, then t, which is returned, (n, n)."""
        self.x = self.objective.proximal(self.image - self.dual, self.coupling, self.x)
        return self.prior(self.x + self.dual).clamp_min(0)

    def accept(self, image: Tensor) -> None:
        """Do the last step of a round with the new z, (n, n)."""
        self.image = image
        self.dual = self.dual + self.x - image

    def rounds(self, n: int) -> Tensor:
        """Do n rounds without a network and return the image."""
        for _ in range(n):
            self.accept(self.target())
        return self.image


class TomographyFit:
    """Trains a network on the moving target; iterate over `run()`, then the trainer holds the outcome."""

    def __init__(
        self,
        trainer: Trainer,
        splitting: Splitting,
        render: Callable[[], Tensor],
        *,
        n_rounds: int,
        inner: int = 1,
    ) -> None:
        """Prepare.

        Args:
            trainer: of the network, its samples being the pixels of the start image.
            splitting: holding the start image.
            render: evaluates the network on the grid, (n, n), in units of the image.
            n_rounds: rounds of the method.
            inner: explicit rounds in each, the network joining in the last of them.
        """
        self.trainer, self.splitting, self.render = trainer, splitting, render
        self.n_rounds, self.inner = n_rounds, inner
        self.rounds_done = 0

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Step]:
        """Train to the end of the budget.

        Args:
            should_stop: asked before every step.

        Yields:
            the records of the trainer; its loss is the distance to the target of the moment.
        """
        for step in self.trainer.run(should_stop):
            # the round belongs to the step: whoever saves the state between two steps finds it done; the
            # record that closes the training is no step, and nobody would learn the target of its round
            share = (step.progress - WARM) / (1 - WARM - POLISH)
            is_due = self.rounds_done < self.n_rounds and share >= self.rounds_done / self.n_rounds
            if is_due and self.trainer.outcome is None:
                self._round()
            yield step

    def _round(self) -> None:
        """Show the explicit half what the network has learned, and the network its next target."""
        splitting = self.splitting
        if self.rounds_done:
            splitting.accept(self.render())
        splitting.rounds(self.inner - 1)
        samples = self.trainer.samples
        target = splitting.target().reshape(-1, 1).to(samples.targets)
        samples.targets.copy_(target.sub(samples.shift).div_(samples.scale))
        self.rounds_done += 1
