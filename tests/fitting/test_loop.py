"""Training: what it learns, what it does when things go wrong, and what it reports."""

import math

import pytest
import torch

from lrnn_cli.errors import DeviceError, FitError
from lrnn_cli.fitting import least_squares, loop
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.least_squares import training_loss
from lrnn_cli.fitting.outcome import Outcome
from lrnn_cli.fitting.schedule import rate_factor
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.numerics.coords import Grid
from tests import references
from tests.cases import CASES, case_id
from tests.fitting.support import CPU, LRNN, SIREN, events, make_trainer, picture, same, weights

BOTH = pytest.mark.parametrize("case", [LRNN, SIREN], ids=["lrnn", "siren"])


def final_loss(case, **options):
    trainer = make_trainer(picture(), case, **options)
    events(trainer)
    return trainer.final_loss


NEURON = {"rank": 1, "dbar": 2, "depth": 1, "sigma": "sin", "omega_first": 5.0, "layer_norm": False}


def planted():
    """The output of one neuron on a grid, and the neuron."""
    neuron = build("lrnn", config_class("lrnn")(**NEURON), n_inputs=2, n_outputs=1, seed=3)
    with torch.no_grad():
        return neuron(Grid((16, 16)).coords(torch.arange(256))).reshape(16, 16, 1), neuron


def test_a_neurons_own_output_is_learnt():
    values, _ = planted()
    student = ("lrnn", {**NEURON, "rank": 8})
    trainer = make_trainer(values, student, lr=3e-2, steps=200, lstsq=("start", "end"))
    events(trainer)
    assert trainer.final_loss < 0.02 * trainer.samples.variance()


