"""From records of runs to rows that may be compared: mean ± deviation, success rates, paired tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lrnn_cli.numerics.statistics import (
    ALPHA,
    PairedTest,
    holm,
    paired_test,
    summarise,
    wilson_interval,
)
from lrnn_cli.studies.collect import RunRecord
from lrnn_cli.studies.fairness import check_comparable, held_equal
from lrnn_cli.studies.labels import label_rows
from lrnn_cli.studies.measures import COSTS, MEASURES, Target, shown_measures, time_to

Pair = tuple[str, int]  # input and seed: what runs of two models have in common


@dataclass
class Cell:
    """Figures of a row in one column.

    Attributes:
        n: runs with a figure.
        mean: of them.
        std: sample standard deviation over seeds and inputs.
        std_seeds: the same within inputs: √(Σ over inputs of squared deviations / (n - inputs)).
        mark: `best`; `tied` when the test does not separate it from the best; `untested` when there were
            too few pairs for a test; else empty.
        p: of the paired test against the best, corrected for all pairs of rows.
        test: its name, `sign-flip` or `t`.
    """

    n: int
    mean: float | None
    std: float | None
    std_seeds: float | None = None
    mark: str = ""
    p: float | None = None
    test: str | None = None


@dataclass
class TargetCell:
    """How a row did on one target.

    Attributes:
        reached: runs that reached it.
        n: runs, failed ones included.
        low: lower end of Wilson's 95 % interval of the success rate.
        high: upper end.
        rate: mark and test of the success rate; its mean is the rate.
        seconds: time to the target of the runs that reached it.
        steps: steps to the target of the same.
        at_least_s: mean time with the whole training time counted for a run that did not: a lower bound.
    """

    reached: int
    n: int
    low: float
    high: float
    rate: Cell
    seconds: Cell
    steps: Cell
    at_least_s: float | None


@dataclass
class TableRow:
    """One model, or one setting of it, over all inputs and seeds."""

    label: str
    model: str
    records: list[RunRecord]
    cells: dict[str, Cell] = field(default_factory=dict)
    targets: list[TargetCell] = field(default_factory=list)

    @property
    def n(self) -> int:
        """Runs, failed ones included."""
        return len(self.records)

    @property
    def failures(self) -> list[RunRecord]:
        """The runs that did not end well."""
        return [record for record in self.records if not record.ok]

    @property
    def params(self) -> list[int]:
        """Smallest and largest number of parameters; empty when no run came so far."""
        found = sorted({record.params for record in self.records if record.params is not None})
        return [found[0], found[-1]] if found else []


@dataclass
class Table:
    """Rows that may be compared with each other.

    Attributes:
        kind: of the inputs.
        inputs: their names.
        seeds: all seeds.
        measures: columns of quality, then of cost.
        targets: what is to be reached.
        rows: the models.
        equal: what is held equal, in words.
        machines: where the runs were made.
        notes: what a reader has to know.
    """

    kind: str
    inputs: list[str]
    seeds: list[int]
    measures: list[str]
    targets: list[Target]
    rows: list[TableRow]
    equal: list[str]
    machines: list[str]
    notes: list[str]


def compare(
    records: Sequence[RunRecord], targets: Sequence[Target] = (), *, equal: Iterable[str] = ()
) -> Table:
    """Put runs of the same inputs into one table.

    Args:
        records: of one kind; runs with the same settings are repetitions and share a row.
        targets: what is to be reached.
        equal: what must be equal: any of params, time, steps.

    Returns:
        the table, rows in the order in which their first run was given.

    Raises:
        InputError: when the runs are of different kinds or inputs, or a run is there twice.
        ConfigError: when what must be equal is not.
    """
    rows = [TableRow(label, group[0].model, group) for label, group in label_rows(records).items()]
    check_comparable({row.label: row.records for row in rows})
    facts = held_equal({row.label: row.records for row in rows}, equal)
    machines = list(dict.fromkeys(record.machine for record in records if record.machine))
    measures = [*shown_measures(records), *(name for name in COSTS if _any(records, name))]
    for name in measures:
        for row in rows:
            row.cells[name] = _cell(row.records, partial(figure, name=name))
        for block in _blocks(rows):
            _mark(block, name, one_machine=len(machines) < 2)
    for target in targets:
        for row in rows:
            row.targets.append(_target_cell(row.records, target))
        for block in _blocks(rows):
            _mark_targets(block, target, one_machine=len(machines) < 2)
    inputs = list(dict.fromkeys(record.input_name for record in records))
    seeds = sorted({record.seed for record in records})
    table = Table(records[0].kind, inputs, seeds, measures, list(targets), rows, facts, machines, [])
    table.notes = list(_notes(table))
    return table


def _blocks(rows: Sequence[TableRow]) -> list[list[TableRow]]:
    """Return the rows by budget of parameters: only models of one size compete."""
    found: dict[int | None, list[TableRow]] = {}
    for row in rows:
        found.setdefault(row.records[0].budget, []).append(row)
    return list(found.values())


def figure(record: RunRecord, name: str) -> float | None:
    """Return a figure of a run; None when it has none, or did not end well and the figure is no result."""
    if name == "peak_mb":
        return record.peak_mb
    if name == "ms_per_step":
        return None if record.s_per_step is None else 1e3 * record.s_per_step
    if not record.ok:
        return None
    return record.train_s if name == "train_s" else record.metrics.get(name)


def _any(records: Sequence[RunRecord], name: str) -> bool:
    return any(figure(record, name) is not None for record in records)


def _cell(records: Sequence[RunRecord], value: Callable[[RunRecord], float | None]) -> Cell:
    by_input: dict[str, list[float]] = {}
    for record in records:
        if (found := value(record)) is not None:
            by_input.setdefault(record.input_id, []).append(found)
    values = [x for group in by_input.values() for x in group]
    total = summarise(values)
    cell = Cell(total.n, total.mean, total.std)
    freedom = total.n - len(by_input)
    if total.std is not None and freedom > 0:
        parts = [summarise(group) for group in by_input.values()]
        squares = sum(part.std**2 * (part.n - 1) for part in parts if part.std is not None)
        cell.std_seeds = math.sqrt(squares / freedom)
    return cell


def _target_cell(records: Sequence[RunRecord], target: Target) -> TargetCell:
    found = {id(record): time_to(record, target) for record in records}
    reached = sum(each is not None for each in found.values())
    low, high = wilson_interval(reached, len(records))

    def seconds(record: RunRecord) -> float | None:
        at = found[id(record)]
        return None if at is None else at.seconds

    def step(record: RunRecord) -> float | None:
        at = found[id(record)]
        return None if at is None else at.step

    spent = [seconds(r) if found[id(r)] is not None else r.train_s for r in records]
    known = [each for each in spent if each is not None]
    at_least = summarise(known).mean if len(known) == len(records) else None
    rate = _cell(records, lambda record: float(found[id(record)] is not None))
    times, steps = _cell(records, seconds), _cell(records, step)
    return TargetCell(reached, len(records), low, high, rate, times, steps, at_least)


def _mark(rows: Sequence[TableRow], name: str, *, one_machine: bool) -> None:
    """Mark the best row of a column and those that the test does not separate from it.

    Only rows with the fewest failures can be best: a mean over the runs that went well is no mean over all.
    Costs of several machines are not compared.
    """
    upward = MEASURES[name].upward
    if upward is None or (name in COSTS and not one_machine):
        return
    fewest = min((len(row.failures) for row in rows), default=0)
    eligible = [k for k, row in enumerate(rows) if len(row.failures) == fewest]
    values = {k: _by_pair(rows[k].records, lambda record: figure(record, name)) for k in eligible}
    _mark_column([row.cells[name] for row in rows], values, upward)


def _mark_targets(rows: Sequence[TableRow], target: Target, *, one_machine: bool) -> None:
    """Mark the best success rate, and among the rows that succeed most often the shortest time."""
    if not any(row.targets[-1].reached for row in rows):
        return
    rates = {
        k: _by_pair(row.records, lambda record: float(time_to(record, target) is not None))
        for k, row in enumerate(rows)
    }
    _mark_column([row.targets[-1].rate for row in rows], rates, True, exact=True)
    most = max(row.targets[-1].reached / row.n for row in rows)
    leaders = [k for k, row in enumerate(rows) if row.targets[-1].reached / row.n == most]
    for part, comparable in (("seconds", one_machine), ("steps", True)):
        if comparable:
            cells = [getattr(row.targets[-1], part) for row in rows]
            attribute = "seconds" if part == "seconds" else "step"
            times = {
                k: _by_pair(rows[k].records, partial(_moment, target=target, attribute=attribute))
                for k in leaders
            }
            _mark_column(cells, times, False)


def _moment(record: RunRecord, target: Target, attribute: str) -> float | None:
    return getattr(time_to(record, target), attribute, None)


def _by_pair(records: Sequence[RunRecord], value: Callable[[RunRecord], float | None]) -> dict[Pair, float]:
    found = {(record.input_id, record.seed): value(record) for record in records}
    return {pair: x for pair, x in found.items() if x is not None}


def _mark_column(
    cells: Sequence[Cell], values: dict[int, dict[Pair, float]], upward: bool, *, exact: bool = False
) -> None:
    """Mark a column: `values` holds the figures, by input and seed, of the rows that may be best.

    The best row is known only from the figures that are tested, so that p is corrected for all pairs of rows:
    whichever of them turned out best, the claims about it hold together at `ALPHA`.
    """
    sign = 1.0 if upward else -1.0
    means = {k: mean for k in values if (mean := cells[k].mean) is not None}
    if len(means) < 2:
        return
    best = max(means, key=lambda k: sign * means[k])
    cells[best].mark = "best"
    pairs = list(itertools.combinations(means, 2))
    tests = {pair: _test(values, *pair, exact=exact, tests=len(pairs)) for pair in pairs}
    known = {pair: test.p for pair, test in tests.items() if test is not None and test.p is not None}
    corrected = dict(zip(known, holm(list(known.values())), strict=True))
    for k in means:
        if k == best:
            continue
        if means[k] == means[best]:  # infinite ones, too
            cells[k].mark, cells[k].p = "tied", 1.0
            continue
        pair = (min(k, best), max(k, best))
        test = tests[pair]
        if test is None:  # one is exact and the other is not: no noise in that
            continue
        if pair not in corrected:
            cells[k].mark = "untested"
            continue
        cells[k].test, cells[k].p = test.method, corrected[pair]
        cells[k].mark = "tied" if corrected[pair] > ALPHA else ""


def _test(
    values: dict[int, dict[Pair, float]], i: int, j: int, *, exact: bool, tests: int
) -> PairedTest | None:
    """Test two rows on the inputs and seeds that they share; None where a figure is infinite."""
    common = sorted(values[i].keys() & values[j].keys())
    a, b = [values[i][pair] for pair in common], [values[j][pair] for pair in common]
    if not all(map(math.isfinite, [*a, *b])):
        return None
    return paired_test(a, b, exact=exact, tests=tests)


def _notes(table: Table) -> Iterable[str]:
    """Say what a reader has to know, one sentence each."""
    cells = [cell for row in table.rows for cell in _all_cells(row)]
    methods = sorted({cell.test for cell in cells if cell.test})
    names = {"sign-flip": "exact sign-flip test", "t": "paired t test (few or very many pairs)"}
    if len(table.rows) > 1 and methods:
        told = " or ".join(names[method] for method in methods)
        yield (
            f"within noise: not separated from the best at {ALPHA:g} by a two-sided {told} over pairs of the "
            "same input and seed, corrected for all pairs of rows in a column (Holm), since the same figures "
            "say which row is best; columns are not corrected for each other"
        )
    if any(cell.mark == "untested" for cell in cells):
        yield "fewer than two pairs of the same input and seed: no test is possible, differences may be noise"
    if table.targets:
        yield (
            "success: share of all runs, failed ones included, whose final figure reaches the target, with "
            "Wilson's 95 % interval; time and steps: mean over the runs that reached it, by the training log"
        )
    for row in table.rows:
        for record in row.failures:
            yield (
                f"{row.label}, {record.input_name}, seed {record.seed}: {record.status} ({record.reason}); "
                "counted as a failure, its figures are in no mean but those of ms/step and memory"
            )
    if len(table.machines) > 1:
        yield f"runs of {len(table.machines)} machines or settings of threads: times are not compared"
    counts = {row.n for row in table.rows}
    if len(counts) > 1:
        yield "the rows have different numbers of runs; tests use the pairs that two rows share"


def _all_cells(row: TableRow) -> Iterable[Cell]:
    yield from row.cells.values()
    for target in row.targets:
        yield from (target.rate, target.seconds, target.steps)


def as_dict(table: Table) -> dict[str, Any]:
    """Return a table as JSON-able values, every figure in full."""
    return {
        "kind": table.kind,
        "inputs": table.inputs,
        "seeds": table.seeds,
        "held_equal": table.equal,
        "machines": table.machines,
        "alpha": ALPHA,
        "targets": [vars(target) for target in table.targets],
        "rows": [_row_dict(row) for row in table.rows],
        "notes": table.notes,
    }


def _row_dict(row: TableRow) -> dict[str, Any]:
    return {
        "label": row.label,
        "model": row.model,
        "params": row.params,
        "runs": row.n,
        "failed": len(row.failures),
        "measures": {name: vars(cell) for name, cell in row.cells.items()},
        "targets": [
            {**vars(t), **{name: vars(getattr(t, name)) for name in ("rate", "seconds", "steps")}}
            for t in row.targets
        ],
        "folders": [str(record.folder) for record in row.records],
    }
