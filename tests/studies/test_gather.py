"""From job folders to records: what counts as a failure, and what has not ended counts neither way."""

import dataclasses
import json
from pathlib import Path

import pytest

from lrnn_cli.errors import InputError
from lrnn_cli.studies.comparison import compare
from lrnn_cli.studies.gather import gather
from lrnn_cli.studies.jobs import Job, JobPlan
from lrnn_cli.studies.measures import parse_targets
from lrnn_cli.studies.study import Study
from tests.studies.folders import write_run
from tests.studies.job_support import job


def jobs() -> list[Job]:
    """Two models on two inputs."""
    return [
        dataclasses.replace(job(10 * m + n, label=label, sha256=name), seed=0, input=name, model=label)
        for m, label in enumerate(("lrnn", "siren"))
        for n, name in enumerate(("a.png", "b.png"))
    ]


def plan(*every: Job) -> JobPlan:
    return JobPlan(Study(name="s", inputs="in"), every, ())


def finish(one: Job, root: Path, **more) -> None:
    folder = one.folder(root)
    write_run(folder.path, model=one.model, file=one.input, job=None, **more)
    folder.freeze(one)
    folder.attempts_file.write_text('{"start": 1}\n{"end": 2, "code": 0, "message": ""}\n')


def fail(one: Job, root: Path, text: str = '{"start": 1}\n') -> None:
    folder = one.folder(root)
    folder.path.mkdir(parents=True)
    folder.freeze(one)
    folder.attempts_file.write_text(text)


def test_killed_diverged_and_broken_jobs_are_failures_and_never_dropped(tmp_path: Path) -> None:
    good, diverged, killed, broken = every = jobs()
    finish(good, tmp_path, psnr=40.0)
    finish(diverged, tmp_path, psnr=41.0, status="failed")
    fail(killed, tmp_path)
    fail(broken, tmp_path, '{"start": 1}\n{"end": 2, "code": 4, "message": "not enough memory"}\n')
    found = gather(plan(*every), tmp_path)
    assert [record.status for record in found.records] == ["ok", "failed", "crashed", "crashed"]
    assert found.records[2].reason == "killed together with what had started it"
    assert found.records[3].reason == "not enough memory"
    assert found.notes() == []
    table = compare(found.records, parse_targets("30"))
    assert [(row.label, row.targets[0].reached, row.targets[0].n) for row in table.rows] == [
        ("lrnn", 1, 2), ("siren", 0, 2),
    ]  # fmt: skip


def test_what_has_not_ended_counts_neither_way(tmp_path: Path) -> None:
    first, _, third, fourth = every = jobs()
    for one in (first, third, fourth):
        finish(one, tmp_path)
    found = gather(plan(*every), tmp_path)
    assert [one.input for one in found.jobs] == ["a.png", "a.png"]
    assert found.notes() == [
        "1 job not ended yet, counted neither way; 'lrnn study run' goes on with them",
        "left out until every row has runs of them: b.png",
    ]


def test_an_interrupted_job_has_not_ended(tmp_path: Path) -> None:
    every = jobs()
    for one in every[:3]:
        finish(one, tmp_path)
    fail(every[3], tmp_path, '{"end": 2, "code": 143, "message": ""}\n')
    assert [one.id for one in gather(plan(*every), tmp_path).waiting] == [every[3].id]


def test_nothing_to_compare(tmp_path: Path) -> None:
    first, *_, last = every = jobs()
    with pytest.raises(InputError, match="no job has ended yet; 'lrnn study run' goes on with them"):
        gather(plan(*every), tmp_path)
    finish(first, tmp_path)
    finish(last, tmp_path)
    with pytest.raises(InputError, match="no input has an ended job for every row yet"):
        gather(plan(*every), tmp_path)


def test_labels_are_those_of_the_study_as_it_is_now(tmp_path: Path) -> None:
    """Two labels were swapped and an input was renamed after the first runs: no row mixes two settings."""
    shallow, other, deep, killed = jobs()
    finish(shallow, tmp_path, psnr=32.0, settings={"depth": 2})
    finish(other, tmp_path, psnr=32.0, settings={"depth": 2})
    finish(deep, tmp_path, psnr=33.0, settings={"depth": 3})
    fail(killed, tmp_path)
    swapped = {"lrnn": "siren", "siren": "lrnn"}
    now = [dataclasses.replace(one, label=swapped[one.label], input=f"new {one.input}") for one in jobs()]
    found = gather(plan(*now), tmp_path)
    assert [(run.label, run.input_name) for run in found.records] == [(one.label, one.input) for one in now]
    assert json.loads(shallow.folder(tmp_path).spec.read_text())["label"] == "lrnn"  # as it was frozen
    rows = compare(found.records).rows
    assert {row.label: row.cells["psnr_db"].mean for row in rows} == {"siren": 32.0, "lrnn": 33.0}


def test_records_of_jobs_carry_their_labels(tmp_path: Path) -> None:
    every = [dataclasses.replace(one, label=f"{one.label} wide") for one in jobs()]
    for one in every:
        finish(one, tmp_path)
    found = gather(plan(*every), tmp_path)
    assert [record.label for _, record in found.runs] == [one.label for one in every]
    assert json.loads(every[0].folder(tmp_path).spec.read_text())["label"] == "lrnn wide"
