"""What a kind of signal wants of a model lies below what the user gives, and in no other task's way."""

import math

import numpy as np
import pytest
import torch

from lrnn_cli.fitting.least_squares import RIDGE
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.catalog import CATALOG, config_class
from lrnn_cli.signals.audio import AudioOptions
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks import tuned as tuned_module
from lrnn_cli.tasks.fit_audio import AudioTask
from lrnn_cli.tasks.fit_function import FunctionTask, sample_function
from lrnn_cli.tasks.fit_image import ImageTask
from lrnn_cli.tasks.function_settings import FunctionOptions
from lrnn_cli.tasks.regression import ModelChoice, Regression, make_plan
from lrnn_cli.tasks.settings import preset
from lrnn_cli.tasks.tuned import PICTURES, PLAIN, SOUNDS, by_signal, settle, tuned_for

FIT = FitSettings(steps=3, device="cpu", threads=1)
SMALL = ModelChoice(options={"rank": 4, "dbar": 2, "depth": 1})


def picture(height: int = 128, width: int = 64) -> Signal:
    values = np.linspace(-1, 1, height * width, dtype=np.float32).reshape(height, width, 1)
    return Signal(values=values, kind="image", peak=1.0, name="a", path="a", sha256="", format={})


def sound(hertz: float = 440.0, seconds: float = 0.5, rate: int = 8000) -> Signal:
    t = np.arange(round(seconds * rate)) / rate
    values = np.sin(2 * np.pi * hertz * t)[:, None].astype(np.float32)
    fmt = {"sample_rate": rate, "container": "WAV", "dtype": "PCM_16", "channels": 1}
    return Signal(values=values, kind="audio", peak=1.0, name="a", path="a", sha256="", format=fmt)


def image_plan(model, fit=None, **options):
    choice = ModelChoice(name=model, options=options)
    return ImageTask(picture()).plan(choice, FIT.model_copy(update=fit or {}))


def audio_plan(model, fit=None, **options):
    task = AudioTask(sound(), AudioOptions(segments=1))
    return task.plan(ModelChoice(name=model, options=options), FIT.model_copy(update=fit or {}))


def differs(plan) -> dict:
    """Return the options in which a plan is not the model's own default for the signal's shape."""
    shape = (128, 64) if plan.n_inputs == 2 else (4000,)
    own = config_class(plan.model_name)().for_signal(shape).model_dump()
    return {k: v for k, v in plan.config.model_dump().items() if v != own[k]}


def near(found, expected) -> bool:
    """Words are equal, numbers nearly."""
    return found.keys() == expected.keys() and all(
        found[key] == (value if isinstance(value, str) else pytest.approx(value))
        for key, value in expected.items()
    )


# --- what pictures and sounds want, model by model: the numbers of docs/models.md

LRNN = {"dbar": 2, "rank": 219, "omega_first": 113.137, "omega_hidden": 10.0}  # 160 for 256 pixels
LRNN |= {"first_scales": "spread", "hidden_rate": 0.5}


@pytest.mark.parametrize(
    ("model", "optimizer", "lr", "options"),
    [
        ("lrnn", "nadam", 4e-3, LRNN),
        ("siren", "adam", 1e-3, {}),
        ("spder", "adam", 1e-4, {}),
        ("finer", "adam", 1e-3, {"omega_first": 39.0, "first_bias": 2.6}),
        ("gauss", "adam", 1.2e-2, {"scale": 10.0}),
        ("wire", "adam", 1.2e-2, {"omega_first": 6.8, "omega_hidden": 8.4, "scale": 3.9}),
        ("fourier", "adam", 4.3e-2, {"scale": 3 * 5 * 128 / 256}),
        ("relu-pe", "adam", 1.2e-2, {}),
        ("mfn", "adam", 1e-2, {"scale": 2.9 * 128}),
        ("kan", "adam", 1e-3, {}),
        ("mlp-relu", "adam", 1e-3, {}),
    ],
)
def test_pictures(model, optimizer, lr, options):
    plan = image_plan(model)
    assert (plan.optimizer, plan.lr) == (optimizer, lr)
    assert near(differs(plan), options)
    assert (plan.as_dict()["optimizer"], plan.as_dict()["lr"]) == (optimizer, lr)


