"""The basis table: every pair on both tasks, tuned alike, resumable."""

import json

from benchmarks import iat_bases, machine
from lrnn_cli.models.catalog import config_class
from tests.benchmarks.test_tune_models import Here


def test_the_networks_are_those_of_the_source():
    networks = iat_bases.networks()
    assert sum(" x " in name for name in networks) == 36
    assert [name for name in networks if name.startswith("mesh")] == [f"mesh ratio {2**k}" for k in range(5)]
    for name, options in networks.values():
        config_class(name)(**options)
    run = iat_bases.run("high-frequency", "lrnn", seed=0, rate=1e-3, steps=1)
    assert abs(run["params"] / (3 * 10 + 9 * 110 + 11) - 1) < 0.05


def test_labels_are_judged_by_accuracy_and_functions_by_error():
    label = iat_bases.run("random-labels", "mlp-relu", seed=0, rate=1e-3, steps=2)
    function = iat_bases.run("high-frequency", "mlp-relu", seed=0, rate=1e-3, steps=2)
    assert 0.4 < label["value"] < 0.6
    assert function["value"] == function["mse"]


def test_it_tunes_stores_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(iat_bases, "RESULTS", tmp_path)
    monkeypatch.setattr(iat_bases, "ProcessPoolExecutor", Here)
    chosen = "pwl-w x rect-w,ratio 2"
    small = [*"--steps 1 --rates 1e-3,1e-1 --tasks high-frequency --networks".split(), chosen]
    iat_bases.main([*small, "--seeds", "1", "--ratio-seeds", "1"])
    iat_bases.main([*small, "--seeds", "2", "--ratio-seeds", "1"])
    assert len(capsys.readouterr().out.splitlines()) == 2 * (2 + 1) + 1  # nothing was done twice
    record = json.loads((tmp_path / "iat_bases.json").read_text())
    assert [row["network"] for row in record["summary"]] == ["pwl-w x rect-w", "mesh ratio 2"]
    for row in record["summary"]:
        mine = [r for r in record["runs"] if r["network"] == row["network"]]
        tried = {r["lr"]: r["mse"] for r in mine if r["seed"] == iat_bases.TUNING_SEED}
        assert row["lr"] == min(tried, key=tried.get)
    table = (tmp_path / "iat_bases.md").read_text()
    assert table.count("| `pwl-w` |") == 2
    assert "| mesh ratio 2 |" in table
