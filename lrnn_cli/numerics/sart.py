"""Algebraic reconstruction: SART, view by view, and SIRT, all views at once.

Both take steps x ← x + λ C Aᵀ R (p - A x) with the inverse row sums R and column sums C of A, so that
neither the unit of length nor the number of views changes the meaning of λ. Noise comes in with the
iterations: stopping is the regularisation (`lrnn_cli.numerics.choice`).

Sources: A. H. Andersen, A. C. Kak, Simultaneous algebraic reconstruction technique (SART), Ultrasonic
Imaging 6, 1984; J. Gregor, T. Benson, Computational analysis and improvement of SIRT, IEEE Trans. Med.
Imaging 27(7), 2008.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from lrnn_cli.numerics.checks import check_shape
from lrnn_cli.numerics.projection import Projector

# Called after every iteration with its number (from 1) and the image; True ends the iteration.
Callback = Callable[[int, torch.Tensor], bool | None]

GOLDEN = (math.sqrt(5) - 1) / 2


def sart(
    projector: Projector,
    sinogram: torch.Tensor,
    iterations: int = 10,
    relaxation: float = 1.0,
    nonnegative: bool = True,
    weights: torch.Tensor | None = None,
    callback: Callback | None = None,
    start: torch.Tensor | None = None,
) -> torch.Tensor:
    """Simultaneous algebraic reconstruction, one view at a time.

    An iteration is one sweep over all views, in an order that keeps successive views far apart.

    Args:
        projector: A.
        sinogram: p, (views, bins).
        iterations: Sweeps.
        relaxation: λ in (0, 2).
        nonnegative: Set negative pixels to 0 after every view.
        weights: Inverse variances up to a factor, (views, bins): where a view is noisier at a pixel than the
            mean of all views, its step there is shorter by the ratio of the weights.
        callback: Called after every sweep.
        start: First image (n, n); zero by default.

    Returns:
        The image (n, n).
    """
    _check(projector, sinogram, iterations, relaxation, weights)
    order = _spread_out(projector.geometry.theta)
    steps = [_Step(projector.view_subset([view]), sinogram[[view]], _rows(weights, [view])) for view in order]
    if weights is not None:
        usual = torch.stack([step.pixel_weight for step in steps]).mean(dim=0)
        for step in steps:
            step.shorten(usual)
    return _iterate(steps, _start(projector, start), iterations, relaxation, nonnegative, callback)


def sirt(
    projector: Projector,
    sinogram: torch.Tensor,
    iterations: int = 100,
    relaxation: float = 1.0,
    nonnegative: bool = True,
    weights: torch.Tensor | None = None,
    callback: Callback | None = None,
    start: torch.Tensor | None = None,
) -> torch.Tensor:
    """Simultaneous iterative reconstruction: every iteration uses all views at once.

    Slower than SART and smoother. Converges to the least-squares solution in the norm of R (times the
    weights).

    Args:
        projector: A.
        sinogram: p, (views, bins).
        iterations: Steps.
        relaxation: λ in (0, 2).
        nonnegative: Set negative pixels to 0 after every step.
        weights: Inverse variances up to a factor, (views, bins).
        callback: Called after every step.
        start: First image (n, n); zero by default.

    Returns:
        The image (n, n).
    """
    _check(projector, sinogram, iterations, relaxation, weights)
    steps = [_Step(projector, sinogram, weights)]
    return _iterate(steps, _start(projector, start), iterations, relaxation, nonnegative, callback)


class _Step:
    """x → x + λ C Aᵀ R (p - A x) for some of the views, with everything but x and λ computed once."""

    def __init__(self, projector: Projector, sinogram: torch.Tensor, weights: torch.Tensor | None) -> None:
        n, h = projector.geometry.size, projector.geometry.pixel_size
        ones = torch.ones(n, n, dtype=projector.dtype, device=projector.device)
        self.projector = projector
        self.data = sinogram.to(ones)
        rows = projector.forward(ones)
        # rays that graze a corner have nearly empty rows; 1/rows would let their noise in
        usable = rows > h / 2
        self.rows = torch.where(usable, 1 / torch.where(usable, rows, 1), 0)
        plain = projector.adjoint(self.rows * rows)
        self.pixel_weight = torch.ones_like(plain)
        if weights is not None:
            self.rows = self.rows * weights.to(ones)
            self.pixel_weight = projector.adjoint(self.rows * rows) / plain.clamp_min(1e-30)
        columns = plain * self.pixel_weight
        smallest = 1e-6 * columns.max()
        self.columns = torch.where(columns > smallest, 1 / columns.clamp_min(smallest), 0)

    def shorten(self, usual: torch.Tensor) -> None:
        """Scale the step by weight / usual weight where that is below 1."""
        self.columns = self.columns * (self.pixel_weight / usual.clamp_min(1e-30)).clamp_max(1)

    def __call__(self, image: torch.Tensor, relaxation: float) -> torch.Tensor:
        residual = self.rows * (self.data - self.projector.forward(image))
        return image + relaxation * self.columns * self.projector.adjoint(residual)


def _iterate(
    steps: Sequence[_Step],
    image: torch.Tensor,
    iterations: int,
    relaxation: float,
    nonnegative: bool,
    callback: Callback | None,
) -> torch.Tensor:
    for iteration in range(1, iterations + 1):
        for step in steps:
            image = step(image, relaxation)
            if nonnegative:
                image.clamp_min_(0)
        if callback is not None and callback(iteration, image):
            break
    return image


def _start(projector: Projector, start: torch.Tensor | None) -> torch.Tensor:
    n = projector.geometry.size
    if start is None:
        return torch.zeros(n, n, dtype=projector.dtype, device=projector.device)
    check_shape("start", start, (n, n))
    return start.detach().to(dtype=projector.dtype, device=projector.device, copy=True)


def _rows(weights: torch.Tensor | None, views: list[int]) -> torch.Tensor | None:
    return None if weights is None else weights[views]


def _spread_out(theta: np.ndarray) -> np.ndarray:
    """Order of the views by golden steps through their sorted angles modulo π."""
    by_angle = np.argsort(np.mod(theta, math.pi), kind="stable")
    return by_angle[np.argsort(np.mod(np.arange(len(theta)) / GOLDEN, 1.0), kind="stable").argsort()]


def _check(
    projector: Projector,
    sinogram: torch.Tensor,
    iterations: int,
    relaxation: float,
    weights: torch.Tensor | None,
) -> None:
    check_shape("sinogram", sinogram, projector.geometry.sinogram_shape)
    if weights is not None:
        check_shape("weights", weights, projector.geometry.sinogram_shape)
    if iterations < 1:
        raise ValueError(f"iterations: expected at least 1, got {iterations}")
    if not 0 < relaxation < 2:
        raise ValueError(f"relaxation: expected a number between 0 and 2, got {relaxation}")
