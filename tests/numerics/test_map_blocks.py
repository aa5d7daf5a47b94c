"""Blocks of rows on several threads: order, spans, errors, and the settings of torch as they were."""

import pytest
import torch

from lrnn_cli.numerics.rows import map_blocks


@pytest.fixture(params=[1, 3])
def threads(request):
    """As many threads as torch may use."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 40])
def test_spans_make_up_the_range_in_order(threads, n):
    spans = map_blocks(lambda span: list(range(n))[span], n, 8)
    assert [k for span in spans for k in span] == list(range(n))
    assert all(len(span) == 8 for span in spans[:-1])
    assert torch.get_num_threads() == threads


def test_an_error_comes_through_and_leaves_the_threads(threads):
    def fail(span):
        if span.start == 16:
            raise ValueError("at 16")
        return span

    with pytest.raises(ValueError, match="at 16"):
        map_blocks(fail, 40, 8)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("grad", [True, False])
def test_gradients_are_recorded_as_outside(threads, grad):
    with torch.set_grad_enabled(grad):
        found = map_blocks(lambda span: torch.is_grad_enabled(), 40, 8)
    assert found == [grad] * 5


def test_threads_inside_use_one_thread(threads):
    found = map_blocks(lambda span: torch.get_num_threads(), 40, 8)
    assert set(found) == {1}
