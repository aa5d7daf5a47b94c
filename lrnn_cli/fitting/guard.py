"""Watching the loss: breaking out, not finite, nothing learned. It decides; `loop` acts."""

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

BREAK_OUT = 3.0  # times the best smoothed loss counts as breaking out ...
BREAK_OUT_STEPS = 10  # ... when it lasts for so many steps in a row
NOISE = 1e-8  # for targets of size 1: below it a loss moves by rounding and by single steps of the weights
DEAD_LEVEL = 0.9  # of the variance of the targets: a constant does about as well
DEAD_STEPS = 100  # steps granted to the first start before it is called dead
DEAD_PROGRESS = 0.1  # and part of the budget; each later start is granted twice as much of both:
# networks of sines may stay at the mean for hundreds of steps before they begin
SMOOTHING = 0.8  # of the running mean of batch losses


class Verdict(StrEnum):
    """What the loss of a step means."""

    FINE = "fine"
    NOT_FINITE = "the loss is not finite"
    BROKE_OUT = "the loss broke out"
    DEAD = "nothing was learned"


@dataclass
class Guard:
    """State of the watch; plain numbers, so that a resumed run continues with the same decisions."""

    variance: float
    enabled: bool = True
    smooth_loss: float = math.inf
    best_loss: float = math.inf
    steps_since_start: int = 0
    steps_broken_out: int = 0
    fresh_starts: int = 0
    progress: float = 0.0
    started_at: float = 0.0  # progress at the last start

    def observe(self, loss: float, *, smoothing: float, progress: float) -> Verdict:
        """Take the loss of a step, normalised, and judge.

        Args:
            loss: mean squared error of the batch before the step.
            smoothing: weight of the past in the running mean; 0 where the batch is all of the data.
            progress: part of the budget used.

        Returns:
            the verdict; where the guard is not enabled, FINE or NOT_FINITE.
        """
        if not math.isfinite(loss):
            return Verdict.NOT_FINITE
        first = math.isinf(self.smooth_loss)
        self.smooth_loss = loss if first else smoothing * self.smooth_loss + (1 - smoothing) * loss
        self.steps_since_start, self.progress = self.steps_since_start + 1, progress
        self.best_loss = min(self.best_loss, self.smooth_loss)
        if not self.enabled:
            return Verdict.FINE
        out = min(loss, self.smooth_loss) > BREAK_OUT * max(self.best_loss, NOISE)
        self.steps_broken_out = self.steps_broken_out + 1 if out else 0
        if self.steps_broken_out >= BREAK_OUT_STEPS:
            return Verdict.BROKE_OUT
        patience = 2**self.fresh_starts
        waited = self.steps_since_start >= DEAD_STEPS * patience
        waited = waited and progress - self.started_at >= DEAD_PROGRESS * patience
        if waited and self.smooth_loss > DEAD_LEVEL * self.variance and self.variance > 0:
            return Verdict.DEAD
        return Verdict.FINE

    def went_back(self, smooth_loss: float) -> None:
        """Start watching again from a restored state with this smoothed loss (inf for a fresh start)."""
        self.smooth_loss = self.best_loss = smooth_loss
        self.steps_since_start = self.steps_broken_out = 0
        if math.isinf(smooth_loss):
            self.fresh_starts, self.started_at = self.fresh_starts + 1, self.progress

    def state(self) -> dict[str, Any]:
        """Return all fields, for the resume file."""
        return asdict(self)
