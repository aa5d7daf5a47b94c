"""Which optimiser trains what: NAdam where a model asks for it and the signal is a picture, else Adam."""

import numpy as np
import pytest

from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.lrnn import LrnnConfig
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.regression import ModelChoice, Regression, make_plan
from lrnn_cli.tasks.settings import preset

FIT = FitSettings(steps=3, device="cpu", threads=1)
SMALL = ModelChoice(options={"rank": 4, "dbar": 2, "depth": 1})


def signal(kind: str) -> Signal:
    shape = {"image": (6, 5, 1), "audio": (30, 1)}[kind]
    values = np.linspace(-1, 1, 30, dtype=np.float32).reshape(shape)
    return Signal(values=values, kind=kind, peak=1.0, name="a", path="a", sha256="", format={})


@pytest.mark.parametrize(
    ("kind", "model", "asked", "expected"),
    [
        ("image", "lrnn", {}, ("nadam", LrnnConfig.nadam_lr)),
        ("image", "lrnn", {"lr": 5e-4}, ("nadam", 5e-4)),
        ("image", "lrnn", {"optimizer": "adam"}, ("adam", LrnnConfig.default_lr)),
        ("image", "siren", {}, ("adam", 1e-3)),
        ("image", "siren", {"optimizer": "nadam"}, ("nadam", 1e-3)),
        ("audio", "lrnn", {}, ("adam", LrnnConfig.default_lr)),
        ("audio", "lrnn", {"optimizer": "nadam"}, ("nadam", LrnnConfig.nadam_lr)),
    ],
)
def test_the_plan_says_optimiser_and_rate(kind, model, asked, expected):
    plan = make_plan(signal(kind), ModelChoice(name=model), FIT.model_copy(update=asked))
    assert (plan.optimizer, plan.lr) == expected
    assert (plan.as_dict()["optimizer"], plan.as_dict()["lr"]) == expected


def test_the_run_uses_and_records_what_the_plan_says():
    image = signal("image")
    run = Regression(image, (0.0, 1.0), make_plan(image, SMALL, FIT), FIT)
    for _ in run.steps(lambda: False):
        pass
    run.close()
    assert type(run.trainer.optimizer).__name__ == "NAdam"
    assert run.summary()["optimizer"] == "nadam"


def test_published_settings_are_adams():
    assert preset("paper", "lrnn")["fit"]["optimizer"] == "adam"
