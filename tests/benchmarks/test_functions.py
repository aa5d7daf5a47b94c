"""The tables of small functions: tuning on a seed of its own, resuming, the real command."""

import json

import pytest

from benchmarks import functions, machine


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(functions, "RESULTS", tmp_path)
    return tmp_path


SMALL = [
    *"--targets cusp --models mlp-tanh,multiplicative --params 60,90,120 --dims 3 --anova-params 100".split(),
    *"--factors 0.3,1 --steps 2 --batch 50 --seeds".split(),
]


def test_rates_are_chosen_on_a_seed_of_their_own_and_nothing_runs_twice(results, monkeypatch, capsys):
    done = []

    def fit(options):
        value = dict(zip(options[::2], options[1::2], strict=True))
        done.append(value)
        figures = dict.fromkeys(functions.KEPT, 0.5)
        figures["mse"] = 1.0 + float(value["--seed"]) + 10 * float(value["--lr"])
        if "--dim" in value:
            figures |= dict.fromkeys(("energy_near_share", "zygmund_heldout"))
        return {"metrics": figures, "model": {"params": int(value["--params"])}}

    monkeypatch.setattr(functions, "fit", fit)
    functions.main([*SMALL, "1"])
    functions.main([*SMALL, "2"])
    assert len(done) == 2 * (2 + 2 * 3) + 2 * (2 + 2)
    tuning = [job for job in done if job["--seed"] == "1000"]
    assert {job["--params"] for job in tuning} == {"90", "100"}
    for job in done:
        if job not in tuning:
            assert float(job["--lr"]) == pytest.approx(
                0.3 * {"mlp-tanh": 1e-3, "multiplicative": 0.1}[job["--model"]]
            )
    text = (results / "functions.md").read_text()
    assert "| cusp | 120 | 2.00e+00" not in text
    assert text.count("| anova d=3 | 100 |") == 2  # no irregular set, no seminorm
    assert text.count("| cusp | 60 |") == 4


def test_a_run_is_the_real_command(results):
    small = "--targets cusp --models mlp-tanh --params 60 --factors 1,2 --steps 2 --seeds 1 --dims".split()
    functions.main([*small, ""])
    *tuning, counted = json.loads((results / "functions.json").read_text())["runs"]
    assert [r["seed"] for r in tuning] == [1000, 1000]
    assert 45 < counted["params"] < 80
    assert 0 < counted["energy_near_share"] < 1 and counted["zygmund_heldout"] > 0
    said = f"--target cusp --model mlp-tanh --params 60 --lr {counted['factor'] * 1e-3:g} --seed 0"
    assert said in " ".join(counted["options"])


def test_a_single_rate_is_not_tuned(results):
    small = "--targets cusp --models mlp-tanh --params 60 --factors 1 --steps 2 --seeds 1 --dims".split()
    functions.main([*small, ""])
    assert [r["seed"] for r in json.loads((results / "functions.json").read_text())["runs"]] == [0]


def test_a_command_that_fails_is_told(results, monkeypatch):
    with pytest.raises(SystemExit, match="lrnn fit-function --target none"):
        functions.fit(["--target", "none"])
