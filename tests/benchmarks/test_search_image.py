"""The search for image settings: same draws for a seed, refinement near the best, values that exist."""

import random

import pytest

from benchmarks.search_image import IMAGES, choices, draw, pictures, refine
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.catalog import config_class


@pytest.mark.parametrize("model", ["lrnn", "siren"])
def test_every_value_of_the_search_is_a_setting(model):
    tables = choices(model)
    for key, values in tables["options"].items():
        for value in values:
            config_class(model)(**{key: value})
    for key, values in tables["fit"].items():
        if key != "steps_per_pass":
            for value in values:
                FitSettings(steps=1, **{key: value})


@pytest.mark.parametrize("model", ["lrnn", "siren"])
def test_refinement_changes_at_most_three_settings(model):
    best = draw(random.Random(1), model)
    assert best == draw(random.Random(1), model)
    for seed in range(20):
        trial = refine(random.Random(seed), model, best)
        changed = [
            key for part, table in best.items() for key, value in table.items() if trial[part][key] != value
        ]
        assert len(changed) <= 3
        assert {part: set(table) for part, table in trial.items()} == {p: set(t) for p, t in best.items()}


def test_the_pictures_are_squares():
    signals = pictures(16)
    assert len(signals) == len(IMAGES)
    assert {s.values.shape for s in signals} == {(16, 16, 3)}
