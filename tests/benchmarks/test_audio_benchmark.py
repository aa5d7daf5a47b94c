"""The benchmark of sounds: what is run, what is kept, what is gone on with, and the table."""

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import audio, machine, search_audio


class Stub:
    """Stands in for the program: an error that depends on learning rate, frequency and seed."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        def given(flag: str) -> str:
            return arguments[arguments.index(flag) + 1]

        self.calls.append(list(arguments))
        rate, omega, seed = float(given("--lr")), float(given("--omega-first")), int(given("--seed"))
        if rate > 1.5e-3:
            return subprocess.CompletedProcess(arguments, 5, "", "lrnn: error: diverged")
        mse = 1e-4 * (1 + abs(math.log10(rate / 5e-4))) * (1 + seed / 10 if seed < 1000 else 1)
        mse *= 0.2 if given("--model") == "lrnn" else 1.0
        folder = Path(given("-o"))
        folder.mkdir()
        log = [{"seconds": 2.5, "psnr_db": 30.0}, {"seconds": 3.5, "psnr_db": -10 * math.log10(mse)}]
        (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
        found = dict.fromkeys(("psnr_db", "snr_db", "lsd_db"), 1.0) | {"mse": mse, "rho_ag": 0.99}
        train = {"steps": 7, "rollbacks": 0, "fresh_starts": 0}
        record = {"metrics": found, "train": train, "time": {"train_s": 4.0}}
        record["model"] = {"params": 200_001, "config": {"omega_first": omega}}
        return subprocess.CompletedProcess(arguments, 0, json.dumps(record), "")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (audio, machine, search_audio):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    return tmp_path


def test_every_model_is_tuned_alike_and_an_interrupted_benchmark_goes_on(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    stub = Stub()
    monkeypatch.setattr(audio, "call", stub)
    monkeypatch.setattr(audio, "centroid_omega", lambda clip: 100.0)
    options = ["--clips", "a.wav", "--seconds", "9", "--seeds", "2", "--trials", "3"]
    audio.main(options)
    runs = json.loads((results / "audio.json").read_text())["runs"]
    counted = {
        "lrnn": [3, 6, 1],
        "siren": [3, 5, 1],
        "spder": [3, 6, 0],
    }  # the better baseline has more seeds
    for model in audio.MODELS:
        mine = [run for run in runs if run["model"] == model]
        seeds = (audio.TUNING_SEED, 0, 1)
        assert [sum(run["seed"] == seed for run in mine) for seed in seeds] == counted[model]
        for run in mine:
            waits = run["seed"] != audio.TUNING_SEED and run.get("recipe") not in audio.GUARDED
            assert run.get("guard", True) == (model == "lrnn" or not waits)
    assert len(runs) == len(stub.calls) == 28
    failed = [run for run in runs if run["mse"] is None]
    assert [(run["model"], run["lr"], run["failed"]) for run in failed] == [
        ("lrnn", 2e-3, "lrnn: error: diverged")
    ]
    finals = {run["model"]: run for run in runs if run["seed"] == 1}
    assert {name: run["lr"] for name, run in finals.items()} == {"lrnn": 5e-4, "siren": 5e-4}
    assert {name: run["omega_first"] for name, run in finals.items()} == {"lrnn": 100.0, "siren": 40.0}
    assert finals["lrnn"]["seconds_to_1e-4"] == 3.5 and finals["siren"]["seconds_to_1e-4"] is None
    table = (results / "audio.md").read_text()
    assert "| a | lrnn | usual | 0.0005 | 1 | 2 | 0 | 2.10e-05 (2.00e-05 … 2.20e-05) | 0.99000" in table
    assert "| a | 5.00 | over 2.6 |" in table
    brief = (results / "audio_short.md").read_text()
    assert "| a | 2.1e-05 (2.0e-05 … 2.2e-05) | 1.1e-04 (1.0e-04 … 1.1e-04) | 1.2e-04 | 5 |" in brief
    tried = (results / "audio_tried.md").read_text()
    assert tried.count("| a | spder |") == 6 and "| a | spder | small | 0.0001 | 40 | no | 0 | 7 |" in tried
    before = len(stub.calls)
    audio.main([*options, "--stored"])
    assert len(stub.calls) == before and (results / "audio.md").read_text() == table
    (results / "audio.json").write_text(json.dumps({"runs": runs[:-4]}))
    audio.main(options)
    again = json.loads((results / "audio.json").read_text())["runs"]
    assert len(stub.calls) - before == 4
    assert sorted(map(str, map(audio.key, again))) == sorted(map(str, map(audio.key, runs)))
    capsys.readouterr()


def test_tables_count_seeds_that_failed() -> None:
    def runs(model: str, *figures: float) -> dict[str, Any]:
        common = {"lr": 1e-3, "factor": 1.0, "rho_ag": 0.9}
        return audio.row("a.wav", model, [{**common, "mse": mse} for mse in figures])

    rows = [runs("lrnn", 1e-5, 2e-5), runs("siren", 1e-4, math.inf, math.inf), runs("spder", math.inf)]
    table, brief = audio.markdown(rows, "told", 9.0), audio.short(rows)
    assert "| a | lrnn | usual | 0.001 | 1 | 2 | 0 | 1.50e-05" in table
    assert "| a | siren | usual | 0.001 | 1 | 1 of 3 | 0 | 1.00e-04" in table
    assert "| a | spder | usual | 0.001 | 1 | 0 of 1 | 0 | failed" in table
    assert brief == (
        "| clip | lrnn | siren | spder | better baseline / LRNN |\n|---|---|---|---|--:|\n"
        "| a | 1.5e-05 (1.0e-05 … 2.0e-05) | 1.0e-04 (1.0e-04 … 1.0e-04), 1 of 3 seeds | failed | 6.67 |\n"
    )


def test_recipes_write_out_what_defaults_decide() -> None:
    usual = ("--batch-points", "2048", "--schedule", "inverse:0.05")
    assert audio.recipe_words("spder", "usual") == usual
    assert audio.recipe_words("lrnn", "usual") == (*usual, "--dbar", "4")
    assert audio.recipe_words("lrnn", "narrow")[-2:] == ("--dbar", "2")


def test_every_model_has_as_many_trials() -> None:
    assert len({len(trials) for trials in audio.TRIALS.values()}) == 1
    assert all(len(set(trials)) == len(trials) for trials in audio.TRIALS.values())


def test_the_search_stores_after_each_trial_and_goes_on(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def here(*_: Any) -> Any:
        class Pool:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: Any) -> None: ...

            def submit(self, function: Any, *arguments: Any) -> Any:
                done: Any = search_audio.Future()
                done.set_result(function(*arguments))
                return done

        return Pool()

    fitted: list[str] = []

    def fit(clip: str, model: str, change: dict[str, Any], params: int, passes: int) -> dict[str, Any]:
        fitted.append(clip)
        return {"clip": clip, "psnr_db": 10.0 if change.get("dbar") == 2 else 40.0, "steps": 7, "cpu_s": 1.0}

    monkeypatch.setattr(search_audio, "ProcessPoolExecutor", here)
    monkeypatch.setattr(search_audio, "fit", fit)
    search_audio.main(["--names", "lrnn"])
    search_audio.main(["--names", "lrnn,lrnn dbar 2"])
    assert fitted == [*search_audio.CLIPS, "bach"]  # the second was hopeless after the first clip
    record = json.loads((results / "search_audio.json").read_text())
    assert [(t["name"], t["complete"]) for t in record["trials"]] == [("lrnn", True), ("lrnn dbar 2", False)]
    table = (results / "search_audio.md").read_text()
    assert "| lrnn | 0 | 40.0 | 40.0 | 40.0 | 40.0 | 21 | 3 |" in table
    assert "| lrnn dbar 2 | 0 | 10.0 | – | – | – | 7 | 1 |" in table
    capsys.readouterr()


def test_with_settled_settings_nothing_is_chosen(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = Stub()
    monkeypatch.setattr(audio, "call", stub)
    monkeypatch.setattr(audio, "centroid_omega", lambda clip: 100.0)
    audio.main(["--settled", "--clips", "a.wav", "--seconds", "9", "--seeds", "2", "--store", "other"])
    runs = json.loads((results / "other.json").read_text())["runs"]
    assert len(runs) == len(stub.calls) == 6
    for model, setting in audio.SETTLED.items():
        mine = [run for run in runs if run["model"] == model]
        assert {run["seed"] for run in mine} == {0, 1}
        assert {(run["lr"], run["factor"], run["recipe"]) for run in mine} == {tuple(setting.values())}
        assert {run["omega_first"] for run in mine} == {100.0 * setting["factor"]}
    assert "found on other clips" in (results / "other.md").read_text()
