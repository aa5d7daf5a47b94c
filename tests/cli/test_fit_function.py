"""`lrnn fit-function` as it is typed: run folders, budgets, resume, and what it refuses."""

import json
import signal

import numpy as np
import pytest
import yaml

from lrnn_cli.objectives.function_targets import NAMED
from tests.cli.conftest import colours, write_png

SMALL = ("--rank", 6, "--dbar", 2, "--depth", 2, "--steps", 12)
FILES = {"checkpoint.safetensors", "config.yaml", "metrics.json", "output.npz", "preview.png", "train.jsonl"}
MEASURES = "mse max_error rel_l2 zygmund energy_near energy_elsewhere mse_heldout".split()


def test_a_target_becomes_a_run_folder(lrnn, tmp_path):
    done = lrnn("fit-function", "--target", "sharp-ring", "--mesh", 20, *SMALL)
    assert done.code == 0, done.err
    folder = tmp_path / "runs" / "sharp-ring-n20" / "lrnn-s0"
    assert {path.name for path in folder.iterdir()} == FILES
    assert done.out.startswith("sharp-ring-n20: lrnn, ") and len(done.out.splitlines()) == 1
    record = json.loads((folder / "metrics.json").read_text())
    assert record["status"] == "ok" and record["input"]["kind"] == "function"
    assert record["input"]["shape"] == [20, 20, 1]
    assert all(isinstance(record["metrics"][name], float) for name in MEASURES)
    assert "omega_first" not in yaml.safe_load((folder / "config.yaml").read_text())["model"]

    again = lrnn("fit-function", "--config", folder / "config.yaml", "-o", "again", "--json", "-q")
    assert again.json()["metrics"]["mse"] == record["metrics"]["mse"]
    about = lrnn("info", folder, "--json").json()
    assert (about["kind"], about["signal"]["target"]) == ("function", "sharp-ring")
    lrnn("render", folder).refused(2, "this is a fit of kind 'function'")


def test_many_variables_at_scattered_points_to_stdout(lrnn, tmp_path):
    flags = ("--target", "anova", "--dim", 12, "--points", 300, "--heldout", 100, *SMALL)
    done = lrnn("fit-function", *flags, "-o", "-", "-q")
    assert done.code == 0, done.err
    assert list(tmp_path.iterdir()) == []
    record = lrnn("fit-function", *flags, "-o", "run", "--json", "-q").json()
    stored = np.load(tmp_path / "run" / "output.npz")
    assert stored["points"].shape == (300, 12)
    assert np.square(stored["fit"] - stored["target"]).mean() == pytest.approx(record["metrics"]["mse"])
    assert (tmp_path / "run" / "output.npz").read_bytes() == done.raw
    assert lrnn("info", "run").code == 0


def test_an_expression_is_fitted_until_a_goal(lrnn):
    flags = ("--rank", 12, "--steps", 500, "--until", "mse=1e-3", "--mesh", 16, "--json", "-q")
    record = lrnn("fit-function", "sin(3*x)*exp(-y)", "--dim", 2, *flags).json()
    assert record["train"]["outcome"] == "target" and record["train"]["steps"] < 500
    assert record["metrics"]["mse"] <= 1.0e-3
    assert record["metrics"]["formula"] == "sin(3*x)*exp(-y)"


def test_labels_and_other_models(lrnn):
    flags = ("--target", "random-labels", "-m", "mlp-relu", "--width", 8, "--steps", 20, "--json", "-q")
    record = lrnn("fit-function", *flags).json()
    assert 0.45 < record["metrics"]["accuracy"] < 0.75


def test_an_interrupted_fit_goes_on_to_the_same_result(lrnn, tmp_path):
    flags = ("fit-function", "--target", "anova", "--points", 500, *SMALL, "--steps", 100, "-b", 100)
    assert lrnn(*flags, "-o", "whole", "-q", "--threads", 1).code == 0
    running = lrnn.start(*flags, "-o", "run")
    running.wait_for("20 %")
    running.send(signal.SIGTERM)
    assert running.finish().code == 143
    lrnn(*flags, "--data-seed", 1, "-o", "run", "--resume").refused(3, "another input")
    assert lrnn(*flags, "-o", "run", "--resume").code == 0
    results = [(tmp_path / name / "output.npz").read_bytes() for name in ("whole", "run")]
    assert results[0] == results[1]


def test_a_dry_run_and_the_printed_configuration(lrnn, tmp_path):
    plan = lrnn("fit-function", "--target", "chirp", "-p", "2k", "--time", "3s", "--dry-run", "--json").json()
    assert (plan["points"], plan["folder"]) == (1000, "runs/chirp/lrnn-s0")
    assert plan["model"]["config"]["omega_first"] == pytest.approx(66, rel=0.1)
    first = lrnn("fit-function", "x*y", "--zygmund", 0.5, *SMALL, "--print-config")
    (tmp_path / "c.yaml").write_text(first.out)
    assert lrnn("fit-function", "--config", "c.yaml", "--print-config").out == first.out


