"""How far a solution is from the exact one while the solver runs: for display alone, never for a decision."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from lrnn_cli.fitting.fields import Field
from lrnn_cli.objectives.poisson import Problem

N_POINTS = 300
SEED = 5_417  # of Sobol points that neither solve nor measure
_EVERY_S = 0.3


class ErrorProbe:
    """Relative error at a few points inside, in the root mean square; None where the truth is not known.

    Args:
        problem: what is solved.
        every_s: the last figure stands for so many seconds.
    """

    def __init__(self, problem: Problem, every_s: float = _EVERY_S) -> None:
        self.every_s, self.looked_at = every_s, float("-inf")
        self.error: float | None = None
        self.points: Tensor | None = None
        self.exact: Tensor | None = None
        if problem.exact is not None and not problem.pure_neumann:
            self.points = problem.domain.heldout(N_POINTS, SEED)
            self.exact = problem.exact(self.points)

    def __call__(self, solution: Callable[[], Field]) -> float | None:
        """Look at a solution, or remember the last look."""
        if self.points is None or self.exact is None or not float(self.exact.norm()):
            return None
        now = time.perf_counter()
        if now - self.looked_at >= self.every_s:
            self.looked_at = now
            gap = solution().jet(self.points).value - self.exact
            self.error = float(gap.norm() / self.exact.norm())
        return self.error
