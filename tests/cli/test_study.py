"""`lrnn study` as a user meets it: plan, run, status, table, report, and what can go wrong."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import Lrnn, Program, colours, write_png

STUDY = """\
name: waves
task: fit-image
inputs: in
models: [lrnn, {name: siren, label: siren-mad, lr: 1e30, guard: false, schedule: const}]
settings: {params: 300, steps: 3}
targets: [5, 90]
"""


def write_study(folder: Path, text: str = STUDY) -> Path:
    write_png(folder / "in" / "a.png", colours(12, 16))
    path = folder / "s.yaml"
    path.write_text(text)
    return path


@dataclass(frozen=True)
class Studied:
    """A study that has been run: one model that went well and one that diverged."""

    folder: Path
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def studied(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Studied:
    folder = tmp_path_factory.mktemp("studied")
    write_study(folder)
    done = program("study", "run", "s.yaml", "--jobs", 2, cwd=folder)
    return Studied(folder, done.code, done.out, done.err)


def test_a_run_counts_the_job_that_diverged(studied: Studied) -> None:
    assert studied.code == 6, studied.err
    assert studied.out == "waves: 2 jobs: 1 done, 1 diverged -> studies/waves\n"
    assert "a.png, siren-mad, seed 0): diverged" in studied.err


def test_running_again_runs_nothing(studied: Studied, program: Program) -> None:
    began = time.monotonic()
    done = program("study", "run", "s.yaml", cwd=studied.folder)
    assert (done.code, done.out) == (6, studied.out)
    assert "2 jobs, 2 of them done already" in done.err
    assert time.monotonic() - began < 30
    for attempts in studied.folder.glob("studies/waves/jobs/*/attempts.jsonl"):
        assert len(attempts.read_text().splitlines()) == 2  # one start, one end


def test_status_tells_what_went_wrong(studied: Studied, program: Program) -> None:
    done = program("study", "status", "s.yaml", cwd=studied.folder)
    assert done.code == 0
    assert done.out.splitlines()[0] == studied.out.strip()
    assert done.out.splitlines()[2].endswith("a.png  siren-mad  0     diverged")
    record = program("study", "status", "s.yaml", "--json", cwd=studied.folder).json()
    assert record["states"] == {"done": 1, "diverged": 1}
    assert [one["model"] for one in record["failures"]] == ["siren-mad"]


def test_the_table_has_the_failure_in_its_rates(studied: Studied, program: Program) -> None:
    record = program("study", "table", "s.yaml", "--format", "json", cwd=studied.folder).json()
    rows = {row["label"]: row for row in record["tables"][0]["rows"]}
    assert rows["siren-mad"]["failed"] == 1
    assert [target["reached"] for target in rows["lrnn"]["targets"]] == [1, 0]
    assert [target["reached"] for target in rows["siren-mad"]["targets"]] == [0, 0]
    text = program("study", "table", "s.yaml", "--targets", "none", cwd=studied.folder).out
    assert "1, 1 failed" in text
    assert "success" not in text


def test_a_part_without_jobs_is_done(studied: Studied, program: Program) -> None:
    done = program("study", "run", "s.yaml", "--shard", "9/9", cwd=studied.folder)
    assert done.code == 0
    assert "0 jobs: nothing in this part of the study" in done.out


def test_the_report_is_one_file(studied: Studied, program: Program, tmp_path: Path) -> None:
    name = tmp_path / "r.html"
    done = program("study", "report", "s.yaml", "-o", name, "--json", cwd=studied.folder)
    assert (done.code, done.err) == (0, "")
    page = name.read_text(encoding="utf-8")
    assert done.json()["bytes"] == len(page.encode())
    assert page.startswith("<!DOCTYPE html>")
    assert page.count('src="data:image/png;base64,') == 2  # the original and the fit that ended well
    program("study", "report", "s.yaml", "-o", name, cwd=studied.folder).refused(
        3, f"{name} exists already; --force overwrites it"
    )


def test_the_report_to_stdout(studied: Studied, program: Program) -> None:
    done = program("study", "report", "s.yaml", "-o", "-", cwd=studied.folder)
    assert done.code == 0 and done.out.startswith("<!DOCTYPE html>")
    assert done.err.startswith("waves: 2 runs, ") and not (studied.folder / "-").exists()
    both = program("study", "report", "s.yaml", "-o", "-", "--json", cwd=studied.folder)
    both.refused(2, "--json and -o - both want stdout")


def test_a_report_that_cannot_be_written(studied: Studied, program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "r.html"
    program("study", "report", "s.yaml", "-o", target, cwd=studied.folder).refused(
        3, "cannot write", "a file of that name is in the way"
    )


def test_plan_writes_nothing_and_its_words_feed_xargs(lrnn: Lrnn, tmp_path: Path) -> None:
    write_study(tmp_path)
    done = lrnn("study", "plan", "s.yaml")
    assert done.code == 0
    assert done.out.splitlines()[0].split() == ["job", "input", "model", "seed", "state"]
    ids = [line.split()[0] for line in done.out.splitlines()[1:]]
    assert "2 jobs, time unknown -> studies/waves" in done.err
    assert lrnn("study", "plan", "s.yaml", "--ids", "-q").out.split() == ids
    parts = [lrnn("study", "plan", "s.yaml", "--ids", "-q", "--shard", f"{k}/2").out.split() for k in (1, 2)]
    assert [one for part in parts for one in part] == ids
    lines = lrnn("study", "plan", "s.yaml", "--ids", "--json", "-q").out.splitlines()
    assert [json.loads(line) for line in lines] == [{"id": one} for one in ids]
    specs = [json.loads(line) for line in lrnn("study", "plan", "s.yaml", "--json", "-q").out.splitlines()]
    assert [spec["id"] for spec in specs] == ids
    assert specs[0]["config"]["fit"]["steps"] == 3
    assert lrnn("study", "plan", "s.yaml", "--ids", "-q", "--job", ids[1][:8]).out.split() == ids[1:]
    assert lrnn("study", "plan", "s.yaml", "--missing", "--ids", "-q").out.split() == ids
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "s.yaml"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seeds: 1", "sead: 1", "unknown key 'sead'; did you mean 'seeds'? (s.yaml)"),
        ("steps: 3", "stepps: 3", "s.yaml: lrnn: No such option: --stepps"),
        ("steps: 3", "fit: {stepps: 3}", "s.yaml: lrnn: unknown key 'fit.stepps'; did you mean 'fit.steps'?"),
        ("steps: 3", "lr: fast", "s.yaml: lrnn: Invalid value for '--lr'"),
        ("name: siren", "name: sirne", "s.yaml: siren-mad: model: unknown 'sirne'; did you mean 'siren'?"),
        ("fit-image", "fit-imgae", "task (s.yaml): expected"),
        ("seeds: 1", "seeds: many", "expected a whole number or a list of values, got 'many'"),
        ("seeds: 1", "seeds: 0", "seeds (s.yaml): expected at least one"),
        ("inputs: in", "inputs: out", "out: no such file, folder or pattern with a match"),
        ("seeds: 1", "centre_crop: 99x9", "centre_crop: 99x9 does not fit into a picture of 16x12"),
        ("seeds: 1", "seeds: [0", "s.yaml, line"),
    ],
)  # fmt: skip
def test_a_typo_is_named_and_nothing_is_written(
    lrnn: Lrnn, tmp_path: Path, old: str, new: str, words: str
) -> None:
    write_study(tmp_path, (STUDY + "seeds: 1\n").replace(old, new))
    done = lrnn("study", "run", "s.yaml")
    done.refused(3 if "out:" in words else 2, words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "s.yaml"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "none.yaml"], "none.yaml: No such file or directory"),
        (["run", "s.yaml", "--shard", "0/4"], "--shard 0/4: expected I/N with I from 1 to N, as 1/16"),
        (["run", "s.yaml", "--shard", "5/4"], "--shard 5/4: expected I/N"),
        (["run", "s.yaml", "--shard", "half"], "--shard half: expected I/N"),
        (["run", "s.yaml", "--shard", "1/2", "--job", "a"], "--shard and --job exclude each other"),
        (["plan", "s.yaml", "--job", "zz"], "--job zz: no id of the study waves begins with that"),
        (["run", "s.yaml", "-j", "2", "--scheduler", "tcp://127.0.0.1:9"], "--jobs and --scheduler exclude"),
        (["table", "s.yaml", "--format", "pdf"], "--format pdf: expected table, csv, md, latex, json"),
        (["table", "s.yaml", "--format", "md", "--json"], "--json and --format md exclude each other"),
        (["table", "s.yaml", "--equal", "luck"], "--equal luck: expected params, time, steps"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense(lrnn: Lrnn, tmp_path: Path, words: list[str], said: str) -> None:
    write_study(tmp_path)
    lrnn("study", *words).refused(2, said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "s.yaml"]


def test_a_table_of_nothing(lrnn: Lrnn, tmp_path: Path) -> None:
    write_study(tmp_path)
    for words in (["table"], ["report"]):
        lrnn("study", *words, "s.yaml").refused(
            3, "studies/waves: no job has ended yet; 'lrnn study run' goes on with them"
        )


def test_a_scheduler_that_does_not_answer(lrnn: Lrnn, tmp_path: Path) -> None:
    write_study(tmp_path)
    began = time.monotonic()
    done = lrnn("study", "run", "s.yaml", "--scheduler", "tcp://127.0.0.1:9", "--connect-timeout", 0.5)
    done.refused(4, "scheduler tcp://127.0.0.1:9: no answer within 0.5 s", "leave --scheduler out")
    assert time.monotonic() - began < 60
    lrnn("study", "run", "s.yaml", "--scheduler", "tcp:/nonsense").refused(4, "scheduler tcp:/nonsense")
    lrnn("study", "run", "s.yaml", "--scheduler", "file:none.json").refused(
        4, "scheduler file:none.json: no such file; 'dask scheduler --scheduler-file none.json' writes it"
    )
    assert not (tmp_path / "studies").exists()


def test_without_the_extra_its_name_is_told(lrnn: Lrnn, tmp_path: Path) -> None:
    write_study(tmp_path)
    (tmp_path / "path" / "dask").mkdir(parents=True)
    (tmp_path / "path" / "dask" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'dask'\", name='dask')"
    )
    done = lrnn("study", "run", "s.yaml", "--dask", first_on_path=tmp_path / "path")
    done.refused(2, "this needs dask: pip install 'lrnn[study]'")


def test_a_folder_that_cannot_be_written(lrnn: Lrnn, tmp_path: Path) -> None:
    write_study(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "jobs").symlink_to("/proc/none")
    done = lrnn("study", "run", "s.yaml", "-d", "full", "-q")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("lrnn: error: cannot write full/jobs/")
    assert len(done.err.splitlines()) == 1


def test_a_disk_that_is_full_fails_the_job_and_is_said(lrnn: Lrnn, tmp_path: Path) -> None:
    """Files of more than a few bytes cannot be written: the job's own record still can."""
    write_study(tmp_path)
    (only, _) = lrnn("study", "plan", "s.yaml", "--ids", "-q").out.split()
    done = lrnn("study", "run", "s.yaml", "--job", only, file_bytes=6000)
    assert done.code == 6, done.err
    assert "1 failed" in done.out
    assert "cannot write" in done.err
    table = lrnn("study", "table", "s.yaml", "--job", only)
    assert table.code == 2  # a table is of the whole study


def test_a_signal_stops_the_jobs_and_the_next_run_goes_on(lrnn: Lrnn, tmp_path: Path) -> None:
    write_study(
        tmp_path, STUDY.replace("steps: 3", "steps: 100000").replace("[lrnn, ", "[").replace("1e30", "1e-3")
    )
    running = lrnn.start("study", "run", "s.yaml")
    until = time.monotonic() + 60
    while not list(tmp_path.glob("studies/waves/jobs/*/config.yaml")):
        assert time.monotonic() < until
        time.sleep(0.05)
    running.send(15)
    done = running.finish()
    assert done.code == 143
    assert done.err.splitlines()[-1] == "lrnn: interrupted: stopped; the same command goes on from there"
    assert lrnn("study", "status", "s.yaml").out == "waves: 1 job: 1 interrupted -> studies/waves\n"
    (folder,) = tmp_path.glob("studies/waves/jobs/*")
    assert (folder / "resume" / "state.safetensors").exists()
    assert os.listdir(tmp_path / "studies" / "waves") == ["jobs"]
