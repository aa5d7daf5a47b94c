"""Jobs: what their id depends on, how they are divided, and what their folders tell."""

import fcntl
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.studies.jobs import Job, JobPlan, State, digest, missing, plan_jobs
from lrnn_cli.studies.study import Study
from tests.cli.conftest import write_png
from tests.studies.job_support import job


def resolved(combination, words):
    """A command's complete configuration: its default learning rate, and what it was told."""
    return {"fit": {"lr": 1e-3, "seed": 0, "threads": 2, **combination.tree}, "words": list(words)}


def planned(folder: Path, **more) -> JobPlan:
    study = Study(**{"name": "s", "inputs": ".", "models": ["lrnn"], **more})
    return plan_jobs(study, folder, resolved)


def picture(path: Path, level: int, height: int = 3, width: int = 4) -> Path:
    return write_png(path, np.full((height, width, 1), level, dtype=np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture(tmp_path / "in" / "a.png", 1)
    picture(tmp_path / "in" / "b.png", 2)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path / "in"


def ids(plan: JobPlan) -> list[str]:
    return [one.id for one in plan.jobs]


def test_a_folder_a_file_and_a_pattern_name_the_same_jobs(folder: Path) -> None:
    every = ids(planned(folder))
    assert len(every) == 2
    assert ids(planned(folder, inputs=["a.png", "b.png"])) == every
    assert ids(planned(folder, inputs="*.png")) == every
    assert ids(planned(folder, inputs=["a.png", ".", "?.png"])) == every
    odd = folder.rename(folder.parent / "set [1]*")  # no pattern: the name of the study's own folder
    assert ids(planned(odd, inputs="*.png")) == every
    assert ids(planned(odd.parent, inputs=f"{odd.parent}/set*/?.png")) == every


def test_the_id_depends_on_configuration_content_and_seed_alone(folder: Path) -> None:
    before = ids(planned(folder))
    assert ids(planned(folder, name="other", targets=[3], settings={"lr": 1e-3})) == before  # the default
    assert not set(ids(planned(folder, settings={"lr": 2e-3}))) & set(before)
    assert not set(ids(planned(folder, seeds=[4]))) & set(before)
    (folder / "b.png").rename(folder / "c.png")
    assert ids(planned(folder)) == before
    picture(folder / "a.png", 9)
    after = ids(planned(folder))
    assert after[1] == before[1]
    assert after[0] != before[0]


def test_ids_are_what_the_text_says(folder: Path) -> None:
    one = planned(folder).jobs[0]
    expected = digest(["fit-image", {"fit": {"lr": 1e-3}, "words": []}, one.sha256, 0])
    assert one.id == expected[:16]
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})


def test_what_means_the_same_is_run_once_and_said(folder: Path) -> None:
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    plan = planned(folder, variants={"base": {}, "same": {"lr": 1e-3}})
    assert len(plan.jobs) == 2
    assert plan.notes == (
        "'lrnn same' means the same as 'lrnn base': run once, under the first name",
        "copy.png holds the same as a.png: fitted once",
    )


def test_files_of_one_name_are_told_apart(folder: Path) -> None:
    picture(folder / "more" / "a.png", 5)
    names = [one.input for one in planned(folder, inputs=["a.png", "b.png", "more/a.png"]).jobs]
    assert names == [str(folder / "a.png"), "b.png", str(folder / "more" / "a.png")]


def test_pictures_are_cropped_each_in_its_own_middle(folder: Path) -> None:
    picture(folder / "b.png", 2, height=6, width=9)
    first, second = planned(folder, centre_crop="2x2").jobs
    assert first.options[:2] == ["--crop", "1,0,3,2"]
    assert second.options[:2] == ["--crop", "3,2,5,4"]


