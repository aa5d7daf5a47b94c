"""The numbers of the figures: against counting by hand, and laws that every curve obeys."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lrnn_cli.numerics.statistics import wilson_interval
from lrnn_cli.studies.collect import LogPoint
from lrnn_cli.studies.comparison import compare
from lrnn_cli.studies.curves import (
    charts,
    quality_against_size,
    quality_against_time,
    success_rates,
    time_to_target,
)
from lrnn_cli.studies.measures import parse_targets
from tests.studies.records import record, some


def table(targets: str = "28,30", records=None):
    return compare(records or some(), parse_targets(targets) if targets else [])


def series(chart, name: str):
    return next(one for one in chart.series if one.name == name)


def test_success_rates_count_the_killed_run_as_a_failure() -> None:
    chart = success_rates(table("30,28"))
    siren = series(chart, "siren <fast>")
    assert list(siren.x) == [28.0, 30.0]
    assert list(siren.y) == [1 / 4, 0.0]
    assert (siren.low[0], siren.high[0]) == wilson_interval(1, 4)
    assert list(series(chart, "lrnn").y) == [1.0, 3 / 4]


def test_targets_of_several_measures_are_numbered() -> None:
    chart = success_rates(table("30,ssim=0.79"))
    assert list(chart.series[0].x) == [1.0, 2.0]
    assert chart.x_label == "target (1: 30 dB, 2: ssim=0.79)"


def test_the_share_of_runs_at_a_target_by_a_time() -> None:
    compared = table("28")
    chart = time_to_target(compared, compared.targets[0], 0)
    lrnn = series(chart, "lrnn")
    assert list(lrnn.x) == [0.0, 9.0, 9.0, 9.0, 9.0, 20.0]  # 10 dB + 2 dB/s reach 28 dB after 9 s
    assert list(lrnn.y) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert list(series(chart, "siren <fast>").y) == [0.0, 0.25, 0.25]
    for one in chart.series:
        assert all(low <= y <= high for low, y, high in zip(one.low, one.y, one.high, strict=True))


def test_quality_against_time_is_the_mean_with_students_interval() -> None:
    chart = quality_against_time(table())
    assert chart is not None
    assert chart.caption.endswith(" Without 1 run that failed or logged no such figure.")
    lrnn = series(chart, "lrnn")
    assert lrnn.y[-1] == pytest.approx(30.5, abs=1e-12)
    half = stats.t.ppf(0.975, 3) * np.std([31.0, 33.0, 28.0, 30.0], ddof=1) / 2
    assert lrnn.high[-1] - lrnn.y[-1] == pytest.approx(half, rel=1e-12)
    middle = np.searchsorted(lrnn.x, 4.9)
    assert lrnn.y[middle] == pytest.approx(10 + 2 * math.floor(2 * lrnn.x[middle]) / 2, abs=1e-12)


def test_a_run_that_ended_early_keeps_its_figure() -> None:
    short = dataclasses.replace(record("m", "a.png", 0, 12.0), log=(LogPoint(1.0, 1, {"psnr_db": 12.0}),))
    chart = quality_against_time(table("", [short, record("m", "a.png", 1, 20.0)]))
    assert chart is not None
    assert chart.series[0].y[-1] == pytest.approx(16.0)
    assert math.isnan(chart.series[0].y[0])  # before the first record of the first run


def test_failed_runs_and_odd_logs_are_counted_and_not_averaged() -> None:
    """A run that diverged has a log, too, that says nothing of its end; one log has another measure."""
    diverged = dataclasses.replace(record("m", "a.png", 2, 90.0), status="failed", reason="the fit diverged")
    odd = dataclasses.replace(record("m", "a.png", 3, 9.0), log=(LogPoint(99.0, 1, {"loss": 0.1}),))
    chart = quality_against_time(
        table("", [record("m", "a.png", 0, 20.0), record("m", "a.png", 1, 22.0), diverged, odd])
    )
    assert chart is not None
    assert (chart.series[0].x[-1], chart.series[0].y[-1]) == (20.0, pytest.approx(21.0))
    assert chart.caption.endswith(" Without 2 runs that failed or logged no such figure.")
    assert quality_against_time(table("", [diverged])) is None


def test_on_a_logarithmic_axis_the_mean_is_geometric() -> None:
    runs = [
        dataclasses.replace(record("m", "a.png", k, 9.0), log=(LogPoint(1.0, 1, {"residual": r}),))
        for k, r in enumerate((1e-2, 1e-6))
    ]
    chart = quality_against_time(table("", runs))
    assert chart is not None
    assert chart.log_y
    assert chart.series[0].y[-1] == pytest.approx(1e-4)


def test_without_logs_there_is_no_curve() -> None:
    bare = [dataclasses.replace(one, log=()) for one in some()]
    assert quality_against_time(table(records=bare)) is None


def test_sizes_of_one_model_are_one_curve() -> None:
    runs = [
        record(f"{model} params={n}", "a.png", seed, psnr + seed, params=n)
        for model, psnr in (("lrnn", 30.0), ("siren", 25.0))
        for n in (2000, 1000)
        for seed in (0, 1)
    ]
    chart = quality_against_size(table("", runs))
    assert chart is not None
    assert [one.name for one in chart.series] == ["lrnn", "siren"]
    assert list(chart.series[0].x) == [1000, 2000]
    assert (chart.series[1].y[0], chart.series[1].low[0], chart.series[1].high[0]) == (25.5, 25.0, 26.0)
    assert quality_against_size(table()) is None


def test_a_model_without_figures_leaves_a_gap() -> None:
    runs = [record(f"lrnn params={n}", "a.png", 0, psnr, params=n) for n, psnr in ((1, 20.0), (2, math.inf))]
    chart = quality_against_size(table("", runs))
    assert chart is not None
    assert math.isnan(chart.series[0].y[1])


def test_what_there_is_something_for_is_drawn() -> None:
    assert [chart.key for chart in charts(table("28,30"))] == [
        "success", "time-to-target-1", "time-to-target-2", "quality-time",
    ]  # fmt: skip
    assert [chart.key for chart in charts(table(""))] == ["quality-time"]


@settings(max_examples=30)
@given(st.lists(st.one_of(st.none(), st.floats(10, 60)), min_size=2, max_size=12), st.floats(12, 58))
def test_curves_to_a_target_rise_from_0_to_the_success_rate(figures, goal: float) -> None:
    runs = [record("m", "a.png", k, psnr) for k, psnr in enumerate([30.0, *figures])]
    compared = table(f"{goal:g}", runs)
    curve = time_to_target(compared, compared.targets[0], 0).series[0]
    assert curve.y[0] == 0
    assert all(a <= b for a, b in zip(curve.y, curve.y[1:], strict=False))
    assert all(a <= b for a, b in zip(curve.x, curve.x[1:], strict=False))
    assert curve.y[-1] == success_rates(compared).series[0].y[0]
