"""How much to regularise, decided without the truth: by the noise, where it is known, or by views left out.

Discrepancy principle (V. A. Morozov, 1966): the residual of a good image is as large as the noise; with
weights w_i = 1 / σ_i², reduced χ² = Σ w (A x - p)² / m = 1 over the m rays that meet the image. Otherwise
every tenth view is left out, reconstructions of the others are judged by their residual r there, and the
setting that wins is used on all views. The residual is measured in the norm of the ramp filter, <r, q * r>:
that of r itself follows low frequencies and hardly sees the noise of an image, whereas by Parseval's theorem
this one follows the error of the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from lrnn_cli.numerics.fbp import filtered
from lrnn_cli.numerics.projection import Projector
from lrnn_cli.numerics.sart import Callback, sart, sirt
from lrnn_cli.numerics.total_variation import tv, weight_scale

# λ over `weight_scale`, from strong to weak, a factor of √10 apart
STRENGTHS = tuple(10.0 ** (-k / 2) for k in range(4, 12))


# With noise the error on the views left out hardly depends on the number of sweeps, being noise itself, and
# its least lies too far on; the fewest sweeps within 3 % of it are taken. Found on another chest phantom.
TOLERANCE = 1.03


@dataclass(frozen=True)
class Choice:
    """An image and how it was chosen.

    Attributes:
        image: The reconstruction from all views, (n, n).
        setting: λ for total variation, the number of sweeps or steps for SART and SIRT.
        rule: "discrepancy" or "held-out views".
        history: What was tried: setting → reduced χ², or residual on the views left out.
    """

    image: torch.Tensor
    setting: float
    rule: str
    history: dict[float, float] = field(default_factory=dict)


def heldout_views(n_views: int, fraction: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Split the views: some, evenly spread and never the outermost, are left out.

    Args:
        n_views: Number of views, at least 3.
        fraction: Share to leave out; at least one view.

    Returns:
        Indices kept and indices left out, ascending.

    Raises:
        ValueError: If fewer than 3 views leave nothing to spare, or the fraction is not between 0 and 1.
    """
    if n_views < 3:
        raise ValueError(f"n_views: expected at least 3 to leave one out, got {n_views}")
    if not 0 < fraction < 1:
        raise ValueError(f"fraction: expected a number between 0 and 1, got {fraction}")
    count = min(max(1, round(fraction * n_views)), n_views - 2)
    out = np.unique(np.clip(((np.arange(count) + 0.5) * n_views / count).astype(int), 1, n_views - 2))
    return np.setdiff1d(np.arange(n_views), out), out


def reduced_chi2(
    projector: Projector, image: torch.Tensor, sinogram: torch.Tensor, weights: torch.Tensor
) -> float:
    """Σ w (A x - p)² / m over the m rays that meet the image.

    Args:
        projector: A.
        image: x, (n, n).
        sinogram: p, (views, bins).
        weights: Inverse variances of p, (views, bins).

    Returns:
        The figure; about 1 where only noise is left.
    """
    meets = projector.forward(torch.ones_like(image)) > 0
    residual = (projector.forward(image) - sinogram.to(image)).double() ** 2 * weights.to(image)
    return float(residual[meets].sum()) / max(int(meets.sum()), 1)


