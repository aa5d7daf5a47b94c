"""Whether runs may stand in one table, and what is equal among them."""

from collections.abc import Iterable, Mapping, Sequence

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.studies.collect import RunRecord

EQUAL = ("params", "time", "steps")
PARAMS_SPREAD = 0.05  # numbers of parameters that differ by less are called equal
TIME_SPREAD = 0.1  # the same for the time of training: a last step or solution may end late

Rows = Mapping[str, Sequence[RunRecord]]


def check_comparable(rows: Rows) -> None:
    """Refuse a table of unlike things.

    Raises:
        InputError: when figures have different units, rows are of different inputs, or a run is there twice.
    """
    records = [record for runs in rows.values() for record in runs]
    units: dict[str, str] = {}
    for record in records:
        if record.ok:
            units.setdefault(record.convention, record.input_name)
    if len(units) > 1 or len({record.kind for record in records}) > 1:
        kinds = dict.fromkeys(units or (record.kind for record in records))
        told = "; ".join(f"{units[kind]} ({kind})" if kind in units else kind for kind in kinds)
        raise InputError(f"mixed units in one table: {told}; --by-input makes a table for each input")
    names = {record.input_id: record.input_name for record in records}
    first, *others = rows
    inputs = {label: {record.input_id for record in runs} for label, runs in rows.items()}
    for label in others:
        if inputs[label] != inputs[first]:
            odd = inputs[label] ^ inputs[first]
            told = ", ".join(sorted({names[each] for each in odd}))
            raise InputError(
                f"mixed inputs in one table: {first} and {label} are not runs of the same inputs ({told} is "
                f"only in one of them, or was read another way); --by-input makes a table for each input"
            )
    for label, runs in rows.items():
        seen: dict[tuple[str, int], RunRecord] = {}
        for record in runs:
            twin = seen.setdefault((record.input_id, record.seed), record)
            if twin is not record:
                same = "model, settings" if record.variant == twin.variant else "row of the table"
                raise InputError(
                    f"{record.folder}: the same {same}, input and seed as {twin.folder} "
                    f"({label}, seed {record.seed}); leave one of them out"
                )


def held_equal(rows: Rows, wanted: Iterable[str] = ()) -> list[str]:
    """Say what is equal among the rows, from what the runs recorded.

    Args:
        rows: label → runs.
        wanted: what must be equal: any of `EQUAL`.

    Returns:
        a phrase for each of them.

    Raises:
        ConfigError: when something must be equal and is not, or cannot be.
    """
    ended = [record for runs in rows.values() for record in runs if record.ok]
    records = [record for record in ended if record.params is not None] or ended  # the networks, if any
    facts = {
        name: fact
        for name, fact in (
            ("params", _equal_params(records)),
            ("time", _equal_time(records)),
            ("steps", _equal_steps(records)),
        )
        if fact
    }
    for name in wanted:
        if name not in EQUAL:
            raise ConfigError(f"--equal {name}: expected {', '.join(EQUAL)}")
        if name not in facts and records:
            raise ConfigError(f"--equal {name}: {_unequal(name, rows)}")
    return list(facts.values())


def _equal_params(records: Sequence[RunRecord]) -> str:
    """Compare the parameters within each input and budget: these may differ, models must not."""
    spread = 0.0
    budgets = {record.budget for record in records if record.budget}
    groups: dict[tuple[str, int | None], list[int]] = {}
    for record in records:
        if record.params:
            groups.setdefault((record.input_id, record.budget), []).append(record.params)
    for counts in groups.values():
        spread = max(spread, max(counts) / min(counts) - 1)
    if budgets and all(record.budget for record in records):
        told = ", ".join(map(str, sorted(budgets)))
        return f"budget of parameters ({told}; whole widths come within {100 * spread:.1f} % of each other)"
    return f"parameters (within {100 * spread:.1f} %)" if groups and spread <= PARAMS_SPREAD else ""


def _equal_time(records: Sequence[RunRecord]) -> str:
    if len({record.machine for record in records}) > 1:  # whose seconds are not worth the same
        return ""
    limits = {record.limit_s for record in records}
    spent = [record.train_s for record in records if record.train_s]
    alike = len(spent) == len(records) and bool(spent) and max(spent) / min(spent) - 1 <= TIME_SPREAD
    if len(limits) == 1 and None not in limits:
        used = f", {min(spent):.1f} to {max(spent):.1f} s of it used" if spent and not alike else ""
        return f"time of training ({records[0].limit_s:g} s each{used})"
    if alike and len(spent) > 1:
        return f"time of training ({min(spent):.1f} to {max(spent):.1f} s)"
    return ""


def _equal_steps(records: Sequence[RunRecord]) -> str:
    done = {record.steps for record in records}
    return f"steps ({records[0].steps} each)" if len(done) == 1 and None not in done else ""


def _unequal(name: str, rows: Rows) -> str:
    machines = sorted({record.machine for runs in rows.values() for record in runs if record.machine})
    if name == "time" and len(machines) > 1:
        return f"runs of {len(machines)} machines or settings of threads: {'; '.join(machines)}"
    attribute = {"params": "params", "time": "train_s", "steps": "steps"}[name]
    unit = {"params": "parameters", "time": "s", "steps": "steps"}[name]
    told = []
    for label, runs in rows.items():
        values = [v for record in runs if record.ok and (v := getattr(record, attribute)) is not None]
        if values:
            told.append(f"{label} {min(values):g} to {max(values):g}" if len(set(values)) > 1 else
                        f"{label} {values[0]:g}")  # fmt: skip
    return f"these runs differ: {', '.join(told)} {unit}"