def test_a_neuron_nearby_is_found_again():
    values, neuron = planted()
    trainer = make_trainer(
        values, ("lrnn", NEURON), lr=3e-2, steps=300, schedule="exp:0.001", dtype=torch.float64
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for own, true in zip(trainer.parameters, neuron.parameters(), strict=True):
            own.copy_(true + 0.02 * true.abs() * torch.randn(true.shape, generator=generator))
        trainer.model.head.bias.sub_(0.5).mul_(2.0)  # the targets are normalised
        trainer.model.head.weight.mul_(2.0)
    start = training_loss(trainer.model, trainer.samples, trainer.runner)
    events(trainer)
    assert start > 1e-3 * trainer.samples.variance()
    assert trainer.final_loss < 1e-3 * start


@BOTH
def test_twice_the_steps_are_not_worse(case):
    for seed in range(3):
        short, long = (final_loss(case, lr=1e-2, steps=steps, seed=seed) for steps in (40, 80))
        assert long <= 1.02 * short


@pytest.mark.parametrize(
    "case, good, high, steps",
    [(LRNN, 1e-2, 0.3, 160), (SIREN, 1e-2, 1.0, 250), (SIREN, 1e-2, 10.0, 250)],
    ids=["lrnn", "siren", "siren-more"],
)
def test_too_high_a_rate_is_survived(case, good, high, steps):
    trainer = make_trainer(picture(), case, lr=high, steps=steps)
    happened = events(trainer)
    assert trainer.counts.rollbacks + trainer.counts.fresh_starts > 0
    assert any("learning rate x" in event for event in happened)
    assert trainer.outcome is Outcome.BUDGET
    assert trainer.final_loss <= 1.2 * final_loss(case, lr=good, steps=steps)


def test_without_the_guard_too_high_a_rate_learns_nothing():
    trainer = make_trainer(picture(), SIREN, lr=10.0, steps=250, guard=False)
    assert not any("learning rate" in event for event in events(trainer))
    assert trainer.final_loss > 0.5 * trainer.samples.variance()


def test_diverged_in_the_end():
    trainer = make_trainer(picture(), SIREN, lr=1e30, optimizer="sgd", steps=1000, lstsq=("end",))
    start = weights(trainer)
    happened = events(trainer)
    assert trainer.outcome is Outcome.DIVERGED
    assert trainer.counts.rollbacks == loop.MAX_RETURNS + 1
    assert happened[0] == "the loss is not finite: back to step 0, learning rate x 0.5"
    assert happened[loop.MAX_RETURNS].endswith(", and no further")
    assert same(weights(trainer), start)  # the last good state
    assert math.isfinite(trainer.final_loss)
    assert "lower --lr" in trainer.outcome.sentence


def broken(trainer):
    """The same trainer with a NaN among its weights, at every start."""
    with torch.no_grad():
        trainer.parameters[0].view(-1)[0] = torch.nan
    model = trainer.model
    trainer.fresh = lambda attempt: model
    return trainer


@pytest.mark.parametrize("guard", [True, False])
def test_never_a_finite_loss(guard):
    trainer = broken(make_trainer(picture(), SIREN, guard=guard))
    with pytest.raises(FitError, match=r"^the loss is not finite from the very first step; use a lower --lr"):
        events(trainer)
    assert trainer.counts.fresh_starts == (loop.MAX_RETURNS if guard else 0)


def test_a_bad_start_is_left_for_a_fresh_one():
    trainer = make_trainer(picture(), SIREN, steps=50)
    with torch.no_grad():
        trainer.parameters[0].view(-1)[0] = torch.nan
    assert events(trainer) == ["the loss is not finite: fresh start, learning rate x 0.3"]
    assert trainer.counts == loop.Counts(fresh_starts=1)
    assert trainer.final_loss < trainer.samples.variance()


def test_the_state_gone_back_to_stays_as_it_was():
    trainer = make_trainer(picture(), SIREN)
    steps = trainer.run()
    for _ in range(25):
        next(steps)
    snapshot = trainer.snapshot
    good = [t.clone() for t in snapshot.weights]
    moments = [t.clone() for entry in snapshot.optimizer.values() for t in entry.values()]
    trainer._go_back(loop.Verdict.BROKE_OUT)
    assert same(weights(trainer), good)
    for _ in range(5):
        next(steps)
    assert trainer.snapshot is snapshot
    assert not same(weights(trainer), good)
    assert same(snapshot.weights, good)
    assert same([t for entry in snapshot.optimizer.values() for t in entry.values()], moments)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_every_model_trains(case):
    trainer = make_trainer(picture(8, 8, 2), case, lr=1e-3, steps=12, lstsq=("start", "end"))
    start = training_loss(trainer.model, trainer.samples, trainer.runner)
    events(trainer)
    assert trainer.outcome is Outcome.BUDGET
    assert trainer.final_loss < min(start, trainer.samples.variance())
    assert trainer.final_loss == training_loss(trainer.model, trainer.samples, trainer.runner)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "nadam", "sgd"])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_every_optimiser_learns(optimizer, precision):
    trainer = make_trainer(picture(), SIREN, optimizer=optimizer, lr=3e-3, steps=60, dtype=precision)
    start = training_loss(trainer.model, trainer.samples, trainer.runner)
    events(trainer)
    assert trainer.final_loss < 0.8 * start


@BOTH
@pytest.mark.parametrize("batch", [None, 100])
def test_the_same_bits_for_any_number_of_threads(case, batch):
    results = []
    for threads in (1, 2):
        runner = BlockRunner(CPU, threads=threads, block_points=32)
        trainer = make_trainer(picture(), case, runner=runner, batch=batch, steps=30, lstsq=("start", "end"))
        records = [(step.loss, step.lr) for step in trainer.run()]
        runner.close()
        results.append((records, trainer.final_loss, weights(trainer)))
    assert results[0][:2] == results[1][:2]
    assert same(results[0][2], results[1][2])


