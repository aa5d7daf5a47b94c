"""Weights of pixels in rays, view by view: three discrete models of a line integral.

- Joseph: the ray is sampled once per row or column (whichever it crosses more steeply), with linear
  interpolation between the two nearest pixels. Source: P. M. Joseph, An improved algorithm for reprojecting
  rays through pixel images, IEEE Trans. Med. Imaging 1(3), 1982.
- strip: the mean over the width of the bin of the exact chord through the square pixel, that is area of bin
strip
  and pixel over bin width. Exact for a parallel beam; in a fan the rays are taken as parallel within one
  pixel.
- rotate: the image is turned with bilinear interpolation, with zeros outside, and summed along its columns:
what
  many demonstrations do. Kept for comparison; rays are cut at the turned canvas.

Every function returns the entries of one view as three flat tensors (ray, pixel, weight): bin indices, flat
row-major pixel indices (int64) and lengths (float64).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from lrnn_cli.numerics.scan_geometry import Geometry

Entries = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def joseph(geometry: Geometry, view: int, device: torch.device) -> Entries:
    """Entries of Joseph's model for one view.

    A ray x cos θ + y sin θ = s with |cos θ| ≥ |sin θ| meets the row at height y in x = (s - y sin θ) / cos θ;
    its step is h / |cos θ|. Flatter rays do the same with the axes exchanged.

    Args:
        geometry: The scan.
        view: Index of the view.
        device: Where to compute.

    Returns:
        ray, pixel, weight.
    """
    n, h = geometry.size, geometry.pixel_size
    theta, s = (torch.as_tensor(a[view].copy(), device=device) for a in geometry.lines())
    y, x = (torch.as_tensor(a, device=device) for a in geometry.pixel_axes())
    cos, sin = torch.cos(theta), torch.sin(theta)
    steep = cos.abs() >= sin.abs()
    parts = []
    for mask, main, across, lines, by_row in ((steep, cos, sin, y, True), (~steep, sin, cos, x, False)):
        rays = mask.nonzero()[:, 0]
        if not len(rays):
            continue
        start, slope = s[rays] / main[rays], across[rays] / main[rays]
        hit = start[:, None] - slope[:, None] * lines  # (rays, n)
        position = (hit if by_row else -hit) / h + (n - 1) / 2
        near = position.floor()
        step = (h / main[rays].abs())[:, None]
        upper = step * (position - near)
        weight = torch.stack((step - upper, upper), dim=2)
        index = near.long()[:, :, None] + torch.arange(2, device=device)
        line = torch.arange(n, device=device)[:, None]
        pixel = line * n + index if by_row else index * n + line
        inside = (index >= 0) & (index < n)
        counts = inside.sum(dim=(1, 2))
        parts.append((rays.repeat_interleave(counts), pixel[inside], weight[inside]))
    return _joined(parts)


def strip(geometry: Geometry, view: int, device: torch.device) -> Entries:
    """Entries of the area model for one view.

    Seen along θ a pixel has the trapezoid of chords with half bases (a + b) / 2 and |a - b| / 2, a = h |cos
    θ|, b = h |sin θ|, and area h². The entry is its share inside the bin, over the bin width measured at the
    pixel.

    Args:
        geometry: The scan.
        view: Index of the view.
        device: Where to compute.

    Returns:
        ray, pixel, weight.
    """
    h, d = geometry.pixel_size, geometry.detector_spacing
    y, x = (torch.as_tensor(a, device=device) for a in geometry.pixel_axes())
    beta = float(geometry.theta[view])
    along = (x * math.cos(beta) + (y * math.sin(beta))[:, None]).reshape(-1)
    if geometry.source_distance is None or geometry.detector_distance is None:
        theta, place, width = torch.full_like(along, beta), along, torch.full_like(along, d)
    else:
        depth = (y * math.cos(beta))[:, None] - x * math.sin(beta) + geometry.source_distance
        gamma = torch.atan2(along, depth.reshape(-1))
        reach = geometry.source_distance + geometry.detector_distance
        theta, place = beta - gamma, reach * torch.tan(gamma)
        width = d * depth.reshape(-1) / reach * torch.cos(gamma)  # of a bin, across the ray, at the pixel
    a, b = h * torch.cos(theta).abs(), h * torch.sin(theta).abs()
    outer, inner = (a + b) / 2, (a - b).abs() / 2
    middle = place / d + geometry.axis_bin  # bin coordinate of the pixel's centre
    reach_bins = outer / width
    first = (middle - reach_bins + 0.5).floor()
    n_taps = int((2 * reach_bins).max().ceil()) + 1
    below = _trapezoid_area((first - 0.5 - middle) * width, outer, inner, h)
    parts = []
    for tap in range(n_taps):
        above = _trapezoid_area((first + tap + 0.5 - middle) * width, outer, inner, h)
        ray, weight = first + tap, (above - below) / width
        inside = (ray >= 0) & (ray < geometry.n_bins) & (weight > 0)
        pixel = inside.nonzero()[:, 0]
        parts.append((ray[pixel].long(), pixel, weight[pixel]))
        below = above
    return _joined(parts)


def rotate(geometry: Geometry, view: int, device: torch.device) -> Entries:
    """Entries of rotate-and-sum for one view.

    Bin b sums the n bilinear samples of the image at s_b (cos θ, sin θ) + t (-sin θ, cos θ) with t on the
    pixel axis, times h.

    Args:
        geometry: The scan, with a parallel beam.
        view: Index of the view.
        device: Where to compute.

    Returns:
        ray, pixel, weight.

    Raises:
        ValueError: If the beam is a fan.
    """
    if geometry.is_fan:
        raise ValueError("rotate: a turned image has parallel rays, the fan beam needs joseph or strip")
    n, h = geometry.size, geometry.pixel_size
    beta = float(geometry.theta[view])
    s = torch.as_tensor(geometry.offsets(), device=device)[:, None]
    t = torch.as_tensor(geometry.pixel_axes()[1], device=device)
    column = (s * math.cos(beta) - t * math.sin(beta)) / h + (n - 1) / 2  # (bins, n)
    row = (n - 1) / 2 - (s * math.sin(beta) + t * math.cos(beta)) / h
    left, top = column.floor(), row.floor()
    ray = torch.arange(geometry.n_bins, device=device)[:, None].expand_as(column)
    parts = []
    for i, share_i in ((top, 1 - (row - top)), (top + 1, row - top)):
        for j, share_j in ((left, 1 - (column - left)), (left + 1, column - left)):
            share = share_i * share_j
            inside = (i >= 0) & (i < n) & (j >= 0) & (j < n) & (share > 0)
            parts.append((ray[inside], (i * n + j)[inside].long(), h * share[inside]))
    return _joined(parts)


MODELS: dict[str, Callable[[Geometry, int, torch.device], Entries]] = {
    "joseph": joseph,
    "strip": strip,
    "rotate": rotate,
}


def expected_entries(geometry: Geometry, model: str) -> float:
    """Estimate of the number of entries of all views, within some 20 %.

    Args:
        geometry: The scan.
        model: A key of `MODELS`.

    Returns:
        The estimate.
    """
    n, spacing = geometry.size, geometry.detector_spacing
    if geometry.source_distance is not None and geometry.detector_distance is not None:
        spacing *= geometry.source_distance / (geometry.source_distance + geometry.detector_distance)
    ratio = geometry.pixel_size / spacing
    # 0.9 and 1.27: means of max(|cos|, |sin|) and |cos| + |sin| over all directions
    per_pixel = {"joseph": 1.8 * ratio, "strip": 1.27 * ratio + 1.0, "rotate": 4.0 * ratio}[model]
    return geometry.n_views * n * n * per_pixel


def _trapezoid_area(t: torch.Tensor, outer: torch.Tensor, inner: torch.Tensor, side: float) -> torch.Tensor:
    """Area of the chord profile left of t: side² / (outer + inner) on |t| ≤ inner, 0 beyond outer."""
    height = side * side / (outer + inner)
    slope = (outer - inner).clamp_min(1e-300)
    ramp = (t.clamp(-outer, -inner) + outer) ** 2 / (2 * slope)
    flat = t.clamp(-inner, inner) + inner
    fall = t.clamp(inner, outer) - inner
    return height * (ramp + flat + fall - fall**2 / (2 * slope))


def _joined(parts: list[Entries]) -> Entries:
    ray, pixel, weight = (torch.cat(column) for column in zip(*parts, strict=True))
    return ray, pixel, weight
