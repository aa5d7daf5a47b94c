"""Several networks in a row along the first axis, joined by cross-fades: one model for a long signal.

    y(t) = sum_k w_k(t) y_k((t - c_k) / h_k),   w_k >= 0,   sum_k w_k(t) = 1.

Member k, with centre c_k and half width h_k, sees its own part of the axis as [-1, 1]. In an overlap of two
members the weights are cos² and sin² of an angle that goes from 0 to pi/2. A member's own time is formed in
float64: an axis of many millions of samples is finer than float32, that of a member is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from lrnn_cli.models.contract import CoordinateModel, use_engine

Span = tuple[int, int]


class Segments(CoordinateModel):
    """Members on overlapping spans of samples, as one map from times (n, 1) to values (n, c).

    It has no head of its own: it is evaluated, never trained as a whole.
    """

    coords_dtype: ClassVar[torch.dtype] = torch.float64

    def __init__(self, members: Sequence[CoordinateModel], spans: Sequence[Span], n_samples: int) -> None:
        """Join members.

        Args:
            members: one network per span.
            spans: first sample and one past the last of each, ascending; neighbours overlap, others do not.
            n_samples: samples of the whole axis, which spans [-1, 1].

        Raises:
            ValueError: when the spans do not cover the axis in this way.
        """
        super().__init__()
        check_spans(spans, n_samples)
        if len(members) != len(spans):
            raise ValueError(f"members: expected one per span ({len(spans)}), got {len(members)}")
        self.members = nn.ModuleList(members)
        self.n_samples = n_samples
        self.spans = tuple(spans)

    def forward(self, coords: Tensor) -> Tensor:
        """Map times (n, 1), best in float64, to values (n, c); beyond the ends the outer members go on."""
        place = (coords[:, 0].double() + 1) * (
            self.n_samples / 2
        )  # in samples: the centre of sample i is i + 1/2
        dtype = next(self.parameters()).dtype
        low, high = float(place.min()), float(place.max())
        total: Tensor | None = None
        last = len(self.spans) - 1
        for k, (member, (start, stop)) in enumerate(zip(self.members, self.spans, strict=True)):
            if (k < last and low >= stop) or (k > 0 and high < start):
                continue
            inside = torch.ones_like(place, dtype=torch.bool)
            inside &= place >= start if k > 0 else inside
            inside &= place < stop if k < last else inside
            own = place[inside]
            local = (2 * own - (start + stop)) / (stop - start)
            values = member(local.to(dtype).unsqueeze(1)) * self._weight(k, own).to(dtype).unsqueeze(1)
            if total is None:
                total = values.new_zeros(len(place), values.shape[1])
            total[inside] += values
        if total is None:
            raise ValueError("coords: expected at least one point")
        return total

    def _weight(self, k: int, place: Tensor) -> Tensor:
        """Return w_k at places inside span k."""
        weight = torch.ones_like(place)
        start, stop = self.spans[k]
        if k > 0:
            end_of_fade = self.spans[k - 1][1]
            weight = weight * _rise((place - start) / (end_of_fade - start))
        if k + 1 < len(self.spans):
            start_of_fade = self.spans[k + 1][0]
            weight = weight * _rise((stop - place) / (stop - start_of_fade))
        return weight

    def use_engine(self, name: str) -> None:
        """Tell the members which engine to use for product layers."""
        for member in self.members:
            use_engine(cast(CoordinateModel, member), name)


def _rise(x: Tensor) -> Tensor:
    """Return sin²(pi x / 2) on [0, 1], 1 beyond; sin²(pi x / 2) + sin²(pi (1 - x) / 2) = 1."""
    return torch.sin(x.clamp(0.0, 1.0) * (math.pi / 2)).square()


def build_segments(
    spans: Sequence[Span], n_samples: int, build_one: Callable[[], CoordinateModel]
) -> CoordinateModel:
    """Return a single network where there are no spans, else one for each span, joined."""
    return Segments([build_one() for _ in spans], spans, n_samples) if spans else build_one()


def check_spans(spans: Sequence[Span], n_samples: int) -> None:
    """Check that spans cover range(n_samples), with overlaps between neighbours only.

    Raises:
        ValueError: when they do not.
    """
    covers = bool(spans) and spans[0][0] == 0 and spans[-1][1] == n_samples
    proper = all(0 <= start < stop <= n_samples for start, stop in spans)
    neighbours = all(b[0] < a[1] and a[0] < b[0] and a[1] < b[1] for a, b in pairwise(spans))
    apart = all(a[1] <= b[0] for a, b in zip(spans, spans[2:], strict=False))
    if not (covers and proper and neighbours and apart):
        raise ValueError(
            f"spans: expected neighbours to overlap and to cover 0 … {n_samples}, got {list(spans)}"
        )
