"""Reconstructions that are stopped and taken up again: the same bits, wherever the stop was."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lrnn_cli.errors import CheckpointError
from lrnn_cli.fitting.checkpoint import encode, encode_fitted, read
from lrnn_cli.numerics.phantoms import Ellipse, bin_sinogram, raster
from lrnn_cli.numerics.projection import Geometry
from lrnn_cli.signals.sinogram import Sinogram
from lrnn_cli.signals.slices import Slice, read_slice
from lrnn_cli.tasks.ct_settings import CtSettings
from lrnn_cli.tasks.ct_state import encode_run, restore_run
from lrnn_cli.tasks.reconstruct_ct import CtTask

N = 16
SHAPES = (Ellipse(0.5, 0.6, 0.7), Ellipse(0.4, 0.15, 0.25, 0.25, 0.1))
STEPS = 30


@pytest.fixture
def disc(tmp_path: Path) -> Slice:
    np.save(tmp_path / "disc.npy", raster(SHAPES, N))
    return read_slice(tmp_path / "disc.npy")


def settings(**method: Any) -> CtSettings:
    return CtSettings.model_validate(
        {
            "scan": {"views": 8, "noise": "poisson", "i0": 1e4},
            "method": {"methods": ["lrnn", "fbp", "tv", "siren"], **method},
            "model": {"params": 300},
            "fit": {"steps": STEPS, "seed": 3, "threads": 1, "batch_points": 100, "engine": "fused"},
        }
    )


def result(task: CtTask) -> dict[str, bytes]:
    """What a finished task has, as bytes."""
    images = {name: image.numpy().tobytes() for name, image in task.done.images.items()}
    return {**images, **{name: encode_fitted(fitted) for name, fitted in task.networks().items()}}


def run(task: CtTask, stop_after: tuple[str, int] | None = None) -> int:
    """Run until records of a method reached a number, or to the end; return the number of records."""
    n_records, stop = 0, threading.Event()
    for step in task.steps(stop.is_set):
        n_records += 1
        name = step.event.split(":")[0] if step.event else (task.current.name if task.current else "")
        if stop_after is not None and name == stop_after[0] and step.step >= stop_after[1]:
            stop.set()
    return n_records


STOPS = [("fbp", 0), ("tv", 0), ("lrnn", 1), ("lrnn", 17), ("lrnn", STEPS), ("siren", 2), ("siren", 29)]


def test_wherever_it_stops_it_ends_alike(disc: Slice, tmp_path: Path) -> None:
    wanted = settings()
    whole = CtTask(disc, wanted)
    run(whole)
    assert not whole.is_halted and set(result(whole)) == {"fbp", "tv", "lrnn", "siren"}
    state = tmp_path / "state.safetensors"
    task = CtTask(disc, wanted)
    for stop in STOPS:  # one after the other: each part goes on from the one before
        n_records = run(task, stop)
        assert task.is_halted, stop
        state.write_bytes(encode_run(task, "key", n_records))
        task = CtTask(disc, wanted)
        assert restore_run(task, state, "key") == n_records
    run(task)
    assert not task.is_halted
    assert result(task) == result(whole)
    a, b = (one.reconstructions(one.networks()) for one in (whole, task))
    assert all(np.array_equal(a[name].u, b[name].u) for name in a)
    assert task.done.seconds["lrnn"] > task.done.seconds["tv"] > 0


def test_the_state_between_two_steps_is_whole(disc: Slice, tmp_path: Path) -> None:
    """As it is written every half minute, without a stop; rounds fall on some of these steps."""
    whole = CtTask(disc, settings())
    run(whole)
    state, task = tmp_path / "state.safetensors", CtTask(disc, settings())
    for step in task.steps(lambda: False):
        if task.current is not None and step.step in (5, 12, 13):
            state.write_bytes(encode_run(task, "key", 0))
            again = CtTask(disc, settings())
            restore_run(again, state, "key")
            run(again)
            assert result(again) == result(whole), step.step
        if task.current is not None and step.step == 13:
            break


def test_a_stop_in_a_classical_method_drops_it(disc: Slice) -> None:
    task, asked = CtTask(disc, settings()), 0

    def later() -> bool:
        nonlocal asked
        asked += 1
        return asked > 40  # in the middle of TV's search

    events = [str(step.event) for step in task.steps(later)]
    assert len(events) == 1 and events[0].startswith("fbp: ")
    assert task.is_halted and set(task.done.images) == {"fbp"} and task.done.start is None
    run(task)  # as good as new
    assert set(result(task)) == {"fbp", "tv", "lrnn", "siren"}


def test_a_stop_before_all(disc: Slice) -> None:
    task = CtTask(disc, settings())
    assert not list(task.steps(lambda: True)) and task.is_halted
    assert not task.reconstructions(task.networks())


def test_the_digest_covers_angles_and_weights(disc: Slice) -> None:
    angles = np.pi * np.arange(6) / 6
    values = bin_sinogram(SHAPES, Geometry(N, angles, 23))
    digests = {
        CtTask(Sinogram(*what, "s", "s.npy", "", "float64"), measured_settings()).input_digest
        for what in (
            (values, angles, None), (values + 1e-9, angles, None), (values, angles + 0.01, None),
            (values, angles, np.ones_like(values)),
        )
    }  # fmt: skip
    assert len({*digests, CtTask(disc, settings()).input_digest}) == 5


def measured_settings() -> CtSettings:
    return CtSettings.model_validate(
        {"scan": {"sinogram": "s.npy", "size": N}, "method": {"methods": ["fbp"]}}
    )


def test_states_that_do_not_fit(disc: Slice, tmp_path: Path) -> None:
    state, task = tmp_path / "state.safetensors", CtTask(disc, settings())
    run(task, ("lrnn", 4))
    state.write_bytes(encode_run(task, "key", 0))
    with pytest.raises(CheckpointError, match="another input or configuration; repeat its options, or start"):
        restore_run(CtTask(disc, settings()), state, "other")
    tensors, header = read(state, "lrnn.resume/1")
    broken: list[tuple[dict[str, torch.Tensor], dict[str, Any]]] = [
        ({k: v for k, v in tensors.items() if k != "current.dual"}, header),
        ({k: v for k, v in tensors.items() if k != "start"}, header),
        (tensors, {**header, "seconds": None}),
        ({**tensors, "what.else": torch.zeros(1)}, header),
    ]
    for parts, head in broken:
        state.write_bytes(encode(parts, head))
        with pytest.raises(CheckpointError, match="resume state is incomplete"):
            restore_run(CtTask(disc, settings()), state, "key")


def test_a_network_needs_a_start(disc: Slice) -> None:
    with pytest.raises(ValueError, match="start: expected one before a network begins"):
        CtTask(disc, settings()).begin("lrnn")
