"""What is known of a slice before it is measured, as maps from an image to a likelier one.

    total variation:   argmin_z  ½ |z - v|² + λ Σ_pixels |∇z|₂           piecewise constant
    nonlocal means:    z_i = Σ_j w_ij v_j / Σ_j w_ij                      made of patches that come again

with w_ij = exp(-d_ij / h²), d_ij the mean squared difference of the p x p patches around i and j, and j in a
window around i. Each errs in its own way (flat steps there, remaining streaks here), so that their mean
is closer to the slice than either (docs/ct.md has figures).

Sources: A. Chambolle, An algorithm for total variation minimization and applications, J. Math. Imaging
Vis. 20, 2004; A. Beck, M. Teboulle, Fast gradient-based algorithms for constrained total variation image
denoising, IEEE Trans. Image Process. 18, 2009; A. Buades, B. Coll, J.-M. Morel, A non-local algorithm for
image denoising, CVPR 2005.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from lrnn_cli.numerics.total_variation import gradient, gradient_adjoint

PATCH = 5  # pixels per side of a patch
REACH = 9  # pixels that a patch is looked for in every direction


def tv_denoise(image: Tensor, weight: float, iterations: int = 40) -> Tensor:
    """Minimise ½ |z - v|² + weight Σ |∇z| by accelerated projected gradients on the dual.

    Args:
        image: v, (n, n).
        weight: λ, 0 or more; 0 returns the image.
        iterations: steps.

    Returns:
        z, (n, n).

    Raises:
        ValueError: If λ is negative.
    """
    if weight < 0:
        raise ValueError(f"weight: expected 0 or more, got {weight}")
    if weight == 0:
        return image.clone()
    dual = image.new_zeros(2, *image.shape)
    ahead, t = dual, 1.0
    for _ in range(iterations):
        # the step 1 / 8 is the inverse of the squared norm of ∇
        slope = ahead + gradient(image - gradient_adjoint(ahead)) / 8
        new = slope / (slope.norm(dim=0) / weight).clamp_min(1)
        t_next = (1 + math.sqrt(1 + 4 * t * t)) / 2
        ahead = new + (t - 1) / t_next * (new - dual)
        dual, t = new, t_next
    return image - gradient_adjoint(dual)


def nonlocal_means(
    image: Tensor, bandwidth: float, *, guide: Tensor | None = None, patch: int = PATCH, reach: int = REACH
) -> Tensor:
    """Replace every pixel by the mean of those whose surroundings look alike.

    Args:
        image: v, (n, m).
        bandwidth: h, in units of the image: patches that differ by much more do not count.
        guide: image whose patches are compared; v itself by default.
        patch: pixels per side of a patch, odd.
        reach: pixels to look in every direction.

    Returns:
        z, (n, m).

    Raises:
        ValueError: If h is not positive, the patch even or the reach below 1.
    """
    if not bandwidth > 0:
        raise ValueError(f"bandwidth: expected a positive number, got {bandwidth}")
    if patch < 1 or patch % 2 == 0 or reach < 1:
        raise ValueError(f"patch and reach: expected an odd one and at least 1, got {patch}, {reach}")
    n, m = image.shape
    half = min(patch // 2, n - 1, m - 1)
    source = image if guide is None else guide
    wide = pad(source[None, None], (half,) * 4, mode="reflect")[0, 0]  # so that border pixels have patches
    total, weights = image.clone(), torch.ones_like(image)
    down, across = min(reach, n - 1), min(reach, m - 1)
    for dy in range(down + 1):
        for dx in range(-across, across + 1):
            if (dy, dx) <= (0, 0):
                continue  # the pair (i, j) serves both pixels
            here, there = _overlap(n, m, dy, dx)
            a, b = _overlap(n + 2 * half, m + 2 * half, dy, dx)
            distance = avg_pool2d((wide[a] - wide[b]).square()[None, None], 2 * half + 1, stride=1)[0, 0]
            w = torch.exp(-distance / bandwidth**2)
            total[here] += w * image[there]
            total[there] += w * image[here]
            weights[here] += w
            weights[there] += w
    return total / weights


def _overlap(n: int, m: int, dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where an (n, m) image and itself moved by (dy, dx) overlap: pixels i, and j = i + (dy, dx)."""
    left, right = max(0, -dx), m - max(0, dx)
    return (slice(0, n - dy), slice(left, right)), (slice(dy, n), slice(left + dx, right + dx))