@pytest.mark.parametrize(
    ("shape", "omega"),
    [((256, 100), 160), ((300, 4000), 160), ((64, 128), 113.137), ((64, 17), 80), ((1, 9), 30), ((1, 1), 30)],
)
def test_the_first_frequency_of_lrnn_follows_the_size_of_a_small_picture(shape, omega):
    choice = ModelChoice(name="lrnn", options={"rank": 4})
    assert ImageTask(picture(*shape)).plan(choice, FIT).config.omega_first == pytest.approx(omega)
    given = choice.model_copy(update={"options": {"rank": 4, "omega_first": 7.0}})
    assert ImageTask(picture(*shape)).plan(given, FIT).config.omega_first == 7.0


OMEGA = 2 * math.pi * 440 * 0.5  # of baselines, 1382 rad: less than the most that SIREN and SPDER get


@pytest.mark.parametrize(
    ("model", "lr", "options"),
    [
        ("lrnn", 5e-4, {"omega_first": OMEGA / 2, "dbar": 2, "rank": 219}),
        ("siren", 2e-4, {"omega_first": OMEGA}),
        ("spder", 5.6e-4, {"omega_first": OMEGA, "omega_hidden": 100.0}),
        ("finer", 1.2e-2, {"omega_first": 0.34 * OMEGA, "first_bias": 0.42}),
        ("gauss", 1e-3, {}),
        ("wire", 5e-3, {"omega_first": OMEGA}),
        ("fourier", 1.2e-2, {"scale": 0.34 * OMEGA / (2 * math.pi)}),
        ("relu-pe", 4.3e-2, {}),
        ("mfn", 4.3e-2, {"scale": 2.9 * 4000}),
        ("kan", 4.3e-2, {"grid": 23}),
        ("mlp-relu", 1e-3, {}),
    ],
)
def test_sounds(model, lr, options):
    plan = audio_plan(model)
    assert (plan.optimizer, plan.lr) == ("adam", lr)
    assert differs(plan) == pytest.approx(options, rel=1e-3)


# --- the laws


def test_both_tables_are_of_models_and_their_options():
    for table in (PICTURES, SOUNDS):
        for model, tuned in table.items():
            assert set(tuned.options) <= set(config_class(model).model_fields)


@pytest.mark.parametrize("model", CATALOG)
@pytest.mark.parametrize("plan_of", [image_plan, audio_plan])
def test_what_the_user_gives_stays(plan_of, model):
    kind = "image" if plan_of is image_plan else "audio"
    fields = config_class(model).model_fields
    decided = {*by_signal(kind, model), *tuned_for(kind, model).options}
    others = {"first_scales": "equal"}  # of words
    given = {key: others.get(key, 7) for key in sorted(decided) if key in fields}
    plan = plan_of(model, {"lr": 1e-4, "optimizer": "sgd"}, **given)
    assert (plan.optimizer, plan.lr) == ("sgd", 1e-4)
    assert {key: getattr(plan.config, key) for key in given} == given


def test_a_rate_belongs_to_its_optimiser():
    """Another optimiser than the tuned one takes the rate found with adam, or the model's own."""
    assert image_plan("lrnn", {"optimizer": "adam"}).lr == 2e-3
    assert image_plan("lrnn", {"optimizer": "nadam"}).lr == 4e-3
    assert image_plan("lrnn", {"optimizer": "adamw"}).lr == 1e-3
    own_rate = image_plan("lrnn", {"lr": 5e-4})
    assert (own_rate.optimizer, own_rate.lr) == ("nadam", 5e-4)
    assert audio_plan("lrnn").optimizer == "adam"
    assert audio_plan("lrnn", {"optimizer": "nadam"}).lr == 1e-3


def test_steps_on_a_gpu_are_adams(monkeypatch):
    monkeypatch.setattr(tuned_module, "resolve_device", lambda asked: torch.device("cuda"))
    _, fit = settle(picture(), SMALL, FIT, PICTURES["lrnn"])
    assert (fit.optimizer, fit.lr) == ("adam", 2e-3)
    asked = FIT.model_copy(update={"optimizer": "nadam"})
    assert settle(picture(), SMALL, asked, PICTURES["lrnn"])[1].lr == 4e-3