def test_problems_are_words(tmp_path: Path) -> None:
    study = Study(name="p", task="solve-poisson", inputs=["peak", "high-frequency k=8"])
    plan = plan_jobs(study, tmp_path, lambda row, words: {"problem": list(words)})
    assert [one.options[:4] for one in plan.jobs] == [
        ["--problem", "peak", "--model", "lrnn"],
        ["--problem", "high-frequency", "--k", "8"],
    ]
    assert len({one.sha256 for one in plan.jobs}) == 2
    assert [one.path for one in plan.jobs] == [None, None]


def test_targets_are_words(tmp_path: Path) -> None:
    study = Study(name="f", task="fit-function", inputs=["cusp", "anova dim=4"])
    plan = plan_jobs(study, tmp_path, lambda row, words: {"function": list(words)})
    assert [one.options[:4] for one in plan.jobs] == [
        ["--target", "cusp", "--model", "lrnn"],
        ["--target", "anova", "--dim", "4"],
    ]
    assert len({one.sha256 for one in plan.jobs}) == 2


def test_missing_inputs(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: a folder without files of a known kind \(\.png"):
        planned(folder, inputs="empty")
    with pytest.raises(InputError, match=r"none\*: no such file, folder or pattern with a match"):
        planned(folder, inputs="none*")
    with pytest.raises(InputError, match=r"^inputs: expected names of files, got an empty one$"):
        planned(folder, inputs=["a.png", ""])


def test_an_input_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", deny)
    with pytest.raises(InputError, match=r"a\.png: Permission denied"):
        planned(folder)


@given(st.integers(0, 40), st.integers(1, 12))
def test_shards_are_disjoint_and_complete(n: int, count: int) -> None:
    plan = JobPlan(Study(name="s", inputs="a"), tuple(job(k) for k in range(n)), ())
    parts = [plan.shard(k, count) for k in range(1, count + 1)]
    assert sorted(one.id for part in parts for one in part) == ids(plan)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_jobs_are_picked_by_the_beginning_of_their_id() -> None:
    plan = JobPlan(Study(name="s", inputs="a"), (job(0), job(1), job(16)), ())
    assert [one.seed for one in plan.pick(["0000000000000010", "0000000000000001"])] == [16, 1]
    with pytest.raises(ConfigError, match="--job ff: no id of the study s begins with that"):
        plan.pick(["ff"])
    with pytest.raises(ConfigError, match="--job 00: 3 ids of the study s begin with that"):
        plan.pick(["00"])


def test_a_folder_tells_how_far_the_job_is(tmp_path: Path) -> None:
    one = job(1)
    where = one.folder(tmp_path)
    assert (where.state(), where.complaint()) == (State.PENDING, "")
    where.freeze(one)
    spec = json.loads(where.spec.read_text())
    assert spec.pop("schema") == "lrnn.job/1"
    assert Job(**spec) == one
    where.attempts_file.write_text('{"start": 1}\n{"sta')
    assert (where.state(), where.complaint()) == (
        State.FAILED, "killed together with what had started it",
    )  # fmt: skip
    where.attempts_file.write_text('{"start": 1}\n{"end": 2, "code": 4, "message": "no memory"}\n')
    assert (where.state(), where.complaint()) == (State.FAILED, "no memory")
    where.attempts_file.write_text('{"end": 2, "code": 143, "message": ""}\n')
    assert where.state() is State.INTERRUPTED
    with where.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert where.state() is State.RUNNING
    for status, state in (("interrupted", State.INTERRUPTED), ("failed", State.DIVERGED), ("ok", State.DONE)):
        where.run.metrics.write_text(json.dumps({"schema": "lrnn.metrics/1", "status": status}))
        assert where.state() is state
        assert state.settled == (state in (State.DIVERGED, State.DONE))
    for damaged in ('{"schema": "lrnn.metrics/9", "status": "ok"}', '{"schema": "lrnn.met'):
        where.run.metrics.write_text(damaged)
        assert missing([one, job(2)], tmp_path) == [one, job(2)]
    where.run.metrics.write_text('{"schema": "lrnn.metrics/1", "status": "ok"}')
    assert missing([one, job(2)], tmp_path) == [job(2)]
