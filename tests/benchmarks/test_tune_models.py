"""The search for default settings: the same trials for every model, on its own signals, resumable."""

import json
from concurrent.futures import Future

import numpy as np
import pytest

from benchmarks import machine, tune_models
from benchmarks.procedural import images, sounds
from lrnn_cli.models.catalog import CATALOG, config_class


def test_signals_depend_on_size_and_seed_alone():
    for made in (lambda seed: images(24, seed), lambda seed: sounds(400, seed)):
        first, again, other = made(1), made(1), made(2)
        assert [s.sha256 for s in first] == [s.sha256 for s in again]
        assert not {s.sha256 for s in first} & {s.sha256 for s in other}
        for signal in first:
            assert signal.values.dtype == np.float32
            assert np.abs(signal.values).max() == pytest.approx(1)


def test_every_model_has_the_same_trials():
    for trial in range(1, 30):
        rates = {tune_models.draw(trial, n)[0] for n in range(4)}
        assert len(rates) == 1
        assert tune_models.RATES[0] <= rates.pop() <= tune_models.RATES[1]
    assert tune_models.draw(0, 2) == (None, [1.0, 1.0])


def test_what_is_searched_exists():
    assert set(tune_models.OPTIONS) <= set(CATALOG)
    for name, keys in tune_models.OPTIONS.items():
        assert set(keys) <= set(config_class(name).model_fields)


def test_a_search_stores_its_table_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(tune_models, "RESULTS", tmp_path)
    monkeypatch.setattr(tune_models, "ProcessPoolExecutor", Here)
    small = "--steps 1 --params 400 --size 12 --samples 100 --models fourier,mlp-tanh".split()
    tune_models.main([*small, "--trials", "1"])
    tune_models.main([*small, "--trials", "2"])
    record = json.loads((tmp_path / "tune_models.json").read_text())
    assert {(t["model"], t["trial"]) for t in record["trials"]} == {
        (m, k) for m in ("fourier", "mlp-tanh") for k in (0, 1)
    }
    assert len(capsys.readouterr().out.splitlines()) == 4  # nothing was done twice
    for row in record["summary"]:
        assert row["trials"] == 2
        assert row["best_db"] >= row["default_db"]
    table = (tmp_path / "tune_models.md").read_text()
    assert table.count("| `fourier` |") == 3


def test_the_finals_are_the_best_on_pictures_and_the_default(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(tune_models, "RESULTS", tmp_path)
    monkeypatch.setattr(tune_models, "ProcessPoolExecutor", Here)

    def fits(picture, sound):
        return [{"kind": "image", "psnr_db": picture}, {"kind": "audio", "psnr_db": sound}]

    scores = {0: (5, 0), 1: (1, 99), 2: (9, 0), 3: (7, 0)}
    trials = [{"model": "fourier", "trial": k, "fits": fits(*pair)} for k, pair in scores.items()]
    (tmp_path / "tune_models.json").write_text(json.dumps({"trials": trials}))
    assert tune_models.finalists(2, ["fourier"]) == [("fourier", 0), ("fourier", 2), ("fourier", 3)]
    final = (
        "--finalists 1 --name finals --steps 1 --params 400 --size 12 --samples 0 --models fourier".split()
    )
    tune_models.main(final)
    record = json.loads((tmp_path / "finals.json").read_text())
    assert sorted(t["trial"] for t in record["trials"]) == [0, 2]
    assert {f["kind"] for t in record["trials"] for f in t["fits"]} == {"image"}
    assert [row["signals"] for row in record["summary"]] == ["image"]
    capsys.readouterr()


class Here:
    """Runs submitted work at once, in this process."""

    def __init__(self, jobs):
        self.jobs = jobs

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future
