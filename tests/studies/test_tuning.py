"""Equal trials for every model: the same factors, the same budget, the best mean taken."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lrnn_cli.studies.execute import Question, Source
from lrnn_cli.studies.jobs import Job
from lrnn_cli.studies.tuning import SEED, Defaults, defaults, describe, factors, tune, words_for
from tests.studies.folders import write_run

SOURCES = tuple(Source("fit-image", f"{n}.png", (), Path(f"{n}.png"), n) for n in "ab")
QUESTION = Question(SOURCES, ("siren", "mlp-relu"), (1000,), (0, 1), steps=40, time_s=None)


def test_factors_are_the_halton_sequence_about_one() -> None:
    assert factors(0) == (1.0, 1.0)
    assert factors(1) == pytest.approx((8 ** (2 / 3 - 1), 1.0))
    assert factors(2) == pytest.approx((8 ** (4 / 3 - 1), 4**-0.5))
    found = [factors(k) for k in range(1, 50)]
    assert all(1 / 8 < a < 8 and 1 / 4 < b < 4 for a, b in found)
    assert abs(sum(math.log(a) for a, _ in found)) / len(found) < 0.1


def test_words_of_a_trial() -> None:
    base = Defaults(1e-3, "omega_first", 30.0)
    assert words_for(0, base) == ()
    assert words_for(2, base) == ("--lr", "0.002", "--set", "omega_first=15")
    assert words_for(2, Defaults(None, "octaves", 6)) == ("--set", "octaves=5")
    assert words_for(2, Defaults(None, "grid", 3)) == ("--set", "grid=2")
    assert words_for(2, Defaults(1e-3, None, None)) == ("--lr", "0.002")


def test_defaults_come_from_the_run_else_from_the_model() -> None:
    assert defaults(None, "siren").option == "omega_first"
    record = {"train": {"lr": 0.5}, "model": {"config": {"omega_first": 77.0}}}
    assert defaults(record, "siren") == Defaults(0.5, "omega_first", 77.0)
    assert defaults(None, "mlp-relu").option is None
    assert defaults(None, "fbp") == Defaults(None, None, None)


def pretend(root: Path, seen: list[Job]) -> Callable[[Sequence[Job]], None]:
    """Make runs whose figure is best at half the default frequency, and of which trial 1 fails on b.png."""

    def run(jobs: Sequence[Job]) -> None:
        for job in jobs:
            seen.append(job)
            folder = job.folder(root).path
            if folder.exists():
                continue
            tuned = "omega_first=15" in job.options
            broken = "--lr" in job.options and job.input == "b.png" and not tuned and job.model == "siren"
            psnr = 20.0 + 5 * tuned
            write_run(folder, model=job.model, seed=job.seed, psnr=psnr, file=job.input,
                      status="failed" if broken else "ok")  # fmt: skip
            (folder / "job.json").write_text(json.dumps(job.as_dict()))

    return run


def test_every_model_gets_the_same_trials_and_the_best_is_taken(tmp_path: Path) -> None:
    seen: list[Job] = []
    tuned, record = tune(QUESTION, 3, tmp_path, pretend(tmp_path, seen))
    assert {job.seed for job in seen} == {SEED}
    assert all("--steps" in job.options and "10" in job.options for job in seen)
    rows = record["rows"]
    assert [trial["score"] for trial in rows["siren"]["trials"]] == [20.0, None, 25.0]
    assert (rows["siren"]["chosen"], rows["mlp-relu"]["chosen"]) == (2, 0)
    assert rows["siren"]["trials"][1]["scores"] == [20.0, None]
    jobs = {(job.model, job.input): job for job in tuned.jobs()}
    assert jobs["siren", "a.png"].options[-4:] == ["--lr", "0.002", "--set", "omega_first=15"]
    assert "--lr" not in jobs["mlp-relu", "a.png"].options
    said = describe(record).splitlines()
    assert said[0].startswith("3 trials for every row alike, of learning rate and frequency, 10 steps each")
    assert said[1] == "siren: scores 20.00, failed, 25.00; taken: trial 2, --lr 0.002 --set omega_first=15"
    assert said[2].endswith("taken: trial 0, its defaults")
    assert describe(None) == "none: every model at its default learning rate and frequency"


def test_a_stopped_search_changes_nothing(tmp_path: Path) -> None:
    tuned, record = tune(QUESTION, 3, tmp_path, lambda jobs: None, should_stop=lambda: True)
    assert (tuned, record) == (QUESTION, {})
    asked = iter([False, True])
    seen: list[Job] = []
    tuned, record = tune(QUESTION, 2, tmp_path, pretend(tmp_path, seen), should_stop=lambda: next(asked))
    assert (tuned, record) == (QUESTION, {})
