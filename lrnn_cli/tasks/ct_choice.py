"""How strongly the networks' image is smoothed, chosen by views that it does not see, never by the truth.

Candidates run for a few rounds on the explicit image, without a network, from nine tenths of the views; the
one that predicts the others best is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lrnn_cli.fitting.tomography import Prior, Splitting, coupling_for
from lrnn_cli.numerics.choice import heldout_views
from lrnn_cli.numerics.projection import Projector
from lrnn_cli.numerics.total_variation import tv
from lrnn_cli.objectives.projection import ProjectionObjective


class Halted(Exception):
    """The user asked to stop in the middle of a method; what it had so far is dropped."""


FEWEST = 6  # views, below which none is held out
START_ITERATIONS = 30  # of TV
ROUNDS = 6
# proximal weight of TV and bandwidth of the nonlocal means, in u: from very good data to noisy ones
PRIORS = ((0.01, 0.03), (0.03, 0.06), (0.1, 0.2))
# The strongest candidate within 3 % of the least error is taken: with noise, errors on the views held out are
# nearly equal, being noise themselves, and weak priors then win by chance.
TOLERANCE = 1.03


def choose_prior(
    projector: Projector,
    sinogram: Tensor,
    weights: Tensor | None,
    tv_weight: float,
    make: Callable[[float, float], Prior],
    *,
    should_stop: Callable[[], bool] = lambda: False,
    candidates: Sequence[tuple[float, float]] = PRIORS,
) -> tuple[tuple[float, float], list[float]]:
    """Choose among strengths of the prior.

    Args:
        projector: A, of six views or more.
        sinogram: p, (views, bins).
        weights: inverse variances, or None.
        tv_weight: λ of the classical TV.
        make: from a candidate to the prior.
        should_stop: asked between candidates.
        candidates: proximal weights of TV with bandwidths, from weak to strong.

    Returns:
        The strongest candidate within `TOLERANCE` of the best, and the errors |W^½ (A' x - p')| / |W^½ p'|
        of all.

    Raises:
        Halted: when asked to stop before all candidates were tried.
    """
    kept, out = heldout_views(projector.geometry.n_views)
    seen, judge = projector.view_subset(kept), projector.view_subset(out)
    fitted = None if weights is None else weights[torch.from_numpy(kept)]
    root = torch.ones_like(sinogram[out]) if weights is None else weights[torch.from_numpy(out)].sqrt()
    objective = ProjectionObjective(seen, sinogram[kept], fitted)
    weight = tv_weight * len(kept) / projector.geometry.n_views
    start = tv(seen, sinogram[kept], weight, START_ITERATIONS, weights=fitted)
    errors: list[float] = []
    for candidate in candidates:
        if should_stop():
            raise Halted
        coupling = coupling_for(objective, weight, candidate[0])
        image = Splitting(objective, make(*candidate), start.clone(), coupling).rounds(ROUNDS)
        residual = root * (judge.forward(image) - sinogram[out])
        errors.append(float(residual.norm() / (root * sinogram[out]).norm()))
    return candidates[max(k for k, error in enumerate(errors) if error <= TOLERANCE * min(errors))], errors
