"""Gauss-Legendre quadrature on an interval."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lrnn_cli.numerics import polygons

_LARGEST_RULE = 128


def gauss(n: int, lower: float, upper: float) -> tuple[Tensor, Tensor]:
    """Return n Gauss-Legendre nodes and weights on [lower, upper], float64 (n,); beyond 128 in equal panels.

    Panels have at most 128 nodes each, and n is rounded up to a multiple of their number: the cost of a
    rule grows with the cube of its nodes.
    """
    panels = -(-n // _LARGEST_RULE)
    size = -(-n // panels)
    nodes, weights = polygons.legendre(size)
    width = (upper - lower) / panels
    starts = lower + width * np.arange(panels)[:, None]
    all_nodes = (starts + width / 2 * (nodes + 1)).ravel()
    return torch.from_numpy(all_nodes), torch.from_numpy(np.tile(width / 2 * weights, panels))
