"""Which runs are repetitions of one another, and what their row is called."""

from collections.abc import Mapping, Sequence
from typing import Any

from lrnn_cli.studies.collect import RunRecord


def label_rows(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Group runs by model and settings.

    A row is called as the study calls it, else by its model, with the settings that tell it from other rows
    of the same model.

    Returns:
        label → runs, in the order of their first run.
    """
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        groups.setdefault(record.label or record.variant, []).append(record)
    found: dict[str, list[RunRecord]] = {}
    for key, group in groups.items():
        first = group[0]
        siblings = [other[0] for other in groups.values() if other[0].model == first.model]
        label = first.label or _describe(first, siblings)
        found[label if label not in found else f"{label} ({key[:6]})"] = group
    return found


def _describe(record: RunRecord, siblings: Sequence[RunRecord]) -> str:
    """Name a setting by what tells it from the others of its model."""
    flat = [_flatten(each.settings) for each in siblings]
    mine = _flatten(record.settings)
    keys = [key for key in mine if any(other.get(key) != mine[key] for other in flat)]
    return " ".join([record.model, *(f"{key.rpartition('.')[2]}={_short(mine[key])}" for key in keys)])


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
