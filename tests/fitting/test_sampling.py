"""Batches: every point once per pass, the same ones again after resuming."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.fitting.sampling import BatchSampler

SIZES = {"n": st.integers(1, 60), "batch": st.integers(1, 80), "seed": st.integers(0, 2**31 - 1)}


def draw(sampler, n_batches):
    return [sampler.next().tolist() for _ in range(n_batches)]


@given(**SIZES)
def test_every_point_once_per_pass(n, batch, seed):
    sampler = BatchSampler(n, batch, seed)
    batches = draw(sampler, 5 * n // min(batch, n) + 5)
    assert {len(b) for b in batches} == {min(batch, n)}
    drawn = [k for b in batches for k in b]
    for start in range(0, len(drawn) - n + 1, n):
        assert sorted(drawn[start : start + n]) == list(range(n))


@given(**SIZES, steps=st.integers(0, 30))
def test_a_restored_sampler_continues_identically(n, batch, seed, steps):
    one, other = BatchSampler(n, batch, seed), BatchSampler(n, batch, seed)
    draw(one, steps)
    other.restore(one.state())
    assert draw(one, 12) == draw(other, 12)
    assert one.state() == other.state()


def test_passes_differ_and_seeds_differ():
    first = draw(BatchSampler(50, 25, 0), 4)
    assert first[:2] != first[2:]
    assert sorted(first[0] + first[1]) == sorted(first[2] + first[3])
    seeds = [0, 1, 2, 255, 256, 512, 2**30]  # some share their low bits
    assert len({tuple(BatchSampler(50, 49, seed).next().tolist()) for seed in seeds}) == 7


def test_all_points_at_once_come_in_their_own_order():
    sampler = BatchSampler(7, 100, 3)
    assert sampler.is_full
    assert sampler.batch_points == 7
    assert draw(sampler, 2) == [list(range(7))] * 2


def test_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    draw(BatchSampler(20, 7, 1), 10)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("state", [{"passes": 0, "position": 20}, {"passes": -1, "position": 0}])
def test_an_impossible_state(state):
    with pytest.raises(ValueError, match="position"):
        BatchSampler(20, 7, 1).restore(state)
