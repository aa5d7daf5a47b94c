"""From records of runs to rows that may be compared: mean ± deviation, success rates, paired tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lrnn_cli.numerics.statistics import ALPHA, summarise, wilson_interval
from lrnn_cli.studies.collect import RunRecord
from lrnn_cli.studies.fairness import check_comparable, held_equal
from lrnn_cli.studies.labels import label_rows, short
from lrnn_cli.studies.measures import COSTS, MEASURES, Target, shown_measures, time_to
from lrnn_cli.studies.ranking import Figure, Pair, Verdict, rank
from lrnn_cli.studies.siblings import merge_copies


@dataclass
class Cell:
    """Figures of a row in one column.

    Attributes:
        n: runs with a figure.
        mean: of them.
        std: sample standard deviation over seeds and inputs.
        std_seeds: the same within inputs: √(Σ over inputs of squared deviations / (n - inputs)).
        mark: see `ranking.Verdict`.
        p: likewise.
        test: likewise, `sign-flip` or `t`.
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
    records = merge_copies(records)
    rows = [TableRow(label, group[0].model, group) for label, group in label_rows(records).items()]
    check_comparable({row.label: row.records for row in rows})
    facts = held_equal({row.label: row.records for row in rows}, equal)
    machines = list(dict.fromkeys(record.machine for record in records if record.machine))
    one_machine = len(machines) < 2
    fair = one_machine or all(record.limit_s is None for record in records)
    measures = [*shown_measures(records), *(name for name in COSTS if _any(records, name))]
    for name in measures:
        for row in rows:
            row.cells[name] = _cell(row.records, partial(figure, name=name))
        for block in _blocks(rows) if (one_machine if name in COSTS else fair) else ():
            _mark(block, name)
    for target in targets:
        for row in rows:
            row.targets.append(_target_cell(row.records, target))
        for block in _blocks(rows) if fair else ():
            _mark_targets(block, target, one_machine=one_machine)
    inputs = list({record.input_id: record.input_name for record in records}.values())
    seeds = sorted({seed for record in records for _, seed in _pairs(record)})
    table = Table(records[0].kind, inputs, seeds, measures, list(targets), rows, facts, machines, [])
    table.notes = list(_notes(table))
    return table


def _blocks(rows: Sequence[TableRow]) -> list[list[TableRow]]:
    """Return the rows that compete: those of one budget of parameters, or all where a row has no budget.

    A classical method has none and is a rival of networks of every size.
    """
    found: dict[int | None, list[TableRow]] = {}
    for row in rows:
        budget = next((record.budget for record in row.records if record.budget), None)
        found.setdefault(budget, []).append(row)
    return [list(rows)] if None in found else list(found.values())


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


def _mark(rows: Sequence[TableRow], name: str) -> None:
    """Mark the best row of a column and those that the test does not separate from it.

    Only rows with the fewest failures can be best: a mean over the runs that went well is no mean over all.
    """
    upward = MEASURES[name].upward
    if upward is None:
        return
    fewest = min(len(row.failures) for row in rows)
    eligible = [k for k, row in enumerate(rows) if len(row.failures) == fewest]
    values = {k: _by_pair(rows[k].records, partial(figure, name=name)) for k in eligible}
    _apply([row.cells[name] for row in rows], rank(values, upward=upward))


def _mark_targets(rows: Sequence[TableRow], target: Target, *, one_machine: bool) -> None:
    """Mark the best success rate, and among the rows that succeed most often the shortest time."""
    if not any(row.targets[-1].reached for row in rows):
        return
    rates = {
        k: _by_pair(row.records, lambda record: float(time_to(record, target) is not None))
        for k, row in enumerate(rows)
    }
    _apply([row.targets[-1].rate for row in rows], rank(rates, upward=True, exact=True))
    most = max(row.targets[-1].reached / row.n for row in rows)
    leaders = [k for k, row in enumerate(rows) if row.targets[-1].reached / row.n == most]
    for part, comparable in (("seconds", one_machine), ("steps", True)):
        if comparable:
            attribute = "seconds" if part == "seconds" else "step"
            times = {
                k: _by_pair(rows[k].records, partial(_moment, target=target, attribute=attribute))
                for k in leaders
            }
            _apply([getattr(row.targets[-1], part) for row in rows], rank(times, upward=False))


def _moment(record: RunRecord, target: Target, attribute: str) -> float | None:
    return getattr(time_to(record, target), attribute, None)


def _by_pair(records: Sequence[RunRecord], value: Callable[[RunRecord], float | None]) -> dict[Pair, Figure]:
    found = ((record, value(record)) for record in records)
    return {pair: Figure(x, id(record)) for record, x in found if x is not None for pair in _pairs(record)}


def _pairs(record: RunRecord) -> list[Pair]:
    """Return what a run can be paired by: its input with every seed that it stands for."""
    return [(record.input_id, seed) for seed in (record.seed, *record.copies)]


def _apply(cells: Sequence[Cell], verdicts: dict[int, Verdict]) -> None:
    for k, verdict in verdicts.items():
        cells[k].mark, cells[k].p, cells[k].test = verdict.mark, verdict.p, verdict.test


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
    yield from _notes_on_fairness(table)


def _notes_on_fairness(table: Table) -> Iterable[str]:
    """Say in what the runs of the rows are not alike."""
    records = [record for row in table.rows for record in row.records]
    if len(table.machines) > 1:
        told = f"runs of {len(table.machines)} machines or settings of threads: times are not compared"
        if any(record.limit_s is not None for record in records):
            told += (
                ", and no row is called best: a budget of time is more training on a faster machine or with "
                "more threads; run all with one --threads on one machine, in a folder of their own"
            )
        yield told
    same = [row.label for row in table.rows if any(record.copies for record in row.records)]
    if same:
        yield f"{', '.join(same)}: the same result with every seed, which is one run for each input"
    for row in table.rows:
        ways = sorted({" at ".join(map(short, r.training.values())) for r in row.records if r.training})
        if len(ways) > 1:
            yield f"{row.label}: trained by {' and '.join(ways)}, not the same on all inputs"
        engines = sorted({record.engine for record in row.records if record.engine})
        if len(engines) > 1:
            yield f"{row.label}: runs of several engines ({', '.join(engines)}), which agree to rounding"
    done = {frozenset(p for r in row.records if r.ok for p in _pairs(r)) for row in table.rows}
    if len(done) > 1:
        yield (
            "the rows are not complete on the same inputs and seeds: which is best, and the tests, go by "
            "those that all competing rows have; without any, none is called best"
        )


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
