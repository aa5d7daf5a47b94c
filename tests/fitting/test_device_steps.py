"""Steps that are only launched: the same training, read late; here on the CPU, where nothing has to wait."""

import math

import pytest
import torch

from lrnn_cli.fitting import device_steps, loop
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.cuda_graph import Recorded
from lrnn_cli.fitting.device_steps import READ_EVERY, suits
from lrnn_cli.fitting.group import Group
from lrnn_cli.fitting.launch import Place
from lrnn_cli.fitting.resume import encode_state, restore_state
from tests.fitting.support import CPU, events, make_trainer, picture, same, weights


@pytest.fixture
def launched(monkeypatch):
    """Trainers that launch their steps, whatever the device."""
    monkeypatch.setattr(loop, "suits", lambda runner, optimizer: optimizer in device_steps.OPTIMIZERS)


def both(monkeypatch, **settings):
    """The same training twice: as on the CPU, and launched."""
    plain = make_trainer(picture(), **settings)
    monkeypatch.setattr(loop, "suits", lambda runner, optimizer: True)
    return plain, make_trainer(picture(), **settings)


def test_for_which_runs():
    runner = BlockRunner(CPU)
    assert not suits(runner, "adam")
    runner.device = torch.device("cuda")
    assert suits(runner, "adam") and suits(runner, "adamw")
    assert not suits(runner, "sgd") and not suits(runner, "nadam")
    runner.group = Group()
    runner.group.place = Place(0, 2, 0, 2)
    assert not suits(runner, "adam")


@pytest.mark.parametrize(
    "settings", [{}, {"clip_norm": 0.01}, {"optimizer": "adamw"}, {"batch": 60}], ids=str
)
def test_the_same_training(monkeypatch, settings):
    plain, launched = both(monkeypatch, steps=40, **settings)
    records = [list(trainer.run()) for trainer in (plain, launched)]
    assert plain.device_steps is None and launched.device_steps is not None
    assert [r.step for r in records[0]] == [r.step for r in records[1]]
    for a, b in zip(weights(plain), weights(launched), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert launched.final_loss == pytest.approx(plain.final_loss, rel=1e-3)
    assert launched.guard.smooth_loss == pytest.approx(plain.guard.smooth_loss, rel=1e-3)


def test_losses_are_read_every_so_often(launched):
    trainer = make_trainer(picture(), steps=2 * READ_EVERY + 1)
    seen = [record.loss for record in trainer.run()]
    assert all(math.isfinite(loss) for loss in seen)
    assert len(set(seen)) == 3  # after the first step, and after each full reading
    assert trainer.guard.steps_since_start == 2 * READ_EVERY + 1  # none is lost


def test_a_gradient_that_is_not_finite_changes_nothing(launched):
    trainer = make_trainer(picture(), steps=100)
    steps = trainer.device_steps
    steps.launch(trainer.sampler.next(), 1e-3)
    before = weights(trainer)
    moments = [v.clone() for entry in trainer.optimizer.state.values() for v in entry.values()]
    trainer.samples.targets[0] = torch.nan
    steps.launch(trainer.sampler.next(), 1e-3)
    assert same(before, weights(trainer))
    after = [v for entry in trainer.optimizer.state.values() for v in entry.values()]
    assert same(moments, after)
    (loss, norm), (bad, _) = steps.read()
    assert math.isfinite(loss) and math.isfinite(norm) and math.isnan(bad)


def test_going_back(launched):
    trainer = make_trainer(picture(), steps=60)
    happened = []
    for record in trainer.run():
        if record.step == 20:
            with torch.no_grad():
                trainer.parameters[0].fill_(torch.nan)
        if record.event:
            happened.append(record.event)
    assert happened[0] == "the loss is not finite: back to step 17, learning rate x 0.5"
    assert trainer.counts.rollbacks == 1
    assert all(p.isfinite().all() for p in trainer.parameters)
    assert str(trainer.outcome) == "budget"


def test_a_fresh_start(launched):
    trainer = make_trainer(picture(), steps=1000, lr=1e-9)
    first = next(record.event for record in trainer.run() if record.event)
    assert first == "nothing was learned: fresh start, learning rate x 0.3"
    assert trainer.device_steps.optimizer is trainer.optimizer


def test_a_resumed_run(launched, tmp_path):
    whole, broken = (make_trainer(picture(), steps=40, batch=60) for _ in range(2))
    list(whole.run())
    run = broken.run(should_stop=lambda: broken.step == 17)
    list(run)
    path = tmp_path / "state"
    path.write_bytes(encode_state(broken, "key", "fused"))
    again = make_trainer(picture(), steps=40, batch=60)
    assert restore_state(again, path, "key") == "fused"
    list(again.run())
    for a, b in zip(weights(whole), weights(again), strict=True):
        torch.testing.assert_close(a, b)


def test_less_memory(launched, monkeypatch):
    trainer = make_trainer(picture(), steps=3)
    trainer.runner.block_points = 64
    real, calls = trainer.samples.squared_error, []

    def tight(prediction, indices):
        calls.append(len(indices))
        if len(indices) > 32:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(prediction, indices)

    monkeypatch.setattr(trainer.samples, "squared_error", tight)
    assert events(trainer)[0] == "out of memory: blocks of 32 points from here on"
    assert trainer.runner.block_points == 32
    assert trainer.counts.out_of_memory == 1
    assert calls[:2] == [64, 32]


def test_a_graph_that_cannot_be_recorded_is_told(launched, monkeypatch):
    monkeypatch.setattr(Recorded, "_aside", lambda self: self.work())  # there are no streams here
    trainer = make_trainer(picture(), steps=30)
    trainer.device_steps.work.wanted = True  # there is no CUDA here
    told = events(trainer)
    assert len(told) == 1
    assert told[0].startswith("no CUDA graph, operations are launched one by one (")
    assert not trainer.device_steps.work.wanted
    assert trainer.step == 30


def test_work_that_failed_was_no_warm_up(monkeypatch):
    """Memory may run out while warming up: what the optimiser sets up must not be part of the graph."""
    did = []

    def work():
        did.append("work")
        if len(did) <= 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    recorded = Recorded(work, torch.device("cuda"))
    monkeypatch.setattr(Recorded, "_aside", lambda self: self.work())  # there are no streams here
    monkeypatch.setattr(Recorded, "_record", lambda self: did.append("record"))
    runner = BlockRunner(CPU, block_points=1024)
    for _ in range(4):
        runner.with_less_memory(recorded)
    assert did == ["work"] * 6 + ["record", "work"]


def test_a_graph_is_recorded_after_warming_up_and_played(launched, monkeypatch):
    trainer = make_trainer(picture(), steps=10)
    played = []

    class Graph:
        def replay(self):
            played.append(trainer.step)
            trainer.device_steps._gradient_and_update()

    def record(self):
        self._graph = Graph()

    monkeypatch.setattr(Recorded, "_record", record)
    monkeypatch.setattr(Recorded, "_aside", lambda self: self.work())  # there are no streams here
    trainer.device_steps.work.wanted = True
    list(trainer.run())
    assert played == list(range(3, 10))
    trainer.load_optimizer({})
    assert trainer.device_steps.work._graph is None
