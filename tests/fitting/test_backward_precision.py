"""Rounded products of the backward pass: in use below 45 dB, full beyond, and the run says when."""

import math

import torch

from lrnn_cli.fitting.backward import FULL_FROM_DB
from lrnn_cli.fitting.resume import encode_state, restore_state
from tests.fitting.support import SIREN, events, make_trainer, picture


def precisions(trainer):
    return {layer.backward for layer in trainer.model.layers}


def test_rounded_until_the_fit_is_good():
    trainer = make_trainer(picture(), steps=30, backward="bfloat16")
    assert precisions(trainer) == {"bfloat16"}
    happened = []
    for record in trainer.run():
        if record.step == 10:
            trainer.guard.smooth_loss = 4 * 10 ** (-(FULL_FROM_DB + 1) / 10)  # of targets in [-1, 1]
        if record.event:
            happened.append((record.step, record.event))
        assert precisions(trainer) == {"bfloat16" if record.step <= 10 else "full"}
    assert happened == [(11, "products of the backward pass in full from here on: 45 dB")]
    assert trainer.backward.full_from == 10


def test_just_below_nothing_happens():
    trainer = make_trainer(picture(), steps=3, backward="bfloat16")
    run = trainer.run()
    next(run)
    trainer.guard.smooth_loss = 4 * 10 ** (-(FULL_FROM_DB - 0.01) / 10)
    next(run)
    assert precisions(trainer) == {"bfloat16"}
    assert math.isinf(trainer.backward.full_from)


def test_a_resumed_run_remembers_when(tmp_path):
    trainer = make_trainer(picture(), steps=30, backward="bfloat16")
    for record in trainer.run(lambda: trainer.step == 20):
        if record.step == 10:
            trainer.guard.smooth_loss = 1e-9
    path = tmp_path / "state"
    path.write_bytes(encode_state(trainer, "key", "fused"))
    again = make_trainer(picture(), steps=30, backward="bfloat16")
    restore_state(again, path, "key")
    assert again.backward.full_from == 10


def test_models_without_product_layers_have_nothing_to_choose():
    trainer = make_trainer(picture(), SIREN, steps=2, backward="bfloat16")
    assert events(trainer) == []


def test_full_by_default():
    trainer = make_trainer(picture(), steps=2)
    trainer.guard.smooth_loss = 0.0
    assert events(trainer) == []
    assert precisions(trainer) == {"full"}
    assert torch.isfinite(trainer.parameters[0]).all()
