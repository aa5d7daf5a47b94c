"""Several networks in a row: weights that add up to one, exact places, no clicks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.models.segments import Segments, build_segments, check_spans
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.tasks.segments import cut


class Line(CoordinateModel):
    """y = a t + b in a segment's own time, with one parameter so that it has a precision."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.a, self.b = torch.nn.Parameter(torch.tensor(a)), torch.nn.Parameter(torch.tensor(b))

    def forward(self, coords: torch.Tensor) -> torch.Tensor:
        return self.a * coords + self.b


@settings(max_examples=30)
@given(st.integers(8, 2000), st.integers(1, 6), st.integers(0, 400))
def test_cuts_cover_everything_and_fades_add_up(n: int, count: int, fade: int) -> None:
    if n < 4 * count:
        with pytest.raises(ValueError, match="count: expected"):
            cut(n, count, fade)
        return
    spans = cut(n, count, fade)
    check_spans(spans, n)
    ones = Segments([Line(0.0, 1.0) for _ in spans], spans, n)
    values = ones(Grid((n,)).coords_range(0, n, torch.float64))
    torch.testing.assert_close(values, torch.ones(n, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "spans", [[], [(0, 5)], [(0, 6), (6, 10)], [(1, 6), (5, 10)], [(0, 8), (4, 9), (7, 10)]]
)
def test_spans_that_leave_gaps(spans: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="spans: expected"):
        check_spans(spans, 10)
    with pytest.raises(ValueError, match="members: expected"):
        Segments([Line(0.0, 0.0)], [(0, 6), (4, 10)], 10)


def test_members_see_their_part_as_minus_one_to_one() -> None:
    """Away from the fades the local time of sample i of span [a, b) is -1 + (2 (i - a) + 1) / (b - a)."""
    spans = cut(1000, 4, 10)
    model = Segments([Line(1.0, 0.0) for _ in spans], spans, 1000)
    y = model(Grid((1000,)).coords_range(0, 1000, torch.float64)).detach()[:, 0]
    for start, stop in spans:
        i = torch.arange(start + 10, stop - 10)
        torch.testing.assert_close(y[i], -1 + (2 * (i - start) + 1) / (stop - start), rtol=0, atol=1e-6)


def test_a_ramp_through_the_seams_has_no_step() -> None:
    """Members that agree in their overlaps join without a trace."""
    n, spans = 3000, cut(3000, 3, 60)
    members = [Line((b - a) / n, (a + b) / n - 1) for a, b in spans]
    t = Grid((n,)).coords_range(0, n, torch.float64)
    torch.testing.assert_close(Segments(members, spans, n)(t), t.float(), rtol=0, atol=1e-6)


def test_beyond_the_ends_the_outer_members_go_on() -> None:
    spans = cut(100, 2, 4)
    model = Segments([Line(0.0, 1.0), Line(0.0, 2.0)], spans, 100)
    y = model(torch.tensor([[-3.0], [-1.0], [1.0], [3.0]], dtype=torch.float64))
    assert y[:, 0].tolist() == [1, 1, 2, 2]
    with pytest.raises(RuntimeError):
        model(torch.zeros(0, 1))


def test_neighbours_of_a_ten_minute_sound_stay_apart() -> None:
    """At 44.1 kHz the distance of two samples is 7.6e-8 on [-1, 1]; float32 there has steps of 6e-8.

    One network on the whole sees each sample at a time of its own, but unevenly; in segments they are even.
    """
    n = 10 * 60 * 44100
    whole = Grid((n,)).coords_range(n - 4096, n)[:, 0]
    assert torch.unique(whole).numel() == 4096
    steps = np.diff(whole.double().numpy()) * n / 2
    assert steps.max() > 1.4  # uneven
    spans = cut(n, 26, 882)
    m = max(b - a for a, b in spans)
    assert m <= 2**20
    local = Grid((m,)).coords_range(m - 4096, m)[:, 0].double().numpy()
    assert np.abs(np.diff(local) * m / 2 - 1).max() < 0.04

    class Time(Line):
        def forward(self, coords: torch.Tensor) -> torch.Tensor:
            seen.append(coords)
            return coords

    seen: list[torch.Tensor] = []
    model = Segments([Time(0.0, 0.0) for _ in spans], spans, n)
    start, stop = spans[-1]
    model(Grid((n,)).coords_range(n - 4096, n, torch.float64))
    own = Grid((stop - start,)).coords_range(stop - start - 4096, stop - start)
    torch.testing.assert_close(
        seen[-1], own, rtol=0, atol=1.2e-7
    )  # the times of the fit, but for the last bit


def test_building_and_engines() -> None:
    config = config_class("lrnn")(rank=3, dbar=2, depth=1)
    single = build_segments((), 100, lambda: build("lrnn", config, n_inputs=1, n_outputs=2))
    assert not isinstance(single, Segments)
    joined = build_segments(cut(100, 3, 4), 100, lambda: build("lrnn", config, n_inputs=1, n_outputs=2))
    assert isinstance(joined, Segments) and len(joined.members) == 3
    joined.use_engine("fused")
    assert {layer.engine for member in joined.members for layer in member.layers} == {"fused"}
    assert joined(torch.zeros(1, 1, dtype=torch.float64)).shape == (1, 2)