BAD = {
    "target": (("--target", "shrp-line"), 2, ("unknown 'shrp-line'", "did you mean 'sharp-line'?")),
    "nothing": ((), 2, ("no function",)),
    "two": (("x", "--target", "cusp"), 2, ("exclude each other",)),
    "attribute": (("x.__class__",), 2, ("expression, column 1", "attributes are not allowed")),
    "import": (("__import__('os')",), 2, ("unknown function '__import__'",)),
    "power": (("9^9^9",), 2, ("exponent 3.8742e+08; at most 100",)),
    "name": (("sinn(x)",), 2, ("unknown function 'sinn'; did you mean sin?",)),
    "variable": (("x*q",), 2, ("unknown name 'q'",)),
    "syntax": (("2x",), 2, ("write products with *",)),
    "empty": ((" ",), 2, ("empty expression",)),
    "pole": (("1/(x-x)",), 3, ("1000 infinite among 1000 values", "first at (-0.999)")),
    "nan": (("sqrt(x)",), 3, ("500 NaN among 1000 values",)),
    "overflow": (("x*1e39",), 3, ("must be finite, in float32",)),
    "dim": (("x", "--dim", 65), 2, ("--dim 65: expected 1 … 64",)),
    "dim-0": (("x", "--dim", 0), 2, ("--dim 0: expected 1 … 64",)),
    "dim-of-target": (("--target", "anova", "--dim", 65), 2, ("2 … 64 dimensions",)),
    "dim-fixed": (("--target", "chirp", "--dim", 2), 2, ("chirp is defined in 1 dimensions",)),
    "epsilon": (("--target", "sharp-ring", "--epsilon", 0), 2, ("function.epsilon", "greater than 0, got 0")),
    "epsilon-nan": (("--target", "sharp-ring", "--epsilon", "nan"), 2, ("function.epsilon", "got nan")),
    "epsilon-elsewhere": (("--target", "anova", "--epsilon", 1), 2, ("--epsilon means nothing for anova",)),
    "order": (("--target", "anova", "--dim", 3, "--order", 4), 2, ("--order 4", "order 1 … 3")),
    "alpha": (("--target", "cusp", "--alpha", -1), 2, ("function.alpha", "greater than 0")),
    "zygmund": (("x", "--zygmund", 3), 2, ("function.zygmund", "less than or equal to 2")),
    "mesh": (("x*y*z", "--mesh", 1000), 2, ("1000^3 samples", "use --points")),
    "mesh-and-points": (("x", "--mesh", 9, "--points", 9), 2, ("mesh and points exclude each other",)),
    "points": (("x", "--points", "many"), 2, ("'many' is not a count",)),
    "constant-of-expression": (("x", "--k", 3), 2, ("--k belongs to a named target",)),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_makes_no_sense_is_named_and_nothing_is_written(lrnn, tmp_path, kind):
    flags, code, words = BAD[kind]
    lrnn("fit-function", *flags, *SMALL).refused(code, *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", NAMED)
def test_every_target_has_its_figures(lrnn, tmp_path, target):
    done = lrnn("fit-function", "--target", target, *SMALL, "--steps", 3, "-o", "run", "--json", "-q")
    assert done.code == 0, done.err
    measures = done.json()["metrics"]
    labels, irregular = target == "random-labels", target.startswith(("sharp", "cusp"))
    always = ("mse", "max_error", "rel_l2", "zygmund", "zygmund_order", "zygmund_target")
    beside = ("mse_heldout", "max_error_heldout", "rel_l2_heldout")
    assert all(isinstance(measures[name], float) for name in always)
    assert all((measures[name] is None) is labels for name in beside)
    assert (measures["accuracy"] is None) is not labels
    for name in ("energy_near", "energy_elsewhere", "energy_near_share", "near_share", "near_distance"):
        assert (measures[name] is None) is not irregular, name
    assert (tmp_path / "run" / "preview.png").read_bytes().startswith(b"\x89PNG")


NEIGHBOURS = ("polynomial", "multiplicative", "iat-relu", "iat-relu-decoupled")


@pytest.mark.parametrize("model", NEIGHBOURS)
def test_the_neighbours_train_at_a_budget(lrnn, tmp_path, model):
    """Products and learned activations beside LRNN, on a function and on a photograph."""
    image = write_png(tmp_path / "colours.png", colours())
    flags = ("-m", model, "-p", "1500", "--steps", 4, "--json", "-q")
    for command in (
        ("fit-function", "--target", "sharp-line", "--mesh", 30),
        ("fit-image", image),
    ):
        record = lrnn(*command, *flags, "-o", command[0]).json()
        assert record["status"] == "ok" and record["model"]["name"] == model
        assert abs(record["model"]["params"] / 1500 - 1) < 0.12  # as near as a whole width comes
        assert record["train"]["steps"] == 4
