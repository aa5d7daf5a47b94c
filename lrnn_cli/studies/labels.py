"""Which runs are repetitions of one another, and what their row is called."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrnn_cli.studies.collect import RunRecord
from lrnn_cli.studies.jobs import digest


def label_rows(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Group runs by model and settings, optimiser and learning rate among them.

    A row is called as the study calls it, else by its model; where the same name stands for several settings,
    as for runs of two comparisons, these are rows of their own and say what tells them apart.

    Returns:
        label → runs, in the order of their first run.
    """
    groups = sorted(_groups(records), key=lambda group: records.index(group[0]))
    labels = []
    for first, *_ in groups:
        name = first.label or first.model
        siblings = [other[0] for other in groups if (other[0].label or other[0].model) == name]
        labels.append(_describe(name, first, siblings))
    found: dict[str, list[RunRecord]] = {}
    for label, group in zip(labels, groups, strict=True):
        if labels.count(label) > 1:  # their first settings are the same, others, for other inputs, are not
            label = f"{label} ({group[0].origin})"
        found[label if label not in found else f"{label} ({group[0].variant[:6]})"] = group
    return found


def _groups(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Return the runs of each row.

    Runs without a label are repetitions when model and settings are the same. Optimiser and rate that were
    left to the command may differ between inputs, but not on one input. A label names a row of one
    study or comparison: there the settings may differ between inputs, as they do after tuning, but not on
    one input. Rows of several studies are one when they hold the same settings.
    """
    plain: dict[str, list[RunRecord]] = {}
    labelled: dict[str, dict[Path, list[RunRecord]]] = {}
    for record in records:
        if record.label:
            labelled.setdefault(record.label, {}).setdefault(record.origin, []).append(record)
        else:
            plain.setdefault(record.variant, []).append(record)
    found = [part for runs in plain.values() for part in _split(runs)]
    for origins in labelled.values():
        rows: dict[frozenset[str], list[RunRecord]] = {}
        for group in (part for runs in origins.values() for part in _split(runs)):
            rows.setdefault(_variants(group), []).extend(group)
        lost = rows.pop(frozenset(), [])  # crashed before they wrote down their settings
        if lost and rows:
            next(iter(rows.values())).extend(lost)
        elif lost:
            rows[frozenset()] = lost
        found += rows.values()
    return found


def _split(runs: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Return the runs of a row, apart by how they were fitted where one input has several ways."""
    variants: dict[str, set[str]] = {}
    for record in runs:
        if record.settings:
            variants.setdefault(record.input_id, set()).add(_way(record))
    if all(len(each) == 1 for each in variants.values()):
        return [list(runs)]
    parts: dict[str, list[RunRecord]] = {}
    for record in runs:
        parts.setdefault(_way(record) if record.settings else "", []).append(record)
    return list(parts.values())


def _variants(runs: Sequence[RunRecord]) -> frozenset[str]:
    return frozenset(_way(record) for record in runs if record.settings)


def _way(record: RunRecord) -> str:
    return digest([record.variant, record.training])


def _describe(name: str, record: RunRecord, siblings: Sequence[RunRecord]) -> str:
    """Name a setting by what tells it from the others of that name."""
    flat = [_told(each) for each in siblings]
    mine = _told(record)
    keys = [key for key in mine if any(other.get(key) != mine[key] for other in flat)]
    return " ".join([name, *(f"{key.rpartition('.')[2]}={short(mine[key])}" for key in keys)])


def _told(record: RunRecord) -> dict[str, Any]:
    """Return the settings with optimiser and rate as they came out, by dotted names."""
    return _flatten(record.settings) | {f"fit.{key}": value for key, value in record.training.items()}


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flatten(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def short(value: Any) -> str:
    """Write the value of a setting as a label has it."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
