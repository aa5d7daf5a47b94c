"""The runs of a comparison: what they are, how they end, and what ends the comparison."""

import sys
from pathlib import Path

import pytest

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.studies.execute import (
    Question,
    Source,
    check_words,
    file_source,
    problem_source,
    run_missing,
    tell_apart,
)
from lrnn_cli.studies.jobs import State
from lrnn_cli.studies.run_local import LocalRunner

FAKE = (sys.executable, str(Path(__file__).with_name("fake_lrnn.py")))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "a.png").write_bytes(b"picture")
    return file_source(tmp_path / "a.png")


def question(source: Source, *words: str, models: tuple[str, ...] = ("lrnn",), seeds: int = 2) -> Question:
    return Question((source,), models, (2000,), tuple(range(seeds)), steps=3, time_s=None, words=words)


def test_all_models_get_the_same_words(source: Source) -> None:
    jobs = question(source, "--resize", "32x32", models=("lrnn", "siren")).jobs()
    assert [(job.seed, job.model, job.label) for job in jobs] == [
        (0, "lrnn", "lrnn"), (0, "siren", "siren"), (1, "lrnn", "lrnn"), (1, "siren", "siren"),
    ]  # fmt: skip
    assert jobs[0].options == ["--model", "lrnn", "--params", "2000", "--steps", "3", "--resize", "32x32"]
    assert len({job.id for job in jobs}) == 4
    assert [job.id for job in question(source, models=("lrnn", "siren")).jobs()] != [job.id for job in jobs]


def test_rows_of_several_budgets(source: Source) -> None:
    asked = Question((source,), ("lrnn", "siren"), (200, 400), (0,), steps=None, time_s=1.5)
    assert [job.label for job in asked.jobs()] == ["lrnn 200", "siren 200", "lrnn 400", "siren 400"]
    assert asked.jobs()[0].options[-2:] == ["--time", "1.5s"]


def test_a_problem_and_a_scan_are_inputs_too(tmp_path: Path) -> None:
    problem = problem_source("high-frequency", ["--k", "8"])
    job = Question(
        (problem,), ("siren",), (200,), (0,), steps=None, time_s=None, words=("--solver", "adam")
    ).jobs()[0]
    assert (job.path, job.input) == (None, "high-frequency k=8")
    assert job.options == [
        "--problem", "high-frequency", "--k", "8", "--model", "siren", "--params", "200", "--solver", "adam",
    ]  # fmt: skip
    (tmp_path / "head.npy").write_bytes(b"slice")
    scan = file_source(tmp_path / "head.npy", "reconstruct-ct")
    assert Question((scan,), ("fbp",), (None,), (0,), steps=None, time_s=None).jobs()[0].options == [
        "--method",
        "fbp",
    ]


def test_inputs_must_be_there_and_of_a_known_kind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png: no such file or run folder"):
        file_source(tmp_path / "none.png")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match="neither an image nor a sound by its name; --task says"):
        file_source(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="directory"):
        file_source(tmp_path, "fit-image")


def test_files_of_one_name_are_called_by_their_paths(tmp_path: Path) -> None:
    paths = [tmp_path / "1" / "x.png", tmp_path / "2" / "x.png", tmp_path / "2" / "y.png"]
    for k, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([k]))
    sources = tell_apart([file_source(path) for path in paths])
    assert [source.name for source in sources] == [str(paths[0]), str(paths[1]), "y.png"]


@pytest.mark.parametrize("word", ["--seed", "--params=3", "-o", "-p2k", "--model"])
def test_what_the_comparison_decides_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="after --: the comparison sets that itself"):
        check_words(["--resize", "9x9", word])


def test_finished_runs_are_reused_and_failed_ones_go_on_to_be_failures(
    source: Source, tmp_path: Path
) -> None:
    root = tmp_path / "out"
    ended: list[State] = []

    def run(behaviour: str) -> None:
        jobs = question(source, "--behaviour", behaviour).jobs()
        run_missing(jobs, LocalRunner(root, 1, FAKE), ended=lambda job, state: ended.append(state))

    run("ok")
    assert ended == [State.DONE, State.DONE]
    run("ok")
    assert len(ended) == 2
    run("die")
    assert ended[2:] == [State.FAILED, State.FAILED]
    run("diverge")
    assert ended[4:] == [State.DIVERGED, State.DIVERGED]


def test_a_refused_input_ends_the_comparison_and_leaves_nothing(source: Source, tmp_path: Path) -> None:
    for code, kind in ((3, InputError), (2, ConfigError)):
        refuse = f"import sys; sys.exit(sys.stderr.write('lrnn: error: a.png: bad\\n') and {code})"
        runner = LocalRunner(tmp_path / "comparisons" / "a", 1, (sys.executable, "-c", refuse))
        with pytest.raises(kind, match=r"lrnn: a\.png: bad"):
            run_missing(question(source).jobs(), runner)
        assert not (tmp_path / "comparisons").exists()


def test_a_refusal_leaves_what_was_there_before(source: Source, tmp_path: Path) -> None:
    """An empty folder of the user's, and what an earlier attempt noted of a job."""
    (tmp_path / "keep" / "empty").mkdir(parents=True)
    refuse = (sys.executable, "-c", "import sys; sys.exit(sys.stderr.write('lrnn: error: bad\\n') and 3)")
    root = tmp_path / "keep" / "empty" / "out"
    with pytest.raises(InputError, match="lrnn: bad"):
        run_missing(question(source).jobs(), LocalRunner(root, 1, refuse))
    assert (tmp_path / "keep" / "empty").is_dir() and not root.exists()
    with pytest.raises(InputError, match="lrnn: bad"):
        run_missing(question(source).jobs(), LocalRunner(tmp_path / "keep" / "empty", 1, refuse))
    assert list((tmp_path / "keep" / "empty").iterdir()) == []
    first, second = question(source).jobs()
    folder = first.folder(root)
    folder.path.mkdir(parents=True)
    folder.attempts_file.write_text('{"start": 1}\n{"end": 2, "code": 137, "message": "killed"}\n')
    with pytest.raises(InputError, match="lrnn: bad"):
        run_missing([first, second], LocalRunner(root, 1, refuse))
    assert folder.attempts()[1]["message"] == "killed"
    assert not second.folder(root).path.exists()


def test_when_stopped_the_rest_is_not_begun(source: Source, tmp_path: Path) -> None:
    jobs = question(source, "--behaviour", "ok", seeds=3).jobs()
    run_missing(jobs, LocalRunner(tmp_path / "out", 1, FAKE), should_stop=lambda: True)
    assert len(list((tmp_path / "out").rglob("metrics.json"))) < 3
