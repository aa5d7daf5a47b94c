"""Training in machine code against the same steps with tensors."""

import copy

import numpy as np
import pytest
import torch

from benchmarks import iat_bases, iat_native
from lrnn_cli.kernels.native import compiler
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.line_bases import BASES, evaluate

PAIRS = [("iat-relu", {"input_basis": p, "output_basis": q, "points": 40}) for p in BASES for q in BASES] + [
    (name, {}) for name in ("mlp-relu", "mlp-tanh", "mlp-sigmoid")
]
pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")


@pytest.mark.parametrize(
    ("name", "options"),
    PAIRS,
    ids=lambda v: "-".join(map(str, v.values())) if v and isinstance(v, dict) else None,
)
def test_the_first_steps_are_those_of_torch(name, options):
    """Float32 sums in another order, amplified by Adam's division by the root of small gradients."""
    options = {**options, "width": 10, "depth": 4}
    assert iat_native.serves(name, options)
    model = build(name, config_class(name)(**options), n_inputs=2, n_outputs=1, seed=1)
    coords = Grid((50, 50)).coords(torch.arange(2500))
    target, order = torch.sin(7 * coords[:, 0] * coords[:, 1]), iat_bases.batches(6, seed=0)[:, :117]
    other = copy.deepcopy(model)
    with torch.no_grad():
        start = model(coords)
    iat_native.train(name, model, coords, target, order, rate=3e-3)
    iat_bases.train(other, coords, target, order, rate=3e-3)
    with torch.no_grad():
        moved, difference = (other(coords) - start).abs().max(), (model(coords) - other(coords)).abs().max()
    assert float(moved) > 1e-2
    assert float(difference) < 0.01 * float(moved)


def test_rows_of_equal_p_are_merged_and_the_sum_stays():
    s = (np.arange(500) + 0.5) / 250 - 1
    p, q, z = evaluate("rect-w", 10, s).T, evaluate("pwq", 10, s).T, np.random.default_rng(0).normal(size=10)
    few_p, few_q = iat_native.merged(p, q)
    assert len(few_p) == 12  # 11 cells, padded to a multiple of 6
    np.testing.assert_allclose(np.maximum(0, few_p @ z) @ few_q, np.maximum(0, p @ z) @ q, rtol=1e-12)


def test_local_rows_keep_their_values():
    s = (np.arange(60) + 0.5) / 30 - 1
    for basis in BASES:
        rows = evaluate(basis, 10, s).T
        dense, local, first = iat_native.table(rows)
        assert (dense is None) is (basis != "fourier")
        if local is not None:
            whole = np.zeros((60, 10))
            np.put_along_axis(whole, first[:, None] + np.arange(3), local, 1)
            np.testing.assert_allclose(whole, rows, atol=1e-7)


def test_other_shapes_are_left_to_torch():
    assert not iat_native.serves("mlp-relu", {"width": 11, "depth": 2})
    assert not iat_native.serves("mlp-relu", {"width": 10, "depth": 17})
    assert not iat_native.serves("iat-relu", {"width": 10, "depth": 2, "integral": "exact"})
    assert not iat_native.serves("lrnn", {"rank": 10})
