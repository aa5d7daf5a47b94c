"""Drawing a fit: where the points lie, and how much is in memory at a time."""

import numpy as np
import pytest
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.predict import predict
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.tasks import render

FORM = render.Format("TIFF", "float32", ("L", "A"), 0.0, 1.0, ())


def fit(shape=(7, 5), kind="image", evaluation=None):
    config = config_class("lrnn")(rank=3, dbar=2, depth=1)
    return Fitted(
        model_name="lrnn",
        config=config,
        model=build("lrnn", config, n_inputs=len(shape), n_outputs=2, seed=0),
        n_inputs=len(shape),
        n_outputs=2,
        shift=0.5,
        scale=0.5,
        peak=1.0,
        shape=shape,
        kind=kind,
        signal={"channels": ["L", "A"], "dtype": "uint8"},
        evaluation=evaluation or {},
    )


@pytest.mark.parametrize("part_values", [1, 40, 90, 10**6])
@pytest.mark.parametrize("threads", [1, 2])
def test_bands_hold_the_bits_of_the_whole(monkeypatch, part_values, threads):
    monkeypatch.setattr(render, "PART_VALUES", part_values)
    fitted, runner = fit(), BlockRunner(torch.device("cpu"), threads=threads, block_points=16)
    view = render.make_view(fitted, size=(11, 13))
    bands = list(render.draw(fitted, view, FORM, runner))
    assert np.array_equal(np.concatenate(bands), predict(fitted, Grid((13, 11)), runner).numpy())
    # a part is rounded up to blocks; what is left of a row waits for the next
    largest = (max(part_values // 2, 1) + 16 + 11) // 11
    assert max(map(len, bands)) <= largest
    runner.close()


def test_the_next_band_is_computed_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(render, "PART_VALUES", 32)
    fitted, runner = fit(), BlockRunner(torch.device("cpu"), block_points=16)
    view = render.make_view(fitted, size=(4, 10**8))  # would take hours
    bands = render.draw(fitted, view, FORM, runner)
    assert [next(bands).shape for _ in range(3)] == [(4, 4, 2)] * 3


def test_views():
    fitted = fit((7, 5))
    whole = render.make_view(fitted)
    assert (whole.height, whole.width, whole.grid) == (7, 5, Grid((7, 5)))
    assert render.make_view(fitted, scale=2.5).grid.shape == (18, 12)  # 17.5 and 12.5 to even
    assert render.make_view(fitted, scale=1e-9).grid.shape == (1, 1)
    part = render.make_view(fitted, region=(1.25, 0.0, 2.5, 7.0), scale=4)
    assert part.grid.shape == (28, 5)
    assert part.grid.lower == (-1.0, -0.5)
    assert part.grid.upper == (1.0, 0.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"region": (0, 0, 1e-30, 1)}, "too small to be told from a line, 0,0,1e-30,1; enlarge it"),
        ({"region": (0, 0, 1, 1e-30), "size": (4, 4)}, "too small to be told from a line"),
        (
            {"region": (0, 0, 1e300, 1e300), "size": (4, 4)},
            "places within 1e+06 times the size of the original",
        ),
        ({"region": (-1e9, 0, 1, 1)}, "places within 1e+06 times the size of the original"),
        ({"scale": 1e308}, "scale: 1e+308 is too large for any file; give a smaller one"),
    ],
)
def test_views_that_rounding_leaves_nothing_of(options, words):
    with pytest.raises(ConfigError) as found:
        render.make_view(fit(), **options)
    assert words in str(found.value)


@pytest.mark.parametrize("shape", [(7, 5), (1, 1), (3, 1000), (769, 113)])
def test_the_whole_as_a_region_is_the_whole(shape):
    height, width = shape
    assert render.make_view(fit(shape), region=(0, 0, width, height)).grid == Grid(shape)


@pytest.mark.parametrize("fitted", [fit((7,)), fit((7, 5), "audio"), fit((3, 4, 5))])
def test_only_images_are_drawn(fitted):
    with pytest.raises(ConfigError, match="render draws fitted images"):
        render.make_view(fitted)


@pytest.mark.parametrize(
    "evaluation",
    [
        {},
        {"device": "cpu", "engine": "fused", "block_points": 48},
        {"device": 3, "engine": None, "block_points": -1},
        {"device": "cpu", "engine": "auto", "block_points": 2**70},
        {"device": "cpu", "engine": "fused", "block_points": True},
    ],
)
def test_the_machine_is_that_of_the_fit_as_far_as_it_makes_sense(evaluation):
    machine = render.make_machine(fit(evaluation=evaluation), device="auto", threads=1, engine="auto")
    assert machine.notes == ()
    assert machine.runner.block_points == (48 if evaluation.get("block_points") == 48 else 1024)
    assert machine.engine.name in ("fused", "compiled")
    machine.runner.close()


def test_an_engine_that_is_not_possible_here_gives_way(monkeypatch):
    monkeypatch.setenv("LRNN_NO_COMPILER", "1")
    before = {"device": "cpu", "engine": "compiled", "block_points": 1024}
    machine = render.make_machine(fit(evaluation=before), device="auto", threads=1, engine="auto")
    assert machine.engine.name == "fused"
    assert machine.notes == ("fitted with compiled, evaluated with fused: the last bits may differ",)
    with pytest.raises(ConfigError, match="no C compiler"):
        render.make_machine(fit(evaluation=before), device="auto", threads=1, engine="compiled")
