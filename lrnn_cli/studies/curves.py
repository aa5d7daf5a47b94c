"""The numbers of a report's figures: success rates, times to targets, quality against time and size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lrnn_cli.numerics.statistics import wilson_interval
from lrnn_cli.studies.charts import Chart, Series
from lrnn_cli.studies.collect import LogPoint, RunRecord
from lrnn_cli.studies.comparison import Table, TableRow
from lrnn_cli.studies.measures import MEASURES, Target, time_to

INSTANTS = 80  # points of a curve over time
_LOGGED = ("psnr_db", "residual", "loss")  # what training logs hold, best first
_LOG_TITLES = {"psnr_db": "PSNR / dB", "residual": "relative residual", "loss": "loss"}


def charts(table: Table) -> list[Chart]:
    """Return the figures that a table's runs give something for.

    Args:
        table: rows with their runs.

    Returns:
        the charts, in the order of the page.
    """
    found = [success_rates(table)] if table.targets else []
    found += [time_to_target(table, target, number) for number, target in enumerate(table.targets)]
    found += [chart for chart in (quality_against_time(table), quality_against_size(table)) if chart]
    return found


def success_rates(table: Table) -> Chart:
    """Return the share of runs that reached each target, with Wilson's 95 % interval.

    Targets of one measure lie on an axis of their values; with several measures they are numbered.
    """
    one_measure = len({target.measure for target in table.targets}) == 1
    order = sorted(range(len(table.targets)), key=lambda k: table.targets[k].value if one_measure else k)
    x = [table.targets[k].value if one_measure else k + 1.0 for k in order]
    series = []
    for colour, row in enumerate(table.rows):
        cells = [row.targets[k] for k in order]
        series.append(
            Series(
                row.label, colour, x, [cell.reached / cell.n for cell in cells],
                [cell.low for cell in cells], [cell.high for cell in cells],
            )
        )  # fmt: skip
    measure = MEASURES[table.targets[0].measure]
    names = ", ".join(f"{k + 1}: {target.text}" for k, target in enumerate(table.targets))
    return Chart(
        key="success",
        title="Success rate",
        caption="Share of all runs, failed ones included, whose final figure reaches the target; "
        "bands: 95 % intervals (Wilson).",
        x_label=f"target, {measure.title}" if one_measure else f"target ({names})",
        y_label="runs that reach it",
        series=tuple(series),
        log_x=one_measure and not measure.upward,
        percent=True,
        dots=True,
    )


def time_to_target(table: Table, target: Target, number: int) -> Chart:
    """Return the share of runs that had reached a target by a time, with Wilson's 95 % interval at each."""
    moments = {id(r): at.seconds for row in table.rows for r in row.records if (at := time_to(r, target))}
    last = max((r.train_s for row in table.rows for r in row.records if r.train_s), default=1.0)
    series = []
    for colour, row in enumerate(table.rows):
        times = sorted(s for record in row.records if (s := moments.get(id(record))) is not None)
        x = [0.0, *times, max([last, *times])]
        counts = [0, *range(1, len(times) + 1), len(times)]
        bands = [wilson_interval(count, row.n) for count in counts]
        series.append(
            Series(
                row.label, colour, x, [count / row.n for count in counts],
                [low for low, _ in bands], [high for _, high in bands], stepped=True,
            )
        )  # fmt: skip
    return Chart(
        key=f"time-to-target-{number + 1}",
        title=f"Time to {target.text}",
        caption="Share of all runs that had reached the target by that time of training; those that never "
        "did, failed ones included, keep the curve below 100 %. Bands: 95 % intervals (Wilson) at each time.",
        x_label="time of training / s",
        y_label=f"runs at {target.text}",
        series=tuple(series),
        percent=True,
    )


