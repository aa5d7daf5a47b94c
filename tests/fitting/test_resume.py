"""A run continued from its state is the run that was never stopped, to the last bit."""

import json
import math

import pytest
import safetensors.torch
import torch

from lrnn_cli.errors import CheckpointError
from lrnn_cli.fitting import loop
from lrnn_cli.fitting.guard import Verdict
from lrnn_cli.fitting.resume import encode_state, restore_state
from tests.cases import CASES, case_id
from tests.fitting.support import LRNN, SIREN, events, make_trainer, picture, same, weights

STOP, STEPS = 27, 45


def run(trainer, until=math.inf, disturb=None):
    """Train up to a step; `disturb` may act on the trainer after step 22."""
    records = []
    for step in trainer.run(lambda: trainer.step >= until):
        records.append((step.step, step.loss, step.lr, step.event))
        if trainer.step == 22 and disturb is not None:
            disturb(trainer)
    return records


def go_back(trainer):
    trainer._go_back(Verdict.BROKE_OUT)


def start_afresh(trainer):
    trainer.snapshot = None
    trainer._go_back(Verdict.NOT_FINITE)


def check(tmp_path, case, disturb=None, **options):
    """Compare a run stopped and continued with one that was not."""
    options = {"lr": 1e-2, "steps": STEPS, "lstsq": ("start", "plateau", "end"), **options}
    whole, first = (make_trainer(picture(8, 9), case, **options) for _ in range(2))
    expected = run(whole, disturb=disturb)
    begun = run(first, STOP, disturb)
    assert first.step == STOP
    path = tmp_path / "state.safetensors"
    path.write_bytes(encode_state(first, "key", "fused"))
    second = make_trainer(picture(8, 9), case, **options)
    with torch.no_grad():
        for parameter in second.parameters:
            parameter.add_(1.0)  # nothing of the start is used
    assert restore_state(second, path, "key") == "fused"
    assert encode_state(second, "key", "fused") == path.read_bytes()
    assert begun + run(second) == expected
    assert same(weights(second), weights(whole))
    assert second.final_loss == whole.final_loss
    assert (second.counts, second.guard, second.outcome) == (whole.counts, whole.guard, whole.outcome)
    return expected


@pytest.mark.parametrize("case", [LRNN, SIREN], ids=["lrnn", "siren"])
@pytest.mark.parametrize("batch", [None, 31], ids=["full", "batches"])
@pytest.mark.parametrize("disturb", [None, go_back, start_afresh])
def test_the_same_bits(tmp_path, case, batch, disturb):
    check(tmp_path, case, disturb, batch=batch)


