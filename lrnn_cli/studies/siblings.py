"""What records tell of one another: whose row a crashed run is of, and which results are copies."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lrnn_cli.studies.collect import RunRecord
from lrnn_cli.studies.jobs import digest


def adopt(records: list[RunRecord]) -> list[RunRecord]:
    """Give runs that crashed before they wrote anything the identity of their siblings.

    Such a run knows its row's label and the digest of its file. How the file was read, what the settings and
    the optimiser came to is known from a run of the same row, or of the same file, that came further.

    Returns:
        the records, in the same order.
    """
    settings = {(r.label, r.origin): r.settings for r in records if r.label and r.settings}
    training = {(r.label, r.origin, r.variant): r.training for r in records if r.label and r.training}
    inputs = {r.source: r for r in records if r.input_id}
    found: list[RunRecord] = []
    for record in records:
        if not record.settings and (record.label, record.origin) in settings:
            record = dataclasses.replace(record, settings=settings[record.label, record.origin])
        if record.status == "crashed":
            known = training.get((record.label, record.origin, record.variant), {})
            record = dataclasses.replace(record, training=known)
        if not record.input_id:
            sibling = inputs.get(record.source)
            where = (sibling.input_id, sibling.kind) if sibling else (record.source, record.kind)
            record = dataclasses.replace(record, input_id=where[0], kind=where[1])
        found.append(record)
    return found


def merge_copies(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Make one record of runs of a classical method that gave the same on the same data.

    Without noise such a method knows no seed, and several comparisons may have tried it: the copies are no
    further samples.

    Returns:
        the records in their order; the first of each stands for the seeds of the others.
    """
    found: list[RunRecord] = []
    seen: dict[str, int] = {}
    for record in records:
        if record.params is None and record.ok:
            figures = {k: v for k, v in record.metrics.items() if k != "seconds"}
            key = digest([record.model, record.label, record.input_id, record.settings, figures])
            place = seen.setdefault(key, len(found))
            if place < len(found):
                first = found[place]
                if record.seed not in (first.seed, *first.copies):
                    found[place] = dataclasses.replace(first, copies=(*first.copies, record.seed))
                continue
        found.append(record)
    return found