def choose_tv(
    projector: Projector,
    sinogram: torch.Tensor,
    weights: torch.Tensor | None = None,
    noise_known: bool = False,
    iterations: int = 100,
    nonnegative: bool = True,
    callback: Callback | None = None,
) -> Choice:
    """Total variation with λ chosen by the data.

    Goes from strong to weak λ, each start from the image before. With known noise the first λ whose reduced
    χ² is below 1 ends the search, and λ is interpolated on a logarithmic scale to χ² = 1. Otherwise the λ of
    least error on the views left out, refined by a parabola through its neighbours.

    Args:
        projector: A.
        sinogram: p, (views, bins).
        weights: w; with `noise_known` the inverse variances themselves, otherwise any factor times them.
        noise_known: Whether 1 / w are the variances of p.
        iterations: Steps of the final reconstruction; those of the search take a third.
        nonnegative: Keep x ≥ 0.
        callback: Called after every iteration of every solution; may raise to end the search.

    Returns:
        The image, λ and what was tried.

    Raises:
        ValueError: If the noise is said to be known and no weights tell it.
    """
    if noise_known and weights is None:
        raise ValueError("weights: with known noise expected the inverse variances of the line integrals")
    scale = weight_scale(projector, sinogram, weights) or 1.0
    short = max(iterations // 3, 10)
    history: dict[float, float] = {}
    judge = _Heldout.of(projector, sinogram, weights, noise_known)
    image = None
    for strength in STRENGTHS:
        lam = strength * scale * judge.share
        image = tv(judge.projector, judge.sinogram, lam, short, nonnegative, judge.weights, callback, image)
        history[strength * scale] = judge.score(image)
        if noise_known and history[strength * scale] < 1:
            break
        if not noise_known and _rising(list(history.values())):
            break
    setting = _crossing(history) if noise_known else _lowest(history)
    image = tv(projector, sinogram, setting, iterations, nonnegative, weights, callback)
    return Choice(image, setting, judge.rule, history)


def choose_sart(
    projector: Projector,
    sinogram: torch.Tensor,
    weights: torch.Tensor | None = None,
    noise_known: bool = False,
    most: int = 30,
    nonnegative: bool = True,
    method: str = "sart",
    callback: Callback | None = None,
) -> Choice:
    """SART (or SIRT) with the number of sweeps chosen by the data.

    Stops at the first reduced χ² below 1; otherwise takes the fewest sweeps whose error on the views left out
    is within `TOLERANCE` of the least.

    Args:
        projector: A.
        sinogram: p, (views, bins).
        weights: w; with `noise_known` the inverse variances themselves, otherwise any factor times them.
        noise_known: Whether 1 / w are the variances of p.
        most: Largest number of sweeps (of steps for SIRT, times ten).
        nonnegative: Keep x ≥ 0.
        method: "sart" or "sirt".
        callback: Called after every sweep of every solution; may raise to end the search.

    Returns:
        The image, the number and what was tried.

    Raises:
        ValueError: If the method is neither, or the noise is said to be known and no weights tell it.
    """
    if method not in ("sart", "sirt"):
        raise ValueError(f"method: expected sart or sirt, got {method}")
    if noise_known and weights is None:
        raise ValueError("weights: with known noise expected the inverse variances of the line integrals")
    solve, most = (sart, most) if method == "sart" else (sirt, 10 * most)
    judge = _Heldout.of(projector, sinogram, weights, noise_known)
    history: dict[float, float] = {}
    reached: list[torch.Tensor] = []

    def watch(iteration: int, image: torch.Tensor) -> bool:
        if callback is not None:
            callback(iteration, image)
        history[iteration] = judge.score(image)
        reached[:] = [image]
        return history[iteration] < 1 if noise_known else _rising(list(history.values()))

    solve(judge.projector, judge.sinogram, most, 1.0, nonnegative, judge.weights, watch)
    if noise_known:
        return Choice(reached[0], len(history), judge.rule, history)
    least = min(history.values())
    setting = int(next(key for key, score in history.items() if score <= TOLERANCE * least))
    image = solve(projector, sinogram, setting, 1.0, nonnegative, weights, callback)
    return Choice(image, setting, judge.rule, history)


@dataclass(frozen=True)
class _Heldout:
    """What is fitted in a search, and how an image is judged."""

    projector: Projector
    sinogram: torch.Tensor
    weights: torch.Tensor | None
    test: tuple[Projector, torch.Tensor, torch.Tensor] | None
    share: float  # of all views that is fitted
    rule: str

    @classmethod
    def of(
        cls, projector: Projector, sinogram: torch.Tensor, weights: torch.Tensor | None, noise_known: bool
    ) -> _Heldout:
        if noise_known:
            return cls(projector, sinogram, weights, None, 1.0, "discrepancy")
        kept, out = heldout_views(projector.geometry.n_views)
        w = torch.ones_like(sinogram) if weights is None else weights
        test = (projector.view_subset(out), sinogram[out], w[out])
        fitted = None if weights is None else weights[kept]
        share = len(kept) / projector.geometry.n_views
        return cls(projector.view_subset(kept), sinogram[kept], fitted, test, share, "held-out views")

    def score(self, image: torch.Tensor) -> float:
        if self.test is None:
            if self.weights is None:
                raise ValueError("weights: expected the inverse variances of the line integrals")
            return reduced_chi2(self.projector, image, self.sinogram, self.weights)
        projector, sinogram, weights = self.test
        residual = (projector.forward(image) - sinogram.to(image)).double() * weights.to(image).sqrt()
        energy = float((residual * filtered(residual, 1.0)).sum())
        return math.sqrt(max(energy, 0.0) / max(float(weights.sum()), 1e-300))


def _rising(scores: list[float]) -> bool:
    """Whether the last two scores lie above the least."""
    return len(scores) > 2 and min(scores[-2:]) > min(scores)


def _crossing(history: dict[float, float]) -> float:
    """The λ at which χ² passes 1, by interpolation of the logarithms; the weakest tried where it does not."""
    settings, scores = list(history), list(history.values())
    if scores[-1] >= 1 or len(scores) == 1:
        return settings[-1]
    above, below = math.log(scores[-2]), math.log(max(scores[-1], 1e-12))
    part = above / (above - below)
    return math.exp((1 - part) * math.log(settings[-2]) + part * math.log(settings[-1]))


def _lowest(history: dict[float, float]) -> float:
    """The λ of least error, refined by a parabola in log λ."""
    settings, scores = list(history), list(history.values())
    best = min(range(len(scores)), key=lambda k: scores[k])
    if not 0 < best < len(scores) - 1:
        return settings[best]
    left, middle, right = scores[best - 1 : best + 2]
    shift = 0.5 * (left - right) / (left - 2 * middle + right)
    return settings[best] * (settings[best + 1] / settings[best]) ** shift
