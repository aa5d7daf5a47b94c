"""`lrnn compare` whole: tables of finished runs in every format; runs made, reused, failed and stopped."""

import csv
import io
import json
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import Lrnn, colours, write_png
from tests.studies.folders import course, write_crash, write_run

# Stands in the working folder, where `python -m lrnn_cli` finds it first: writes a finished run at once.
# siren is killed, wire waits to be stopped.
STAND_IN = """
import json, os, signal, sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
words = sys.argv[1:]
value = lambda name: words[words.index(name) + 1]
folder, model, seed = Path(value("-o")), value("--model"), int(value("--seed"))
if model == "siren":
    os.kill(os.getpid(), signal.SIGKILL)
if model == "wire":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    (folder / "waits").touch()
    time.sleep(60)
from tests.studies.folders import write_run
write_run(folder / "new", model=model, seed=seed, psnr=30.0 + seed, file=Path(words[1]).name)
for path in (folder / "new").iterdir():
    path.rename(folder / path.name)
(folder / "new").rmdir()
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for model, figures in {"lrnn": [40.0, 40.1, 40.3], "siren": [30.0, 30.2, 30.1]}.items():
        for seed, psnr in enumerate(figures):
            write_run(tmp_path / "runs" / f"{model}-{seed}", model=model, seed=seed, psnr=psnr,
                      log=course((2.0, 20, 36.0)))  # fmt: skip
    return tmp_path / "runs"


def test_a_table_of_finished_runs(lrnn: Lrnn, runs: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = lrnn("compare", "runs", "--targets", "35")
    assert (done.code, done.err) == (0, "")
    assert sorted(tmp_path.rglob("*")) == before  # without -o nothing is written
    title, header, first, second = done.out.splitlines()[:4]
    assert title == "a.png, seeds 0, 1, 2: mean ± standard deviation over inputs and seeds"
    assert header.split() == ["model", "params", "runs", "PSNR/dB", "SSIM", "time/s", "ms/step", "memory/MiB"]
    assert first.split()[:7] == ["lrnn", "1000", "3", "40.13", "±", "0.15", "*"]
    assert second.split()[:7] == ["siren", "1000", "3", "30.10", "±", "0.10", "0.9000"]
    assert "success 35 dB" in done.out
    assert "held equal: budget of parameters (1000" in done.out
    assert "steps (100 each)" in done.out


def test_every_format_holds_the_same_figures(lrnn: Lrnn, runs: Path, tmp_path: Path) -> None:
    record = lrnn("compare", "runs", "--json", "-o", "out").json()
    assert (record["schema"], len(record["runs"])) == ("lrnn.compare/1", 6)
    assert record["tables"][0]["rows"][0]["measures"]["psnr_db"]["mean"] == pytest.approx(40.1333333)
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["tables"] == record["tables"]
    (first, _) = csv.DictReader(io.StringIO(lrnn("compare", "out", "--format", "csv").out))
    assert float(first["psnr_db_mean"]) == pytest.approx(40.1333333)
    assert "| lrnn | 1000 | 3 | **40.13 ± 0.15** |" in lrnn("compare", "out", "--format", "md").out
    assert r"\textbf{40.13 $\pm$ 0.15}" in lrnn("compare", "out", "--format", "latex").out


def test_failed_interrupted_and_killed_runs_are_counted(lrnn: Lrnn, tmp_path: Path) -> None:
    for seed, status in enumerate(("ok", "failed", "interrupted")):
        write_run(tmp_path / "all" / str(seed), seed=seed, status=status, psnr=40.0, job={})
    write_crash(tmp_path / "all" / "3", seed=3)
    done = lrnn("compare", "all", "--targets", "35")
    assert done.code == 0
    assert "4, 3 failed" in done.out
    assert "25 % [5, 70]" in done.out
    assert "lrnn, a.png, seed 1: failed (the fit diverged); counted as a failure" in done.out
    assert "lrnn, a.png, seed 2: interrupted (interrupted before its end)" in done.out
    assert "lrnn, a.png, seed 3: crashed (killed by SIGKILL)" in done.out


def test_a_table_for_each_input(lrnn: Lrnn, tmp_path: Path) -> None:
    write_run(tmp_path / "all" / "1")
    write_run(tmp_path / "all" / "2", kind="audio", file="b.wav", model="siren")
    done = lrnn("compare", "all", "--by-input", "--format", "md", "--targets", "none")
    assert done.code == 0
    assert "a.png, seed 0: mean" in done.out
    assert "b.wav, seed 0: mean" in done.out
    rows = list(csv.DictReader(io.StringIO(lrnn("compare", "all", "--by-input", "--format", "csv").out)))
    assert [row["inputs"] for row in rows] == ["a.png", "b.wav"]


def test_one_name_with_other_settings_is_not_averaged(lrnn: Lrnn, tmp_path: Path) -> None:
    for steps, psnr in ((100, 30.0), (300, 40.0)):
        for seed in (0, 1):
            write_run(tmp_path / str(steps) / "jobs" / str(seed), steps=steps, seed=seed, psnr=psnr, job={})
    rows = lrnn("compare", "100", "300", "--json").json()["tables"][0]["rows"]
    assert [(row["label"], row["measures"]["psnr_db"]["mean"]) for row in rows] == [
        ("lrnn steps=100", 30.0), ("lrnn steps=300", 40.0),
    ]  # fmt: skip


def unfinished(folder: Path) -> None:
    write_run(folder)
    (folder / "metrics.json").unlink()


def of_tomorrow(folder: Path) -> None:
    write_run(folder, change={"schema": "lrnn.metrics/2"})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), ("bad: holds no run, metrics.json is missing",)),
        (unfinished, ("bad: metrics.json is missing, the run has not finished", "--resume")),
        (of_tomorrow, ("bad/metrics.json: expected schema lrnn.metrics/1, got 'lrnn.metrics/2'",)),
        (
            lambda path: write_run(path, file="b.png", model="siren"),
            ("mixed inputs in one table", "a.png, b.png"),
        ),
        (
            lambda path: write_run(path, file="b.wav", kind="audio"),
            ("mixed units in one table", "--by-input"),
        ),
        (lambda path: write_run(path), ("bad: the same model, settings, input and seed as good",)),
    ],
    ids=["empty", "unfinished", "other-schema", "other-input", "other-kind", "twice"],
)
def test_bad_run_folders(lrnn: Lrnn, tmp_path: Path, make: object, words: tuple[str, ...]) -> None:
    write_run(tmp_path / "good")
    make(tmp_path / "bad")  # type: ignore[operator]
    lrnn("compare", "good", "bad", "-o", "out").refused(3, *words)
    assert not (tmp_path / "out").exists()


BAD_WORDS: dict[str, tuple[tuple[object, ...], int, tuple[str, ...]]] = {
    "nothing": ((), 2, ("nothing to compare", "--problem NAME")),
    "no-such-run": (("nowhere",), 3, ("nowhere: no such file or run folder",)),
    "run-and-file": (("good", "a.png"), 2, ("a.png: not a run folder, while good is one",)),
    "run-and-options": (("good", "--steps", 3), 2, ("--steps is for runs to be made", "--models")),
    "run-and-words": (("good", "--", "--resize", "9x9"), 2, ("-- is for runs to be made",)),
    "format": (("good", "--format", "xls"), 2, ("--format xls: expected table, csv, md, latex, json",)),
    "json-csv": (("good", "--json", "--format", "csv"), 2, ("exclude each other",)),
    "targets": (("good", "--targets", "soon"), 2, ("--targets 'soon': expected 40",)),
    "equal": (("good", "--equal", "size"), 2, ("--equal size: expected params, time, steps",)),
    "equal-twice": (("good", "--equal", "time,time"), 2, ("expected different names",)),
    "model": (("a.png", "--models", "lrnn,sirn"), 2, ("unknown 'sirn'", "did you mean 'siren'?")),
    "no-model": (("a.png", "--models", ","), 2, ("--models ',': expected different names",)),
    "reserved": (("a.png", "--", "--seed", 3), 2, ("--seed after --: the comparison sets that",)),
    "two-budgets": (("a.png", "-p", "2k", "--params-list", "1k,2k"), 2, ("--params and --params-list",)),
    "k": (("a.png", "--k", 3), 2, ("--k belongs to a Poisson problem",)),
    "task": (("a.png", "--task", "fit"), 2, ("--task fit: expected fit-image, fit-audio, reconstruct-ct",)),
    "problem-and-file": (("a.png", "--problem", "smooth"), 2, ("--problem stands in place of files",)),
    "same-input": (("a.png", "copy.png"), 3, ("copy.png: given twice, or the same as another input",)),
    "kinds": (("a.png", "b.wav"), 3, ("mixed units", "a.png (fit-image), b.wav (fit-audio)", "--by-input")),
    "unknown-kind": (("notes.txt",), 3, ("neither an image nor a sound by its name",)),
    "empty-folder": (("empty", "--models", "lrnn"), 3, ("empty: a folder without files of a known kind",)),
    "equal-steps": (("a.png", "--equal", "steps"), 2, ("--equal steps: give every model", "--steps N")),
    "equal-time": (("a.png", "--equal", "time", "--steps", 3), 2, ("--equal time: give every model",)),
    "equal-params": (("--problem", "x", "--equal", "params"), 2, ("--equal params: give every model",)),
}


@pytest.mark.parametrize("kind", BAD_WORDS)
def test_bad_words(lrnn: Lrnn, tmp_path: Path, kind: str) -> None:
    write_run(tmp_path / "good")
    picture = write_png(tmp_path / "a.png", colours(4, 4)).read_bytes()
    (tmp_path / "copy.png").write_bytes(picture)
    (tmp_path / "b.wav").write_bytes(b"sound")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "empty").mkdir()
    words, code, told = BAD_WORDS[kind]
    before = sorted(tmp_path.rglob("*"))
    lrnn("compare", *words).refused(code, *told)
    assert sorted(tmp_path.rglob("*")) == before


def test_runs_are_made_and_the_second_time_reused(lrnn: Lrnn, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", colours(12, 12))
    words = ("compare", "a.png", "--models", "siren,mlp-relu", "--seeds", 1, "--steps", 3, "-p", 300)
    done = lrnn(*words, "--targets", "5", "--json", "--", "--grey")
    assert done.code == 0, done.err
    record = done.json()
    rows = record["tables"][0]["rows"]
    assert [row["label"] for row in rows] == ["siren", "mlp-relu"]
    assert all(250 < row["params"][0] < 350 and row["targets"][0]["reached"] == 1 for row in rows)
    assert record["question"]["options"] == ["--grey"]
    assert record["tuning"] == "none: every model at its default learning rate and frequency"
    assert (tmp_path / "comparisons" / "a" / "compare.json").exists()
    again = lrnn(*words, "--targets", "5", "--json", "--", "--grey")
    assert again.json()["tables"] == record["tables"]
    assert "runs:" not in again.err  # none was made
    shown = lrnn("compare", "comparisons/a")
    assert "tuning: none" in shown.out and "success 5 dB" in shown.out


def test_a_refused_option_is_no_failed_run(lrnn: Lrnn, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", colours(4, 4))
    done = lrnn("compare", "a.png", "--models", "siren", "--steps", 3, "-q", "--", "--resize", "little")
    done.refused(2, "siren: --resize: expected WIDTHxHEIGHT")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_full_disk_ends_the_comparison(lrnn: Lrnn, tmp_path: Path) -> None:
    """Files of more than a few bytes cannot be written, which is no property of a model."""
    write_png(tmp_path / "a.png", colours(12, 12))
    done = lrnn("compare", "a.png", "--models", "siren", "--seeds", 1, "--steps", 3, "-p", 300, "-q",
                file_bytes=6000)  # fmt: skip
    assert (done.code, done.out) == (3, ""), done.err
    assert "siren: cannot write" in done.err


@pytest.fixture
def stand_in(tmp_path: Path) -> None:
    (tmp_path / "lrnn_cli").mkdir()
    (tmp_path / "lrnn_cli" / "__init__.py").touch()
    root = str(Path(__file__).resolve().parents[2])
    (tmp_path / "lrnn_cli" / "__main__.py").write_text(STAND_IN.format(root=root))
    write_png(tmp_path / "a.png", colours(4, 4))


@pytest.mark.usefixtures("stand_in")
def test_a_run_is_known_by_its_whole_configuration(lrnn: Lrnn, tmp_path: Path) -> None:
    """A default written out is the same run; a changed one, as a new version may bring, is another."""
    words = ("compare", "a.png", "--models", "lrnn", "--seeds", 1, "--steps", 3, "-o", "out")
    assert "runs: 1 of at most 1" in lrnn(*words).err
    for same in (("--warmup", 10), ("--schedule", "inverse:0.05")):
        assert "runs:" not in lrnn(*words, "--", *same).err
    assert "runs: 1 of at most 1" in lrnn(*words, "--", "--optimizer", "sgd").err
    assert "runs:" not in lrnn(*words, "--threads", 1).err  # which decides no result
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    renamed = lrnn("compare", "b.png", *words[2:])
    assert "runs:" not in renamed.err
    assert renamed.out.startswith("b.png, seed 0: mean")  # and not the name of then


@pytest.mark.usefixtures("stand_in")
def test_a_killed_run_is_a_failed_run_and_never_the_end(lrnn: Lrnn) -> None:
    done = lrnn(
        "compare", "a.png", "--models", "siren,lrnn", "--seeds", 2, "--targets", "20", "-o", "out", "--json"
    )
    assert done.code == 6
    assert "warning: 2 of 4 runs failed; they count as failures" in done.err
    siren, lrnn_row = done.json()["tables"][0]["rows"]
    assert (siren["runs"], siren["failed"], siren["targets"][0]["reached"]) == (2, 2, 0)
    assert (lrnn_row["failed"], lrnn_row["measures"]["psnr_db"]["mean"]) == (0, 30.5)
    assert lrnn_row["measures"]["psnr_db"]["mark"] == ""  # nobody left to be better than


@pytest.mark.usefixtures("stand_in")
def test_a_stopped_comparison_goes_on_from_there(lrnn: Lrnn, tmp_path: Path) -> None:
    running = lrnn.start("compare", "a.png", "--models", "lrnn,wire", "--seeds", 1, "-o", "out")
    running.wait_for("lrnn, seed 0: done")
    while not list((tmp_path / "out").rglob("waits")):
        assert not (tmp_path / "out" / "compare.json").exists()
    running.send(signal.SIGTERM)
    done = running.finish()
    assert (done.code, done.out) == (143, "")
    assert "stopped; the same command goes on from there" in done.err
    assert len(list((tmp_path / "out").rglob("metrics.json"))) == 1
    assert not (tmp_path / "out" / "compare.json").exists()
