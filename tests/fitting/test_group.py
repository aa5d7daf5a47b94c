"""Several processes on one fit: shares, sums, and what happens when the others are gone."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.errors import DeviceError
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.group import ALONE, LOST, Group, Processes, join
from lrnn_cli.fitting.launch import Place
from lrnn_cli.fitting.least_squares import solve_head, training_loss
from tests.fitting.support import CPU, make_trainer, picture, same, weights


class Recorded(Group):
    """The first of several processes; the sums of the others are played back from a tape."""

    def __init__(self, rank, size, tape=None):
        self.place, self.tape, self.said = Place(rank, size, rank, size), tape, []

    def sum_(self, tensors):
        mine = [t.clone() for t in tensors]
        self.said.append(mine)
        if self.tape is not None:
            for tensor, others in zip(tensors, self.tape.pop(0), strict=True):
                tensor.add_(others)


@given(st.integers(0, 1000), st.integers(1, 9))
def test_shares_cover_all_and_are_equal(n, size):
    parts = [Recorded(k, size).share(n) for k in range(size)]
    assert [parts[0].start, parts[-1].stop] == [0, n]
    assert all(a.stop == b.start for a, b in pairwise(parts))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 1


def test_alone_there_is_nothing_to_do():
    tensor = torch.ones(3)
    ALONE.sum_([tensor])
    assert tensor.tolist() == [1, 1, 1]
    assert ALONE.largest([2.0, -1.0]) == [2.0, -1.0]
    assert ALONE.first(True) and not ALONE.first(False)
    assert (ALONE.rank, ALONE.size, ALONE.share(7)) == (0, 1, slice(0, 7))
    assert join(CPU) is ALONE


def test_two_shares_make_one_gradient():
    values = picture()
    alone = make_trainer(values, batch=100, dtype=torch.float64)
    indices = alone.sampler.next()
    loss, gradients = alone._gradient(indices)
    halves = []
    for rank in range(2):
        runner = BlockRunner(CPU, group=Recorded(rank, 2))
        halves.append(make_trainer(values, batch=100, dtype=torch.float64, runner=runner)._gradient(indices))
    assert halves[0][0] + halves[1][0] == pytest.approx(loss, rel=1e-12)
    for whole, a, b in zip(gradients, halves[0][1], halves[1][1], strict=True):
        torch.testing.assert_close(a + b, whole, rtol=1e-9, atol=1e-12)


def test_a_share_may_be_empty():
    runner = BlockRunner(CPU, group=Recorded(0, 3))
    loss, gradients = make_trainer(picture(4, 4), batch=2, runner=runner)._gradient(torch.tensor([3, 5]))
    assert loss == 0
    assert all((g == 0).all() for g in gradients)


def test_loss_and_output_layer_over_shares():
    values = picture()
    alone = make_trainer(values, dtype=torch.float64)
    loss = training_loss(alone.model, alone.samples, alone.runner)
    before, after = solve_head(alone.model, alone.samples, alone.runner)
    trainers, said = [], []
    for rank in (1, 0):  # what the second says is played to the first
        group = Recorded(rank, 2, None)
        trainer = make_trainer(values, dtype=torch.float64, runner=BlockRunner(CPU, group=group))
        training_loss(trainer.model, trainer.samples, trainer.runner)
        said.append(group.said)
        trainers.append(trainer)
    assert float(said[0][0][0] + said[1][0][0]) / 256 == pytest.approx(loss, rel=1e-12)
    second = make_trainer(values, dtype=torch.float64, runner=BlockRunner(CPU, group=Recorded(1, 2)))
    group = second.runner.group
    solve_head(second.model, second.samples, second.runner)
    moments = group.said[0]
    first = make_trainer(values, dtype=torch.float64)
    first.runner.group = Recorded(0, 2, [moments, [torch.zeros(1, dtype=torch.float64)]])
    found, _ = solve_head(first.model, first.samples, first.runner)
    assert found == pytest.approx(before, rel=1e-12)
    torch.testing.assert_close(first.model.head.weight, alone.model.head.weight, rtol=1e-6, atol=1e-9)
    assert after < before


def test_a_stop_wished_by_any_process_stops_all():
    class Wished(Group):
        def largest(self, values):
            return [values[0], 1.0]

    trainer = make_trainer(picture(), runner=BlockRunner(CPU, group=Wished()))
    assert list(trainer.run()) == []
    assert str(trainer.outcome) == "interrupted"


def test_the_clock_is_that_of_the_latest():
    class Late(Group):
        def largest(self, values):
            return [values[0] + 100.0, values[1]]

    trainer = make_trainer(picture(), runner=BlockRunner(CPU, group=Late()), steps=None, time_s=50.0)
    assert list(trainer.run()) == []
    assert str(trainer.outcome) == "budget"


def test_another_process_that_ended(monkeypatch):
    lone = object.__new__(Processes)

    def gone(*arguments, **options):
        raise RuntimeError("Connection closed by peer")

    with pytest.raises(DeviceError) as caught:
        lone._call(gone)
    assert str(caught.value) == LOST == "another process of this run has ended; what it said is the reason"


def test_processes_that_cannot_meet(monkeypatch):
    import torch.distributed as dist

    def refuse(*arguments, **options):
        raise RuntimeError("address in use\nmore of it")

    monkeypatch.setattr(dist, "init_process_group", refuse)
    with pytest.raises(DeviceError) as caught:
        Processes(CPU)
    assert str(caught.value) == "the processes of this run cannot meet: address in use"


def test_without_a_group_nothing_changes():
    one, other = make_trainer(picture(), steps=5), make_trainer(picture(), steps=5)
    other.runner.group = ALONE
    for trainer in (one, other):
        list(trainer.run())
    assert same(weights(one), weights(other))
