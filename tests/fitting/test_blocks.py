"""Blocks on threads: in order, halved when memory runs out."""

import re
import threading
import time

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from lrnn_cli.errors import DeviceError
from lrnn_cli.fitting.blocks import (
    CPU_BLOCK,
    LEAST_CPU_BLOCK,
    SMALLEST_BLOCK,
    BlockRunner,
    auto_block,
    is_out_of_memory,
    paired,
    ranges,
)
from tests.fitting.support import CPU


@given(st.integers(0, 100), st.integers(1, 120))
def test_ranges_cover_everything_once(n, block):
    spans = ranges(n, block)
    assert [k for start, stop in spans for k in range(start, stop)] == list(range(n))
    assert all(0 < stop - start <= block for start, stop in spans)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(threads):
    runner = BlockRunner(CPU, threads=threads)

    def slow_at_first(item):
        time.sleep(0.02 if item < 3 else 0)
        return item, threading.get_ident()

    results = list(runner.map(slow_at_first, range(12)))
    assert [item for item, _ in results] == list(range(12))
    assert len({thread for _, thread in results}) == threads
    assert [item for item, _ in runner.map(slow_at_first, [5])] == [5]
    assert list(runner.map(slow_at_first, [])) == []
    runner.close()


def test_a_block_has_one_thread_of_its_own():
    runner = BlockRunner(CPU, threads=2)
    assert list(runner.map(lambda _: torch.get_num_threads(), range(8))) == [1] * 8
    runner.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_memory_running_out_halves_the_blocks(threads):
    runner = BlockRunner(CPU, threads=threads, block_points=256)
    tried = []

    def block(span):
        if span[1] - span[0] > 40:
            raise MemoryError
        return span[1] - span[0]

    def work():
        tried.append(runner.block_points)
        return sum(runner.map(block, ranges(300, runner.block_points)))

    assert runner.with_less_memory(work) == 300
    assert tried == [256, 128, 64, 32]
    assert runner.block_points == 32  # from here on
    runner.close()


def test_in_the_end_there_is_no_memory():
    runner = BlockRunner(CPU, block_points=100)

    def work():
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(DeviceError) as caught:
        runner.with_less_memory(work)
    assert str(caught.value) == (
        "out of memory on cpu even with blocks of 25 points; use a smaller model (--params) or --batch-points"
    )
    assert 25 // 2 < SMALLEST_BLOCK


def test_other_errors_pass():
    runner = BlockRunner(CPU, block_points=100)
    with pytest.raises(RuntimeError, match="shape"):
        runner.with_less_memory(lambda: (_ for _ in ()).throw(RuntimeError("shape")))
    assert runner.block_points == 100


def test_what_memory_running_out_looks_like():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)  # torch on the CPU raises no class of its own
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(ValueError("not a number"))


def test_the_size_of_blocks():
    assert re.fullmatch("[0-9]+", str(BlockRunner(CPU).block_points))
    assert BlockRunner(CPU, block_points=77).block_points == 77
    assert BlockRunner(torch.device("cuda"), threads=8).threads == 1


@given(n=st.integers(0, 5000), block=st.integers(1, 600))
def test_paired_parts_are_even_in_number_and_equal_but_for_the_last(n, block):
    spans = paired(n, block)
    assert [k for span in spans for k in range(*span)] == list(range(n))
    sizes = [b - a for a, b in spans]
    assert all(size <= block for size in sizes)
    assert len(set(sizes[:-1])) <= 1 and all(size >= sizes[-1] for size in sizes)
    if n > block and min(sizes) > len(sizes):
        assert len(sizes) % 2 == 0


@given(st.integers(1, 2**20), st.integers(1, 200))
@example(288, 2)
@example(3000, 2)
@example(384, 1)
def test_every_core_gets_a_block_where_the_batch_is_large_enough(batch, cores):
    block = auto_block(batch, CPU, cores)
    assert 0.75 * LEAST_CPU_BLOCK <= block <= CPU_BLOCK
    sizes = [b - a for a, b in ranges(batch, block)]
    assert len(sizes) == 1 or max(sizes) - min(sizes) <= len(sizes)  # no small rest
    if batch >= cores * LEAST_CPU_BLOCK:
        assert len(sizes) >= cores
        whole = batch // (-(-len(sizes) // cores) * cores) >= LEAST_CPU_BLOCK
        assert len(sizes) % cores == 0 or not whole or len(sizes) > block  # where rounding up costs a block
        assert 3 * block * cores > batch or block > CPU_BLOCK // 2  # and no smaller than that takes
    assert auto_block(batch, torch.device("cuda"), cores) == auto_block(1, torch.device("cuda"), 1)
