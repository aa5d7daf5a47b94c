"""What a fit of a function is measured by, and what is drawn of it, without training."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.points import rows_of
from lrnn_cli.numerics.regularity import zygmund
from lrnn_cli.tasks.fit_function import FunctionTask, sample_function
from lrnn_cli.tasks.function_settings import FunctionOptions, label
from lrnn_cli.tasks.learned_components import learned_curves
from lrnn_cli.tasks.regression import ModelChoice, Regression

FIT = FitSettings(steps=1, threads=1, engine="fused")


def evaluated(model="lrnn", width=4, **options):
    """Task, untrained fit and its evaluation."""
    given = FunctionOptions(**options)
    task = FunctionTask(sample_function(given), given)
    key = config_class(model).width_key
    plan = task.plan(ModelChoice(name=model, options={key: width}), FIT)
    run = Regression(task.signal, task.transform(), plan, FIT)
    fitted = run.fitted()
    return task, fitted, task.evaluate(fitted, run.runner)


def direct(fitted, rows):
    with torch.no_grad():
        return (
            (fitted.model(torch.from_numpy(rows).float()) * fitted.scale + fitted.shift)
            .double()
            .numpy()[:, 0]
        )


def test_the_measures_on_a_mesh_are_those_of_the_residual():
    task, fitted, evaluation = evaluated(target="sharp-ring", mesh=12)
    grid, found = Grid((12, 12)), evaluation.metrics
    residual = direct(fitted, rows_of(grid)) - task.target.values(rows_of(grid))
    assert found["mse"] == pytest.approx(np.square(residual).mean(), rel=1e-5)
    assert found["max_error"] == pytest.approx(np.abs(residual).max(), rel=1e-5)
    assert found["zygmund"] == pytest.approx(zygmund(residual.reshape(12, 12), [1 / 6] * 2, 1.0), rel=1e-4)
    near = np.abs(np.linalg.norm(rows_of(grid), axis=1) - 0.5) <= 0.1
    assert found["energy_near"] == pytest.approx(np.square(residual[near]).mean(), rel=1e-5)
    assert found["energy_elsewhere"] == pytest.approx(np.square(residual[~near]).mean(), rel=1e-5)
    assert (found["near_distance"], found["accuracy"]) == (0.1, None)
    rows = rows_of(Grid((24, 24)))
    beside = direct(fitted, rows) - task.target.values(rows)
    assert found["mse_heldout"] == pytest.approx(np.square(beside).mean(), rel=1e-5)
    assert found["heldout_points"] == 576
    stored = np.load(io.BytesIO(evaluation.output))
    assert stored["fit"] - stored["target"] == pytest.approx(residual.reshape(12, 12), abs=1e-5)
    assert np.array_equal(stored["x2"], grid.axes()[1])


def test_the_measures_at_scattered_points():
    task, fitted, evaluation = evaluated(target="anova", dim=5, order=3, points=200, heldout=300)
    found, rows = evaluation.metrics, task.signal.points
    assert rows.shape == (200, 5) and task.signal.values.shape == (200, 1)
    residual = direct(fitted, rows) - task.target.values(rows)
    assert found["mse"] == pytest.approx(np.square(residual).mean(), rel=1e-5)
    assert found["heldout_points"] == 300 and found["mse_heldout"] > 0
    assert found["zygmund"] > 0 and found["zygmund_heldout"] is None and found["energy_near"] is None
    stored = np.load(io.BytesIO(evaluation.output))
    assert np.array_equal(stored["points"], rows) and stored["fit"].shape == (200,)


def test_labels_have_an_accuracy_and_no_truth_beside_the_samples():
    task, fitted, evaluation = evaluated(target="random-labels")
    found = evaluation.metrics
    signs = np.sign(direct(fitted, rows_of(Grid((50, 50)))))
    assert found["accuracy"] == (signs == task.signal.values.reshape(-1)).mean()
    assert found["mse_heldout"] is None
    assert "accuracy" in evaluation.summary


def test_a_mesh_too_fine_to_refine_is_tested_at_fresh_points():
    _, _, evaluation = evaluated("mlp-relu", expression="x*y", mesh=600, heldout=50)
    assert evaluation.metrics["heldout_points"] == 50 and evaluation.metrics["zygmund_heldout"] is None


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("lrnn", {"target": "cusp"}),
        ("siren", {"expression": "x*y*z", "mesh": 6}),
        ("lrnn", {"target": "anova", "dim": 4, "points": 100}),
    ],
)
def test_the_preview_is_a_picture(model, options):
    task, _, evaluation = evaluated(model, **options)
    history = [{"step": 1, "seconds": 0.1, "psnr_db": 3.0}, {"step": 2, "seconds": 0.2, "psnr_db": 4.0}]
    picture = task.picture(evaluation, history)
    image = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    assert min(image.shape[:2]) > 500 and image.std() > 10


def test_constants_and_small_functions_have_a_scale():
    transforms = [
        FunctionTask(sample_function(o), o).transform()
        for o in (FunctionOptions(expression=text, mesh=8) for text in ("3+0*x", "0*x", "1e-9*x"))
    ]
    assert transforms[0] == (3.0, 1.0) and transforms[1] == (0.0, 1.0)
    assert transforms[2][1] == pytest.approx(1e-9 * np.sqrt(21 / 64), rel=1e-5)


def test_first_frequencies_follow_the_function_unless_given():
    def omega(model, expression, **more):
        options = FunctionOptions(expression=expression, **more)
        task = FunctionTask(sample_function(options), options)
        return task.plan(ModelChoice(name=model, options={}), FIT).config.omega_first

    assert omega("lrnn", "sin(40*x)") == pytest.approx(40, rel=0.05)
    assert omega("siren", "sin(40*x)") == pytest.approx(80, rel=0.05)
    assert omega("lrnn", "3") == 3.0 <= omega("lrnn", "x") < 4
    assert omega("lrnn", "sin(30*x1)+sin(30*x2)+sin(30*x3)+sin(30*x4)", dim=4) == pytest.approx(30, rel=0.05)
    task = FunctionTask(sample_function(FunctionOptions(target="chirp")), FunctionOptions(target="chirp"))
    given = task.plan(ModelChoice(name="lrnn", options={"omega_first": 7.0}), FIT)
    assert given.config.omega_first == 7.0


def test_components_are_those_of_the_layer():
    config = config_class("lrnn")(
        rank=2, dbar=1, depth=1, component_width=2, omega_first=6.0, layer_norm=False
    )
    model = build("lrnn", config, n_inputs=1, n_outputs=1, seed=0).double()
    curves, names, _ = learned_curves(model, 1)
    assert sorted(names) == ["g 1,1", "g 2,1"]
    # with one factor a neuron is 1 + gamma g: follow it through the domain, in the direction of t
    x = torch.linspace(-1, 1, curves.shape[1], dtype=torch.float64)[:, None]
    phi = model.features(x).detach().numpy()
    for name, curve in zip(names, curves, strict=True):
        neuron = int(re.match(r"g (\d+)", name)[1]) - 1
        straight = phi[:, neuron] if model.layers[0].weight[0, neuron, 0] > 0 else phi[::-1, neuron]
        assert 1 + curve == pytest.approx(straight, abs=1e-9)


def test_names_of_run_folders():
    names = {
        "cusp": FunctionOptions(target="cusp"),
        "anova-d6-m3": FunctionOptions(target="anova", dim=6, order=3),
        "sharp-line-e0p02-n64": FunctionOptions(target="sharp-line", epsilon=0.02, mesh=64),
        "random-labels-s4": FunctionOptions(target="random-labels", data_seed=4),
    }
    assert {label(options) for options in names.values()} == set(names)
    first, second = (label(FunctionOptions(expression=text)) for text in ("x*y", "x+y"))
    assert first != second and re.fullmatch(r"x-y-[0-9a-f]{6}", first)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"expression": "x", "mesh": 2**25}, "--mesh 33554432: 33554432\\^1 samples are more than 16777216"),
        ({"expression": "x", "dim": 4, "points": 2**23}, "--points 8388608: at most 4194304 in 4 dimensions"),
    ],
)
def test_more_samples_than_there_is_room_for(options, words):
    with pytest.raises(ConfigError, match=words):
        sample_function(FunctionOptions(**options))


def test_a_function_must_be_finite():
    with pytest.raises(InputError, match=r"expression 'log\(x\)': 4 NaN among 8 values, first at \(-0.875\)"):
        sample_function(FunctionOptions(expression="log(x)", mesh=8))
    with pytest.raises(InputError, match=r"infinite among 8 values.*must be finite, in float32"):
        sample_function(FunctionOptions(expression="x*1e40", mesh=8))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no function: give an expression"),
        ({"target": "cusp", "expression": "x"}, "exclude each other: give one function"),
        ({"target": "cusp", "mesh": 9, "points": 9}, "mesh and points exclude each other"),
        ({"expression": "x", "alpha": 1.0}, "--alpha belongs to a named target"),
    ],
)
def test_settings_that_make_no_sense(options, words):
    with pytest.raises(ValueError, match=words):
        FunctionOptions(**options)


def test_a_function_without_values_between_the_samples_is_measured_at_them_alone():
    _, _, evaluation = evaluated(expression="sqrt(x^2-0.001^2)", mesh=600)
    assert evaluation.metrics["mse"] > 0
    assert evaluation.metrics["mse_heldout"] is None and evaluation.metrics["heldout_points"] is None
    assert "beside" not in evaluation.summary
