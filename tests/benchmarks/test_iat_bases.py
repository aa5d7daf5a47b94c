"""The basis table: every pair on both tasks, tuned alike, resumable."""

import json

from benchmarks import iat_bases, machine
from lrnn_cli.models.catalog import config_class
from tests.benchmarks.test_tune_models import Here


def test_the_networks_are_those_of_the_source():
    networks = iat_bases.networks(500)
    assert sum(" x " in name and "," not in name for name in networks) == 36
    assert [name for name in networks if name.startswith("mesh")] == [f"mesh ratio {2**k}" for k in range(5)]
    for name, options in networks.values():
        config_class(name)(**options)
    run = iat_bases.run("high-frequency", "lrnn", seed=0, rate=1e-3, steps=3, points=80)
    assert abs(run["params"] / (3 * 10 + 9 * 110 + 11) - 1) < 0.05


def test_labels_are_judged_by_accuracy_and_functions_by_error():
    label = iat_bases.run("random-labels", "mlp-relu", seed=0, rate=1e-3, steps=2, points=80)
    function = iat_bases.run("high-frequency", "mlp-relu", seed=0, rate=1e-3, steps=2, points=80)
    assert 0.4 < label["value"] < 0.6
    assert function["value"] == function["mse"]


def test_it_tunes_stores_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(iat_bases, "RESULTS", tmp_path)
    monkeypatch.setattr(iat_bases, "ProcessPoolExecutor", Here)
    chosen = "pwl-w x rect-w;ratio 2"
    small = [*"--steps 1 --rates 1e-3,1e-1 --tasks high-frequency --networks".split(), chosen]
    iat_bases.main([*small, "--seeds", "1", "--ratio-seeds", "1"])
    iat_bases.main([*small, "--seeds", "2", "--ratio-seeds", "1"])
    # two rates for each of the pairs, counting that of the ratios; no run twice
    assert len(capsys.readouterr().out.splitlines()) == 2 * 2 + 2 + 1
    record = json.loads((tmp_path / "iat_bases.json").read_text())
    assert [row["network"] for row in record["summary"]] == ["pwl-w x rect-w", "mesh ratio 2"]
    for row in record["summary"]:
        pair = "fourier x pwq" if row["network"].startswith("mesh") else row["network"]
        mine = [r for r in record["runs"] if r["network"] == pair]
        tried = {r["lr"]: r["mse"] for r in mine if r["seed"] == iat_bases.TUNING_SEED}
        assert row["lr"] == min(tried, key=tried.get)
    table = (tmp_path / "iat_bases.md").read_text()
    assert table.count("| `pwl-w` |") == 1  # of the task that was run
    assert "| mesh ratio 2 | 1 |" in table
    assert "mlp-relu" not in table


def test_a_step_takes_points_that_no_step_of_the_same_pass_takes():
    order = iat_bases.batches(25, seed=3)
    assert order.shape == (25, 250)
    for k in (0, 10):
        assert order[k : k + 10].flatten().sort().values.tolist() == list(range(2500))
    assert not order[:10].equal(order[10:20])
