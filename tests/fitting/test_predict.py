"""Evaluating a fit on grids: stored units, any blocks, any number of threads."""

import numpy as np
import pytest
import torch

from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.predict import predict, predict_parts
from lrnn_cli.numerics.coords import Grid
from tests import references
from tests.cases import CASES, case_id, make
from tests.fitting.support import CPU, LRNN, SIREN

EVERY = pytest.mark.parametrize("case", CASES, ids=case_id)


def fitted_of(case, dtype=torch.float32, **changes):
    model = make(case, 2, 3, dtype=dtype)
    values = {"shift": 0.5, "scale": 0.25, "peak": 1.0, "shape": (9, 7), "kind": "image", "signal": {}}
    return Fitted(case[0], None, model, 2, 3, **{**values, **changes})


@EVERY
def test_values_in_stored_units(case):
    fitted = fitted_of(case, torch.float64)
    grid = Grid((9, 7))
    points = torch.from_numpy(references.grid_points((9, 7), (-1, -1), (1, 1)))
    with torch.no_grad():
        expected = (fitted.model(points) * 0.25 + 0.5).reshape(9, 7, 3).float()
    for block in (16, 20, 1000):
        values = predict(fitted, grid, BlockRunner(CPU, block_points=block))
        assert values.shape == (9, 7, 3)
        assert values.dtype == torch.float32
        torch.testing.assert_close(values, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", [LRNN, SIREN], ids=["lrnn", "siren"])
def test_the_same_bits_for_any_number_of_threads(case):
    results = []
    for threads in (1, 2, 3):
        runner = BlockRunner(CPU, threads=threads, block_points=64)
        results.append(predict(fitted_of(case), Grid((30, 23)), runner))
        runner.close()
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("part_points", [1, 64, 65, 200, 10_000])
def test_parts_are_the_whole(part_points):
    fitted, grid, runner = fitted_of(LRNN), Grid((30, 23)), BlockRunner(CPU, block_points=64)
    parts = list(predict_parts(fitted, grid, runner, part_points))
    assert torch.equal(torch.cat(parts).reshape(30, 23, 3), predict(fitted, grid, runner))
    rounded = -(-part_points // 64) * 64
    assert [len(part) for part in parts[:-1]] == [rounded] * (len(parts) - 1)


def test_a_finer_grid_passes_through_the_same_function():
    fitted, runner = fitted_of(LRNN, torch.float64), BlockRunner(CPU)
    coarse, fine = (predict(fitted, Grid((n, n)), runner).numpy() for n in (5, 15))
    np.testing.assert_allclose(fine[1::3, 1::3], coarse, rtol=1e-6, atol=1e-6)  # the centres coincide


def test_memory_running_out():
    fitted, runner = fitted_of(SIREN), BlockRunner(CPU, block_points=256)
    expected = predict(fitted, Grid((20, 20)), runner)

    def refuse(module, args):
        if len(args[0]) > 100:
            raise MemoryError

    fitted.model.register_forward_pre_hook(refuse)
    torch.testing.assert_close(predict(fitted, Grid((20, 20)), runner), expected, rtol=1e-5, atol=1e-6)
    assert runner.block_points == 64


def test_no_graph_is_built():
    assert not predict(fitted_of(SIREN), Grid((4, 4)), BlockRunner(CPU)).requires_grad