@pytest.mark.parametrize("model", CATALOG)
def test_plans_without_a_task_and_searches_take_a_model_as_it_is(model):
    """As of CT, and a search from a model's own defaults."""
    for signal, task in (
        (picture(), ImageTask(picture(), tuned=PLAIN)),
        (sound(), AudioTask(sound(), AudioOptions(segments=1), tuned=PLAIN)),
    ):
        bare = make_plan(signal, ModelChoice(name=model), FIT)
        assert differs(bare) == {}
        assert (bare.optimizer, bare.lr) == ("adam", config_class(model).default_lr)
        plain = task.plan(ModelChoice(name=model), FIT)
        assert (plain.optimizer, plain.lr) == (bare.optimizer, bare.lr)
        assert plain.start_ridge == bare.start_ridge == RIDGE
        assert set(differs(plain)) <= ({"omega_first", "scale"} if signal.kind == "audio" else set())


@pytest.mark.parametrize("model", sorted({*PICTURES, *SOUNDS}))
def test_lrnn_solves_its_first_output_layer_with_a_ridge_on_pictures_alone(model):
    plan = image_plan(model)
    assert plan.start_ridge == (0.1 if model == "lrnn" else RIDGE)
    assert Regression(picture(), (0.5, 0.5), plan, FIT).trainer.start_ridge == plan.start_ridge
    assert audio_plan(model).start_ridge == RIDGE


@pytest.mark.parametrize("model", sorted({*PICTURES, *SOUNDS}))
def test_functions_take_nothing_from_the_tables(model):
    given = FunctionOptions(target="sharp-ring")
    task = FunctionTask(sample_function(given), given)
    plan = task.plan(ModelChoice(name=model, options={}), FIT)
    own = config_class(model)().for_signal(task.signal.resolution).model_dump()
    others = {k: v for k, v in plan.config.model_dump().items() if k != "omega_first"}
    assert others == {k: v for k, v in own.items() if k != "omega_first"}
    assert (plan.optimizer, plan.lr) == ("adam", config_class(model).default_lr)


def test_an_option_that_is_null_counts_as_left_out():
    assert image_plan("mfn", scale=None).config.scale == image_plan("mfn").config.scale
    assert audio_plan("fourier", scale=None).config.scale == audio_plan("fourier").config.scale


@pytest.mark.parametrize(
    ("kind", "model", "expected"),
    [
        ("image", "fourier", {"scale"}),
        ("image", "lrnn", {"omega_first"}),
        ("audio", "lrnn", {"omega_first"}),
        ("image", "finer", set()),
        ("image", "gauss", set()),
        ("audio", "finer", {"omega_first"}),
        ("audio", "gauss", set()),  # a constant
        ("audio", "wire", {"omega_first"}),
        ("function", "mfn", {"scale"}),
        ("ct", "mfn", set()),
        ("fit", "mfn", set()),
    ],
)
def test_what_a_signal_decides(kind, model, expected):
    assert by_signal(kind, model) == expected


@pytest.mark.parametrize(("kind", "field"), [("image", "published"), ("audio", "published_sound")])
def test_published_settings_leave_nothing_to_be_tuned(kind, field):
    """So that --preset paper is the authors' whatever is found here."""
    for model, row in CATALOG.items():
        if (published := getattr(row, field)) is None:
            continue
        searched = {*by_signal(kind, model), *tuned_for(kind, model).options}
        assert searched & set(config_class(model).model_fields) <= set(published["model"]), model
        assert {"lr", "optimizer"} <= set(preset("paper", model, kind)["fit"])


def test_the_run_uses_and_records_what_the_plan_says():
    image = picture(6, 5)
    run = Regression(image, (0.0, 1.0), ImageTask(image).plan(SMALL, FIT), FIT)
    for _ in run.steps(lambda: False):
        pass
    run.close()
    assert type(run.trainer.optimizer).__name__ == "NAdam"
    assert run.summary()["optimizer"] == "nadam"
