"""Charts as SVG: well-formed, everything inside the frame, and pixels where the axes say."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.studies.charts import HEIGHT, LEFT, RIGHT, WIDTH, Chart, Series, axis, draw

SVG = "{http://www.w3.org/2000/svg}"


def chart(*series: Series, **more) -> Chart:
    fields = {"key": "k", "title": "T < 1 & more", "caption": "c", "x_label": "x", "y_label": "y"}
    return Chart(**{**fields, **more}, series=series)


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def line_points(text: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'<polyline [^>]*points="([^"]*)"', text)
    return [[tuple(map(float, pair.split(","))) for pair in one.split()] for one in found]


def test_a_chart_is_well_formed_and_says_what_it_is() -> None:
    one = Series("a & b", 0, [0, 1, 2], [1, 4, 9], [0, 3, 8], [2, 5, 10])
    root = parsed(draw(chart(one, dots=True)))
    assert root.get("aria-label") == "T < 1 & more"
    words = ["".join(each.itertext()) for each in root.iter("text")]
    assert {"x", "y", "a & b", "0", "2"} <= set(words)
    assert len(list(root.iter("polygon"))) == 1
    assert len(list(root.iter("circle"))) == 3
    assert [t.text for t in root.iter("title")][-1] == "a & b: 2, 9"


def test_gaps_split_a_curve_and_steps_have_corners() -> None:
    gap = Series("a", 0, [0, 1, 2, 3], [1, 2, math.nan, 3])
    assert [len(piece) for piece in line_points(draw(chart(gap)))] == [2, 1]
    stepped = line_points(draw(chart(Series("a", 0, [0, 1], [0, 1], stepped=True))))[0]
    assert len(stepped) == 3
    assert stepped[1][0] == stepped[2][0]
    assert stepped[1][1] == stepped[0][1]


@settings(max_examples=40)
@given(
    st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=8, unique=True),
    st.lists(st.floats(1e-12, 1e12), min_size=8, max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_nothing_leaves_the_frame(x, y, log_x: bool, log_y: bool) -> None:
    x = sorted(x)
    text = draw(chart(Series("a", 3, x, y[: len(x)]), log_x=log_x, log_y=log_y))
    parsed(text)
    for px, py in line_points(text)[0]:
        assert LEFT <= px <= WIDTH - RIGHT
        assert 0 <= py <= HEIGHT + 20


@settings(max_examples=40)
@given(st.floats(-1e9, 1e9), st.floats(1e-5, 1e9))
def test_axes_are_monotone_and_their_ticks_lie_inside(low: float, part: float) -> None:
    span = max(1e-6, part * abs(low))
    one = axis([low, low + span], 0, 100, log=False)
    ticks = one.ticks()
    assert 2 <= len(ticks) <= 9
    assert all(one.low - 1e-6 * span <= t <= one.high + 1e-6 * span for t in ticks)
    assert one(low) < one(low + span)


@settings(max_examples=40)
@given(st.floats(1e-9, 1e3), st.floats(10, 1e9))
def test_ticks_of_logarithmic_axes_are_round(low: float, factor: float) -> None:
    one = axis([low, low * factor], 0, 100, log=True)
    assert len(one.ticks()) <= 12
    for tick in one.ticks():
        assert re.fullmatch(r"[125]e[+-]\d+", f"{tick:.0e}")


def test_a_logarithmic_axis_within_one_decade_has_enough_ticks() -> None:
    assert axis([200.0, 415.0], 0, 100, log=True).ticks() == [200.0, 250.0, 300.0, 350.0, 400.0, 450.0]


def test_ticks_keep_the_digits_that_tell_them_apart() -> None:
    across, up = (1.1e6, 3.4e6), (1.2e-4, 3.1e-4)
    one = Series("a", 0, across, up)
    text = draw(Chart("k", "t", "c", "x", "y", (one,), log_x=True, log_y=True))
    words = re.findall(r'class="tick"[^>]*>([^<]+)<', text)
    assert {"1.5e6", "2e6", "2.5e6", "1.5e-4", "2e-4", "2.5e-4"} <= set(words)
    assert len(set(words)) == len(words)


def test_axes_without_values() -> None:
    assert (axis([], 0, 1, log=False).low, axis([math.nan], 0, 1, log=False).high) == (0.0, 1.0)
    assert axis([-1.0, 0.0], 0, 1, log=True).high == 10.0
    assert axis([5.0], 0, 1, log=False)(5.0) == pytest.approx(0.5)
    assert axis([0.0], 0, 1, log=False)(0.0) == pytest.approx(0.5)
    assert axis([3.0], 0, 100, log=False, whole=True)(1.0) == 100


def test_the_numbers_of_a_chart_are_those_drawn() -> None:
    one = Series("a", 0, [0.1, 2], [1, math.nan], [0.5, math.nan], [2, math.nan])
    assert chart(one).rows() == [
        ["series", "x", "y", "low", "high"],
        ["a", "0.1", "1.0", "0.5", "2.0"],
        ["a", "2.0", "", "", ""],
    ]


def test_many_series_get_a_legend_of_several_rows_and_dashes() -> None:
    text = draw(chart(*(Series(f"a long name {k}", k, [0, 1], [0, k]) for k in range(12))))
    assert text.count('stroke-dasharray="6 3"') == 8  # four series, each in the legend and in the plot
    height = float(parsed(text).get("viewBox").split()[3])
    assert height > HEIGHT + 30
