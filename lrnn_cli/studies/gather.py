"""From the jobs of a study to the records of a table: failures count, what has not ended yet is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lrnn_cli.errors import InputError
from lrnn_cli.studies.collect import RunRecord, collect
from lrnn_cli.studies.jobs import Job, JobPlan, State
from lrnn_cli.studies.siblings import adopt

ENDED = (State.DONE, State.DIVERGED, State.FAILED)


@dataclass(frozen=True)
class Gathered:
    """What can be compared now.

    Attributes:
        jobs: that ended, well or not, on inputs for which every row has some.
        records: of the same, in the same order.
        waiting: jobs that have not ended.
        left_out: inputs that some row has no ended job for yet.
    """

    jobs: tuple[Job, ...]
    records: tuple[RunRecord, ...]
    waiting: tuple[Job, ...]
    left_out: tuple[str, ...]

    @property
    def runs(self) -> list[tuple[Job, RunRecord]]:
        """Each job with its record."""
        return list(zip(self.jobs, self.records, strict=True))

    def notes(self) -> list[str]:
        """Say what is missing, one sentence each."""
        found = []
        if self.waiting:
            number = "1 job" if len(self.waiting) == 1 else f"{len(self.waiting)} jobs"
            found.append(f"{number} not ended yet, counted neither way; 'lrnn study run' goes on with them")
        if self.left_out:
            names = ", ".join(self.left_out[:5]) + (", …" if len(self.left_out) > 5 else "")
            found.append(f"left out until every row has runs of them: {names}")
        return found


def gather(plan: JobPlan, root: Path) -> Gathered:
    """Read the folders of the jobs.

    Args:
        plan: the study.
        root: folder of its results.

    Returns:
        records of the jobs that ended; one that was killed or ended with an error is a failed run.

    Raises:
        InputError: when there is nothing to compare yet.
        CheckpointError: when a metrics.json makes no sense.
    """
    states = {job.id: job.folder(root).state() for job in plan.jobs}
    ended = [job for job in plan.jobs if states[job.id] in ENDED]
    labels = {job.label for job in plan.jobs}
    have = {(job.label, job.sha256) for job in ended}
    whole = {job.sha256 for job in ended if all((label, job.sha256) in have for label in labels)}
    kept = [job for job in ended if job.sha256 in whole]
    if not kept:
        what = "no input has an ended job for every row yet" if ended else "no job has ended yet"
        raise InputError(f"{root}: {what}; 'lrnn study run' goes on with them")
    return Gathered(
        jobs=tuple(kept),
        records=tuple(adopt([collect(job.folder(root).path, job) for job in kept])),
        waiting=tuple(job for job in plan.jobs if states[job.id] not in ENDED),
        left_out=tuple(dict.fromkeys(job.input for job in plan.jobs if job.sha256 not in whole)),
    )
