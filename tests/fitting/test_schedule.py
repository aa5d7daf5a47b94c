"""Learning rates over a run, and how the settings of a fit are read."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.schedule import rate_factor
from lrnn_cli.fitting.settings import FitSettings, parse_schedule, parse_target

DECAYS = ["inverse", "exp", "cos", "linear"]


def at(schedule, progress, step=1000, warmup_steps=0):
    return rate_factor(schedule, progress=progress, step=step, warmup_steps=warmup_steps)


def test_formulas():
    assert at("const", 0.7) == 1
    assert at("exp:0.01", 0.5) == pytest.approx(0.1)
    assert at("linear:0.2", 0.25) == pytest.approx(0.8)
    assert at("cos:0.2", 0.5) == pytest.approx(0.6)
    assert at("cos:0.2", 1 / 3) == pytest.approx(0.2 + 0.8 * 0.75)
    assert at("inverse:0.02", 0.5) == pytest.approx(1 / 25.5)
    assert [at("step:100:0.8", 0.9, step) for step in (0, 99, 100, 250)] == pytest.approx([1, 1, 0.8, 0.64])


@given(st.sampled_from(DECAYS), st.floats(0.001, 1), st.floats(0, 1), st.floats(0, 1))
def test_decays_fall_from_one_to_the_end_value(name, end, p, q):
    schedule = f"{name}:{end!r}"
    assert at(schedule, 0) == pytest.approx(1)
    assert at(schedule, 1) == pytest.approx(end)
    assert at(schedule, 1.3) == at(schedule, 1)  # a run over its time
    assert at(schedule, min(p, q)) >= at(schedule, max(p, q)) - 1e-12


@given(st.integers(1, 50), st.integers(0, 100))
def test_warm_up_rises_linearly(warmup_steps, step):
    expected = min(1.0, (step + 1) / warmup_steps)
    assert at("const", 0.5, step, warmup_steps) == expected
    assert at("exp:0.01", 0.5, step, warmup_steps) == pytest.approx(0.1 * expected)


@pytest.mark.parametrize("name", DECAYS)
def test_an_end_left_out_is_a_tenth(name):
    assert parse_schedule(name) == (name, (0.1,))
    assert parse_schedule(f"{name}:1") == (name, (1.0,))


def test_what_schedules_hold():
    assert parse_schedule("const") == ("const", ())
    assert parse_schedule("step:100:0.8") == ("step", (100.0, 0.8))


@pytest.mark.parametrize(
    "text",
    (
        "|cosine|const:1|exp:0|exp:-1|exp:2|exp:x|exp:|exp:0.1:0.1|linear:nan|step|step:10|step:0:0.5"
        "|step:10:0|step:10:2|step:2.5:0.5|step:inf:0.5|step:nan:1"
    ).split("|"),
)
def test_bad_schedules(text):
    for read in (parse_schedule, lambda t: FitSettings(steps=1, schedule=t)):
        with pytest.raises(ConfigError) as caught:
            read(text)
        assert str(caught.value) == (
            "schedule: expected const, inverse:END, exp:END, cos:END, linear:END (0 < END <= 1) "
            f"or step:EVERY:FACTOR, got {text!r}"
        )


@pytest.mark.parametrize(
    "text, expected",
    [
        ("40dB", ("psnr_db", 40.0)),
        (" 37.5 db ", ("psnr_db", 37.5)),
        ("4e1DB", ("psnr_db", 40.0)),
        (".5dB", ("psnr_db", 0.5)),
        ("mse=1e-5", ("mse", 1e-5)),
        ("MSE=0.25", ("mse", 0.25)),
    ],
)
def test_targets(text, expected):
    assert parse_target(text) == expected


@pytest.mark.parametrize(
    "text",
    ("|40|dB|mse|mse=|mse=0|mse=-1|-3dB|1.2.3dB|..dB|mse=1.2.3|1e999dB|mse=nan|infdB|40dB 1").split("|"),
)
def test_bad_targets(text):
    for read in (parse_target, lambda t: FitSettings(steps=1, until=t)):
        with pytest.raises(ConfigError) as caught:
            read(text)
        assert str(caught.value) == f"until: expected a target like 40dB or mse=1e-5, got {text!r}"


def test_a_run_needs_an_end():
    with pytest.raises(ValidationError, match="a run needs an end: give steps or time"):
        FitSettings()
    assert FitSettings(time_s=3).steps is None
    assert FitSettings(steps=3).time_s is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"time_s": 0},
        {"lr": 0},
        {"batch_points": 0},
        {"block_points": -1},
        {"batch_points": "some"},
        {"optimizer": "magic"},
        {"beta2": 1.0},
        {"clip_norm": 0},
        {"lstsq": ("never",)},
        {"precision": "float16"},
        {"threads": 0},
        {"seed": -1},
        {"seed": 2**31},
        {"stepz": 3},
    ],
    ids=str,
)
def test_settings_out_of_range(wrong):
    with pytest.raises(ValidationError):
        FitSettings(**{"steps": 1, **wrong})


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        FitSettings(steps=1).steps = 2


def test_the_rate_ends_where_the_budget_ends():
    assert math.isclose(at("inverse:0.02", 0.999999), 0.02, rel_tol=1e-3)
