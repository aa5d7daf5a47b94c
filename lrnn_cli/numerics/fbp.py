"""Filtered backprojection of parallel and flat fan beams.

Sources: A. C. Kak, M. Slaney, Principles of Computerized Tomographic Imaging, 1988, sections 3.3 and 3.4;
D. L. Parker, Optimal short scan convolution reconstruction for fan beam CT, Med. Phys. 9(2), 1982.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch

from lrnn_cli.numerics.checks import check_shape
from lrnn_cli.numerics.scan_geometry import Geometry
from lrnn_cli.numerics.view_shares import share_turn

Filter = Literal["ramp", "shepp-logan", "cosine", "hamming", "hann"]
FILTERS: tuple[Filter, ...] = ("ramp", "shepp-logan", "cosine", "hamming", "hann")


def fbp(sinogram: torch.Tensor, geometry: Geometry, filter: Filter = "ramp") -> torch.Tensor:
    """Filtered backprojection, f(x, y) = Σ_k w_k (q * p_k)(x cos θ_k + y sin θ_k).

    q is the band-limited ramp times a window; the view weights w_k share out the half turn (`view_weights`),
    so that uneven angles, a full turn and repeated views need no care. A fan is weighted by cos γ before and
    R_s² / L² after filtering, and by Parker's weights where it turns less than once.

    Args:
        sinogram: Line integrals, (views, bins).
        geometry: The scan.
        filter: "ramp" (sharpest), "shepp-logan", "cosine", "hamming" or "hann" (smoothest).

    Returns:
        The image (n, n), per unit of length, of dtype and device of the sinogram.

    Raises:
        ValueError: If the filter is unknown or the sinogram has another shape.
    """
    check_shape("sinogram", sinogram, geometry.sinogram_shape)
    device = sinogram.device
    views = sinogram.to(torch.float64)
    y, x = (torch.as_tensor(a, device=device) for a in geometry.pixel_axes())
    spacing = geometry.detector_spacing
    reach = source = 0.0
    if geometry.source_distance is not None and geometry.detector_distance is not None:
        source, reach = geometry.source_distance, geometry.source_distance + geometry.detector_distance
        spacing *= source / reach  # of the bins, seen from the source, at the axis
        u = torch.as_tensor(geometry.offsets(), device=device)
        views = views * torch.cos(torch.atan2(u, torch.full_like(u, reach)))
        views = views * torch.as_tensor(_fan_weights(geometry), device=device)
    else:
        views = views * torch.as_tensor(view_weights(geometry.theta), device=device)[:, None]
    views = filtered(views, spacing, filter)
    image = torch.zeros(geometry.size, geometry.size, dtype=torch.float64, device=device)
    for view, beta in zip(views, geometry.angles, strict=True):
        place = x * math.cos(beta) + (y * math.sin(beta))[:, None]
        if geometry.is_fan:
            scale = source / ((y * math.cos(beta))[:, None] - x * math.sin(beta) + source)
            place = place * scale
            image += scale**2 * _interpolated(view, place / spacing + geometry.axis_bin)
        else:
            image += _interpolated(view, place / spacing + geometry.axis_bin)
    return image.to(sinogram.dtype)


def filtered(views: torch.Tensor, spacing: float, filter: Filter = "ramp") -> torch.Tensor:
    """Convolve every view with the band-limited ramp filter, d Σ_m q(m d) p_{b-m}.

    q(0) = 1 / (4 d²), q(m d) = -1 / (π m d)² for odd m, 0 for even m; sampled in space, because a ramp
    sampled in frequency loses the mean. Its transform is then multiplied by the window, with ν in cycles per
    bin: sinc(ν), cos(π ν), 0.54 + 0.46 cos(2 π ν) or 0.5 + 0.5 cos(2 π ν). Padded with zeros to twice the
    length.

    Args:
        views: Line integrals, (..., bins).
        spacing: Distance d of the bins.
        filter: Name of the window.

    Returns:
        The filtered views (..., bins), per unit of length.

    Raises:
        ValueError: If the filter is unknown.
    """
    n_bins = views.shape[-1]
    length = 2 ** math.ceil(math.log2(max(2 * n_bins, 2)))
    response = torch.as_tensor(frequency_response(length, filter), device=views.device, dtype=views.dtype)
    spectrum = torch.fft.rfft(views, n=length) * (response / spacing)
    return torch.fft.irfft(spectrum, n=length)[..., :n_bins]


def frequency_response(length: int, filter: Filter) -> np.ndarray:
    """Transform of the windowed ramp at the frequencies of `rfft`, for unit spacing.

    Args:
        length: Length of the transform, even.
        filter: Name of the window.

    Returns:
        The response, about |ν| times the window, float64 (length / 2 + 1,).

    Raises:
        ValueError: If the filter is unknown.
    """
    m = np.minimum(np.arange(length), length - np.arange(length))
    kernel = np.zeros(length)
    kernel[0] = 0.25
    kernel[m % 2 == 1] = -1.0 / (math.pi * m[m % 2 == 1]) ** 2
    ramp, nu = np.fft.rfft(kernel).real, np.fft.rfftfreq(length)
    match filter:
        case "ramp":
            return ramp
        case "shepp-logan":
            return ramp * np.sinc(nu)
        case "cosine":
            return ramp * np.cos(math.pi * nu)
        case "hamming":
            return ramp * (0.54 + 0.46 * np.cos(2 * math.pi * nu))
        case "hann":
            return ramp * (0.5 + 0.5 * np.cos(2 * math.pi * nu))
    raise ValueError(f"filter: expected {', '.join(FILTERS)}, got {filter}")


def view_weights(theta: np.ndarray) -> np.ndarray:
    """Share of every view of a parallel beam in the half turn.

    Half the gap to each neighbour modulo π; views of the same lines (θ and θ + π) share one part, also where
    their angles agree but nearly. A gap of more than four times the usual one is a missing wedge, counted as
    one usual gap.

    Args:
        theta: Angles in radians, (v,), any order.

    Returns:
        The weights in radians, float64 (v,); for v equal steps round the half turn π / v each.
    """
    return share_turn(theta, math.pi).shares


def _fan_weights(geometry: Geometry) -> np.ndarray:
    """Weights (views, bins) of the rays of a fan: angular step times share among rays of the same line."""
    turn = share_turn(geometry.theta, 2 * math.pi)
    if turn.turned > 2 * math.pi - turn.step / 2:
        return np.repeat(turn.shares[:, None] / 2, geometry.n_bins, axis=1)
    since = np.mod(geometry.theta - turn.first + turn.step / 2, 2 * math.pi)[:, None]
    theta, _ = geometry.lines()
    gamma = geometry.theta[:, None] - theta
    delta = max(float(np.abs(gamma).max()), (turn.turned - math.pi) / 2)
    return turn.shares[:, None] * _parker(since, gamma, delta)


def _parker(beta: np.ndarray, gamma: np.ndarray, delta: float) -> np.ndarray:
    """Parker's weights for a turn of π + 2 delta that starts at β = 0, (views, bins)."""
    # the ray (β, γ) comes again as (β + π - 2γ, -γ); the two weights add up to 1
    beta, gamma = np.broadcast_arrays(beta, gamma)
    rise, fall = 2 * (delta + gamma), 2 * (delta - gamma)
    weight = np.ones(beta.shape)
    early, late = beta < rise, beta > math.pi + 2 * gamma
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(early, np.sin(math.pi / 2 * beta / rise) ** 2, weight)
        weight = np.where(late, np.sin(math.pi / 2 * (math.pi + 2 * delta - beta) / fall) ** 2, weight)
    return np.where((beta < 0) | (beta > math.pi + 2 * delta), 0.0, np.nan_to_num(weight))


def _interpolated(view: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Linear interpolation of a view (bins,) at bin coordinates of any shape; 0 outside the detector."""
    left = position.floor()
    fraction = position - left
    padded = torch.nn.functional.pad(view, (1, 1))
    index = (left.long() + 1).clamp(0, len(view))
    inside = (left >= -1) & (left < len(view))
    return torch.where(inside, padded[index] * (1 - fraction) + padded[index + 1] * fraction, 0.0)
