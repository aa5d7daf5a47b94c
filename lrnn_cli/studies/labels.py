"""Which runs are repetitions of one another, and what their row is called."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrnn_cli.studies.collect import RunRecord


def label_rows(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Group runs by model and settings.

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

    Runs without a label are repetitions when model and settings are the same. A label names a row of one
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
    found = list(plain.values())
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
    """Return the runs of a label in one folder, apart by their settings where one input has several."""
    variants: dict[str, set[str]] = {}
    for record in runs:
        if record.settings:
            variants.setdefault(record.input_id, set()).add(record.variant)
    if all(len(each) == 1 for each in variants.values()):
        return [list(runs)]
    parts: dict[str, list[RunRecord]] = {}
    for record in runs:
        parts.setdefault(record.variant if record.settings else "", []).append(record)
    return list(parts.values())


def _variants(runs: Sequence[RunRecord]) -> frozenset[str]:
    return frozenset(record.variant for record in runs if record.settings)


def _describe(name: str, record: RunRecord, siblings: Sequence[RunRecord]) -> str:
    """Name a setting by what tells it from the others of that name."""
    flat = [_flatten(each.settings) for each in siblings]
    mine = _flatten(record.settings)
    keys = [key for key in mine if any(other.get(key) != mine[key] for other in flat)]
    return " ".join([name, *(f"{key.rpartition('.')[2]}={_short(mine[key])}" for key in keys)])


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flatten(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
