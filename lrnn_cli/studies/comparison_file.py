"""compare.json: the tables with every figure, how they came about, and where the runs lie.

It lies in the folder of a comparison, and that folder can be given to `lrnn compare` in place of its runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrnn_cli import __version__
from lrnn_cli.errors import CheckpointError, InputError
from lrnn_cli.runs.folder import atomic_write, to_json
from lrnn_cli.studies.collect import RunRecord, collect_each, find_runs
from lrnn_cli.studies.comparison import Table, as_dict
from lrnn_cli.studies.siblings import adopt

SCHEMA = "lrnn.compare/1"
NAME = "compare.json"


@dataclass(frozen=True)
class Stored:
    """What an earlier comparison says beside its figures.

    Attributes:
        tuning: the trials, None when there were none, or nobody knows.
        targets: as they were written; empty for none.
        known: whether the comparison made the runs itself, so that it knows how they were tuned.
    """

    tuning: dict[str, Any] | None = None
    targets: str = ""
    known: bool = False


def encode(
    tables: Sequence[tuple[str, Table]],
    *,
    stored: Stored,
    tuning: str | None,
    question: dict[str, Any],
    command: Sequence[str],
) -> dict[str, Any]:
    """Return a comparison as JSON-able values, folders as they are known to the caller.

    Args:
        tables: title and table of each group.
        stored: trials and targets.
        tuning: what tuning every row got, in words; None when nobody knows.
        question: what was compared on what.
        command: the command line.
    """
    runs = [str(record.folder) for _, table in tables for row in table.rows for record in row.records]
    return {
        "schema": SCHEMA,
        "lrnn": __version__,
        "command": list(command),
        "question": question,
        "targets": stored.targets,
        "tuning": tuning,
        "trials": stored.tuning,
        "made_runs": stored.known,
        "tables": [{"title": title, **as_dict(table)} for title, table in tables],
        "runs": runs,
    }


def write(record: dict[str, Any], folder: Path) -> None:
    """Write compare.json, with the run folders relative to it.

    Raises:
        OutputError: when it cannot be written.
    """
    near = {**record, "runs": [os.path.relpath(run, folder) for run in record["runs"]]}
    atomic_write(folder / NAME, to_json(near))


def read(folder: Path) -> dict[str, Any]:
    """Return compare.json.

    Raises:
        CheckpointError: when it is no JSON or of another schema.
    """
    path = folder / NAME
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error})") from error
    found = record.get("schema") if isinstance(record, dict) else None
    if found != SCHEMA:
        raise CheckpointError(f"{path}: expected schema {SCHEMA}, got {found!r}")
    return dict(record)


def gather(paths: Sequence[Path]) -> tuple[list[RunRecord], Stored]:
    """Read the runs that paths stand for: run folders, folders of them, folders of comparisons.

    Args:
        paths: as the user gave them.

    Returns:
        the records, each folder once, and what the comparison says when there is a single one.

    Raises:
        InputError: when there is no run.
        CheckpointError: when a run cannot be read or has not ended.
    """
    folders: dict[Path, Path] = {}
    stored = Stored()
    for path in paths:
        if (path / NAME).exists():
            record = read(path)
            found = [path / run for run in record["runs"]]
            missing = next((run for run in found if not run.is_dir()), None)
            if missing is not None:
                raise InputError(f"{missing}: a run of {path / NAME} that is gone; repeat the comparison")
            if len(paths) == 1:
                stored = Stored(record["trials"], record["targets"], record["made_runs"])
        else:
            found = find_runs(path)
        folders |= {folder.resolve(): folder for folder in found}
    return adopt([record for folder in folders.values() for record in collect_each(folder)]), stored