@pytest.mark.parametrize("optimizer", ["adamw", "nadam", "sgd"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("disturb", [None, go_back])
def test_the_same_bits_for_other_optimisers(tmp_path, optimizer, dtype, disturb):
    check(tmp_path, SIREN, disturb, batch=31, optimizer=optimizer, dtype=dtype, lr=3e-3)


def test_a_run_goes_on_with_the_optimiser_that_it_began_with(tmp_path):
    """The default is another where the device is another: NAdam's state must not become Adam's."""
    options = {"batch": 31, "lr": 2e-3, "optimizer": "nadam", "steps": 40}
    whole, first = (make_trainer(picture(8, 9), SIREN, **options) for _ in range(2))
    run(whole)
    run(first, STOP)
    path = tmp_path / "state.safetensors"
    path.write_bytes(encode_state(first, "key", "fused"))
    second = make_trainer(picture(8, 9), SIREN, **{**options, "lr": 1e-3, "optimizer": "adam"})
    restore_state(second, path, "key")
    assert (second.optimizer_name, second.lr) == ("nadam", 2e-3)
    run(second)
    assert same(weights(second), weights(whole))


def test_an_unknown_optimiser_is_refused_by_name():
    trainer = make_trainer(picture(8, 9), SIREN)
    with pytest.raises(ValueError, match="optimizer 'magic': expected one of adam, adamw, nadam, sgd"):
        trainer.use_optimizer("magic", 1e-3)


def test_the_same_bits_on_a_plateau(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "PLATEAU_STEPS", 8)
    monkeypatch.setattr(loop, "PLATEAU_GAIN", 0.0)  # every step is one of a plateau
    records = check(tmp_path, SIREN, batch=31)
    happened = [step for step, _, _, event in records if event and "on a plateau" in event]
    assert happened == [8, 16, 24, 32, 40]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_same_bits_for_every_model(tmp_path, case):
    check(tmp_path, case, batch=31, lr=1e-3)


def test_a_state_without_a_good_state(tmp_path):
    trainer = make_trainer(picture(8, 9), SIREN)
    start_afresh(trainer)
    path = tmp_path / "state"
    path.write_bytes(encode_state(trainer, "key", "fused"))
    other = make_trainer(picture(8, 9), SIREN)
    restore_state(other, path, "key")
    assert other.snapshot is None
    assert other.counts.fresh_starts == 1


def test_resuming_after_the_last_step(tmp_path):
    trainer = make_trainer(picture(8, 9), SIREN, steps=10, lstsq=("end",))
    events(trainer)
    path = tmp_path / "state"
    path.write_bytes(encode_state(trainer, "key", "fused"))
    other = make_trainer(picture(8, 9), SIREN, steps=10, lstsq=("end",))
    restore_state(other, path, "key")
    (record,) = list(other.run())
    assert record.step == 10
    assert record.loss == other.final_loss <= trainer.final_loss


@pytest.fixture
def state():
    trainer = make_trainer(picture(8, 9), SIREN, batch=31)
    run(trainer, 25)
    return encode_state(trainer, "key", "fused")


def rewritten(state, change):
    """The state file with another header or other tensors."""
    tensors = safetensors.torch.load(state)
    length = int.from_bytes(state[:8], "little")
    header = json.loads(json.loads(state[8 : 8 + length])["__metadata__"]["lrnn"])
    change(header, tensors)
    header.pop("tensors_sha256", None)  # whoever forges a state leaves it out
    return safetensors.torch.save(tensors, metadata={"lrnn": json.dumps(header)})


def set_in(*keys, value):
    def change(header, tensors):
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    "change, words",
    [
        (set_in("run_key", value="other"), "written by a run with another input, configuration or number"),
        (
            set_in("format", value="lrnn.checkpoint/1"),
            "expected format lrnn.resume/1, got 'lrnn.checkpoint/1'",
        ),
        (set_in("progress", value={}), "resume state is incomplete"),
        (set_in("progress", "step", value="many"), "resume state is incomplete"),
        (set_in("progress", "step", value=math.inf), "resume state is incomplete"),
        (set_in("guard", "magic", value=1), "resume state is incomplete"),
        (set_in("counts", value=None), "resume state is incomplete"),
        (set_in("sampler", "position", value=10**6), "resume state is incomplete"),
        (set_in("sampler", value=[]), "resume state is incomplete"),
        (set_in("plain", value=[1]), "resume state is incomplete"),
        (set_in("snapshot", value={}), "resume state is incomplete"),
        (lambda header, tensors: header.pop("guard"), "resume state is incomplete"),
        (set_in("optimizer", value="magic"), "resume state is incomplete"),
        (lambda header, tensors: tensors.pop("weight.0"), "resume state is incomplete"),
        (lambda header, tensors: tensors.pop("good.weight.1"), "resume state is incomplete"),
        (
            lambda header, tensors: tensors.update({"weight.0": torch.zeros(3, 5)}),
            "resume state is incomplete",
        ),
        (lambda header, tensors: tensors.update({"optimizer.99.step": torch.zeros(1)}), "resume state is"),
    ],
)
def test_states_that_make_no_sense(tmp_path, state, change, words):
    path = tmp_path / "state.safetensors"
    path.write_bytes(rewritten(state, change))
    with pytest.raises(CheckpointError) as caught:
        restore_state(make_trainer(picture(8, 9), SIREN, batch=31), path, "key")
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_a_header_sets_nothing_else(tmp_path, state):
    path = tmp_path / "state.safetensors"
    path.write_bytes(rewritten(state, set_in("progress", "model", value="planted")))
    trainer = make_trainer(picture(8, 9), SIREN, batch=31)
    model = trainer.model
    restore_state(trainer, path, "key")
    assert trainer.model is model


@pytest.mark.parametrize("size", [0, 4, 8, 100, -1])
def test_truncated(tmp_path, state, size):
    path = tmp_path / "state.safetensors"
    path.write_bytes(state[:size])
    with pytest.raises(CheckpointError, match="it is truncated, or no checkpoint"):
        restore_state(make_trainer(picture(8, 9), SIREN, batch=31), path, "key")