def test_blocks_do_not_change_the_gradient():
    gradients = []
    for block in (7, 64, 1000):
        runner = BlockRunner(CPU, block_points=block)
        trainer = make_trainer(picture(), LRNN, runner=runner, dtype=torch.float64)
        gradients.append(trainer._gradient(torch.arange(256)))
    for loss, parts in gradients[1:]:
        assert loss == pytest.approx(gradients[0][0], rel=1e-12)
        for a, b in zip(parts, gradients[0][1], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_memory_running_out_is_mended_once():
    trainer = make_trainer(picture(), SIREN, steps=10)

    def refuse(module, args):
        if len(args[0]) > 40:
            raise MemoryError

    trainer.model.register_forward_pre_hook(refuse)
    assert events(trainer) == ["out of memory: blocks of 32 points from here on"]
    assert trainer.counts == loop.Counts(out_of_memory=1)
    assert trainer.outcome is Outcome.BUDGET


def test_memory_running_out_for_good():
    trainer = make_trainer(picture(), SIREN, steps=10)

    def refuse(module, args):
        raise MemoryError

    trainer.model.register_forward_pre_hook(refuse)
    with pytest.raises(DeviceError, match="out of memory on cpu even with blocks of"):
        events(trainer)


@pytest.mark.parametrize("until, bound", [("15dB", 10**-1.5), ("mse=0.02", 0.02)])
@pytest.mark.parametrize("batch", [None, 40])
def test_the_target_holds_over_all_points(until, bound, batch):
    trainer = make_trainer(picture(), SIREN, lr=1e-2, batch=batch, steps=3000, until=until)
    events(trainer)
    assert trainer.outcome is Outcome.TARGET
    assert trainer.step < 3000
    samples = trainer.samples
    with torch.no_grad():
        values = samples.restore(trainer.model(samples.coords(torch.arange(256))))
    expected = references.mse(values.numpy(), picture().reshape(-1, 1).float().numpy())
    assert expected <= bound * (1 + 1e-5)
    assert samples.mse(trainer.final_loss) == pytest.approx(expected, rel=1e-4)


def test_a_lucky_batch_is_no_target():
    trainer = make_trainer(picture(), SIREN, batch=40, steps=100, until="30dB")
    trainer.guard.smooth_loss = 1e-9
    assert not trainer._target_reached()
    assert trainer.next_check == 0.98 * 1e-9  # not asked again before there is news
    trainer._target_mse = 10.0
    trainer.guard.smooth_loss = 1e-10
    assert trainer._target_reached()


def spoilt_after_the_last_step(amount):
    trainer = make_trainer(picture(), SIREN, steps=30)
    happened, last = [], None
    for step in trainer.run():
        happened.append(step.event)
        if step.step == 30 and last is None:  # the record of how it ended has this number, too
            last = weights(trainer)
            with torch.no_grad():
                trainer.parameters[0].add_(amount)
    return trainer, happened, last


def test_a_last_state_that_is_worse_is_not_kept():
    trainer, happened, _ = spoilt_after_the_last_step(0.3)
    assert happened[-1] == "kept the better state of step 20"
    assert same(weights(trainer), trainer.snapshot.weights)
    assert trainer.final_loss == training_loss(trainer.model, trainer.samples, trainer.runner)


def test_a_last_state_that_is_better_is_kept():
    trainer, happened, last = spoilt_after_the_last_step(0.0)
    assert happened[-1] is None
    assert same(weights(trainer), last)


def test_records():
    trainer = make_trainer(picture(), SIREN, lr=2e-3, steps=40, schedule="exp:0.1", warmup_steps=4)
    records = list(trainer.run())
    assert [r.step for r in records] == list(range(1, 41))
    for k, record in enumerate(records):
        expected = 2e-3 * rate_factor("exp:0.1", progress=k / 40, step=k, warmup_steps=4)
        assert record.lr == pytest.approx(expected, rel=1e-12)
        assert record.progress == k / 40
        assert record.psnr_db == trainer.samples.psnr_db(record.loss)  # full batch: no running mean
        assert record.event is None
    assert trainer.outcome is Outcome.BUDGET
    assert [r.seconds for r in records] == sorted(r.seconds for r in records)


def test_least_squares_at_the_start_and_at_the_end():
    trainer = make_trainer(picture(), SIREN, steps=5, lstsq=("start", "end"))
    plain = make_trainer(picture(), SIREN, steps=5)
    first, *_, last = list(trainer.run())
    assert first.event.startswith("output layer solved by least squares at the start: ")
    assert last.event.startswith("output layer solved by least squares at the end: ")
    assert last.step == 5
    events(plain)
    assert trainer.final_loss < plain.final_loss


def test_an_output_layer_too_large_for_least_squares_is_named(monkeypatch):
    monkeypatch.setattr(loop, "LARGEST_HEAD", 1)
    monkeypatch.setattr("lrnn_cli.fitting.least_squares.LARGEST_HEAD", 1)
    trainer = make_trainer(picture(), SIREN, steps=2, lstsq=("start",))
    assert next(iter(trainer.run())).event == (
        "output layer not solved by least squares at the start: over 1 features"
    )


def test_least_squares_on_a_plateau(monkeypatch):
    monkeypatch.setattr(loop, "PLATEAU_STEPS", 10)
    trainer = make_trainer(picture(), SIREN, lr=1e-9, steps=30, lstsq=("plateau",))
    happened = events(trainer)
    assert happened
    assert all("least squares on a plateau" in event for event in happened)


def test_part_of_the_points_at_the_start(monkeypatch):
    monkeypatch.setattr(least_squares, "START_POINTS", 50)
    monkeypatch.setattr(least_squares, "START_POINTS_PER_FEATURE", 1)
    first = next(make_trainer(picture(), SIREN, lstsq=("start",)).run())
    assert "at the start over 50 points" in first.event


def test_a_budget_of_time():
    trainer = make_trainer(picture(), SIREN, steps=None, time_s=0.2)
    records = list(trainer.run())
    assert trainer.outcome is Outcome.BUDGET
    assert records[-1].seconds >= 0.1
    assert 0.2 <= trainer.elapsed < 20
    assert 0 < records[-1].progress < 1


def test_interrupted():
    trainer = make_trainer(picture(), SIREN, lstsq=("end",))
    records = []
    for step in trainer.run(lambda: len(records) == 7):
        records.append(step)
    assert trainer.outcome is Outcome.INTERRUPTED
    assert trainer.step == 7
    assert all(r.event is None for r in records)  # nothing is solved or chosen


def test_the_gradients_norm_is_limited():
    settings = {"optimizer": "sgd", "schedule": "const", "warmup_steps": 0, "steps": 1, "lr": 1e-2}
    changes = []
    for limit in (None, 1e-3):
        trainer = make_trainer(picture(), SIREN, clip_norm=limit, dtype=torch.float64, **settings)
        before = weights(trainer)
        events(trainer)
        change = [b - a for a, b in zip(before, weights(trainer), strict=True)]
        changes.append(torch.cat([c.flatten() for c in change]))
    assert float(changes[1].norm()) == pytest.approx(1e-5)
    torch.testing.assert_close(changes[1] / changes[1].norm(), changes[0] / changes[0].norm())


def test_parameters_have_rates_of_their_own():
    settings = {"optimizer": "sgd", "schedule": "const", "warmup_steps": 0, "steps": 1, "lr": 1e-4}
    trainer = make_trainer(picture(), LRNN, dtype=torch.float64, **settings)
    before = weights(trainer)
    _, gradients = trainer._gradient(torch.arange(256))
    events(trainer)
    names = [name for name, _ in trainer.model.named_parameters()]
    assert len({trainer.model.rate_factor(name) for name in names}) > 1
    for name, old, new, gradient in zip(names, before, weights(trainer), gradients, strict=True):
        torch.testing.assert_close(old - new, 1e-4 * trainer.model.rate_factor(name) * gradient)


def test_one_pixel():
    trainer = make_trainer(picture(1, 1, 3), LRNN, steps=60, lstsq=("start", "end"))
    events(trainer)
    assert trainer.outcome is Outcome.BUDGET
    assert trainer.final_loss < 1e-8