def quality_against_time(table: Table) -> Chart | None:
    """Return the mean of the logged measure against time over the runs of a row, with its 95 % interval.

    Only runs that ended well and logged the measure are in it. A run that ended early, having reached its
    goal, keeps its last figure. The band is the mean ± t(n-1) s/√n over runs: it speaks of these inputs and
    seeds taken together.
    """
    records = [record for row in table.rows for record in row.records if record.ok]
    key = next((name for name in _LOGGED if any(_points(r.log, name) for r in records)), None)
    if key is None:
        return None
    moments = [seconds for record in records for seconds, _ in _points(record.log, key)]
    first, last = min(moments), max(moments)
    times = np.linspace(max(0.0, first), max(last, first + 1e-9), INSTANTS)
    series = []
    missing = 0
    for colour, row in enumerate(table.rows):
        logs = [points for record in row.records if record.ok and (points := _points(record.log, key))]
        curves = [_held(points, times) for points in logs]
        missing += row.n - len(curves)
        if curves:
            series.append(_mean_curve(row.label, colour, times, np.array(curves), log=key != "psnr_db"))
    which = "1 run" if missing == 1 else f"{missing} runs"
    left_out = f" Without {which} that failed or logged no such figure." if missing else ""
    return Chart(
        key="quality-time",
        title=f"{_LOG_TITLES[key]} against time",
        caption="Mean over inputs and seeds of the figure in the training log (running mean over batches, "
        f"before the last least-squares solution); bands: 95 % intervals of the mean (Student).{left_out}",
        x_label="time of training / s",
        y_label=_LOG_TITLES[key],
        series=tuple(series),
        log_y=key != "psnr_db",
    )


def _points(log: Sequence[LogPoint], key: str) -> list[tuple[float, float]]:
    """Return times and values of a logged figure."""
    return [(point.seconds, point.values[key]) for point in log if key in point.values]


def _held(points: Sequence[tuple[float, float]], times: np.ndarray) -> np.ndarray:
    """Return a logged figure at given times: that of the last record before; NaN before the first."""
    seconds = np.array([s for s, _ in points])
    values = np.array([np.nan, *(v for _, v in points)])
    return values[np.searchsorted(seconds, times, side="right")]


def _mean_curve(name: str, colour: int, x: np.ndarray, curves: np.ndarray, *, log: bool) -> Series:
    """Return the mean of curves, geometric on a logarithmic axis, where all of them have a value.

    Args:
        name: of the series.
        colour: of the series.
        x: positions, shape (n,).
        curves: values, shape (runs, n).
        log: average logarithms.
    """
    from scipy import stats

    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.log(curves) if log else curves
    n = len(values)
    mean = values.mean(axis=0)
    if n < 2:
        low = high = np.array([])
    else:
        half = stats.t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / math.sqrt(n)
        low, high = mean - half, mean + half
    undo = np.exp if log else np.asarray
    return Series(name, colour, x.tolist(), undo(mean).tolist(), undo(low).tolist(), undo(high).tolist())


def quality_against_size(table: Table) -> Chart | None:
    """Return the final figure against the number of parameters, where models were run in several sizes.

    Rows that differ in size alone, such as `lrnn params=1k` and `lrnn params=2k`, are one curve.
    """
    name = next((m for m in table.measures if MEASURES[m].upward is not None), None)
    curves: dict[str, list[TableRow]] = {}
    for row in table.rows:
        if row.params:
            curves.setdefault(_without_size(row), []).append(row)
    if name is None or all(len(rows) < 2 for rows in curves.values()):
        return None
    upward = MEASURES[name].upward
    series = []
    for colour, (label, rows) in enumerate(curves.items()):
        rows = sorted(rows, key=lambda row: row.params)
        one = [_spread(row.records, name, log=not upward) for row in rows]
        series.append(
            Series(
                label, colour, [sum(row.params) / 2 for row in rows], [mean for mean, _, _ in one],
                [low for _, low, _ in one], [high for _, _, high in one],
            )
        )  # fmt: skip
    title = MEASURES[name].title
    return Chart(
        key="quality-size",
        title=f"{title} against the number of parameters",
        caption="Mean over inputs and seeds of the final figure of the runs that ended well; bands: smallest "
        "to largest.",
        x_label="parameters",
        y_label=title,
        series=tuple(series),
        log_x=True,
        log_y=not upward,
        dots=True,
    )


def _without_size(row: TableRow) -> str:
    sizes = ("params=", "model.params=", "rank=", "width=", "model.rank=", "model.width=")
    return " ".join(word for word in row.label.split() if not word.startswith(sizes)) or row.model


def _spread(records: Sequence[RunRecord], name: str, *, log: bool) -> tuple[float, float, float]:
    found = [r.metrics[name] for r in records if r.ok and math.isfinite(r.metrics.get(name, math.nan))]
    if not found or (log and min(found) <= 0):
        return math.nan, math.nan, math.nan
    mean = math.exp(sum(map(math.log, found)) / len(found)) if log else sum(found) / len(found)
    return mean, min(found), max(found)
