"""Training in machine code for `iat_bases.py`: the networks of width 10, by `iat_step.c`.

The same fit as with tensors (initial weights of the catalog's model, the same batches, Adam, cosine to 0,
mean square error), an order of magnitude sooner, because nothing but weights leaves the first cache. It
differs in the order of sums, so that single steps agree to rounding and whole fits, which are chaotic, in
distribution; the tests compare the first steps of every pair of bases with torch.

Rows of the midpoint rule that have the same p (`rect`, `rect-w`) are merged, their q added: the same sum.
"""

import ctypes
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lrnn_cli.kernels.native import FLAGS, compiler
from lrnn_cli.models.iat_relu import IatRelu
from lrnn_cli.models.integral_transform import _point_values
from lrnn_cli.models.mlp import Mlp

SOURCE = Path(__file__).with_name("iat_step.c")
WIDTH, LANES, ROWS, MOST_LAYERS = 10, 16, 6, 16  # D, points of a block, ROWS and MOST_LAYERS of iat_step.c
NEAR = 3  # functions of a local row
KINDS = {"iat-relu": 0, "mlp-relu": 1, "mlp-tanh": 2, "mlp-sigmoid": 3}

Table = tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]
NO_TABLE: Table = (None, None, None)


@lru_cache
def library() -> ctypes.CDLL | None:
    """Compile and load `iat_step.c`; None without a C compiler."""
    if (program := compiler()) is None:
        return None
    with tempfile.TemporaryDirectory() as folder:  # the loaded library outlives its file
        built = Path(folder) / "iat_step.so"
        subprocess.run([program, *FLAGS, str(SOURCE), "-o", str(built), "-lm"], check=True)
        return ctypes.CDLL(str(built))


def table(rows: np.ndarray) -> Table:
    """Return a basis (M, D) as `iat_step.c` wants it: dense, or 3 values and the first index of each row."""
    some = rows != 0
    first = np.minimum(np.where(some.any(1), some.argmax(1), 0), WIDTH - NEAR)
    index = first[:, None] + np.arange(NEAR)
    local = np.take_along_axis(rows, index, 1)
    if np.count_nonzero(local) < np.count_nonzero(rows):
        return np.ascontiguousarray(rows, np.float32), None, None
    return None, np.ascontiguousarray(local, np.float32), np.ascontiguousarray(first, np.int32)


def merged(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of p (M, D) and q (M, D) with neighbours of equal p made one, padded with zeros."""
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(p, axis=0) != 0).any(1)]))
    p, q = p[starts], np.add.reduceat(q, starts, axis=0)
    missing = ((0, -len(p) % ROWS), (0, 0))
    return np.pad(p, missing), np.pad(q, missing)


def serves(name: str, options: dict[str, Any]) -> bool:
    """Tell whether `train` has this network: width 10, midpoint rule, and a C compiler is there."""
    known = name in KINDS and options["width"] == WIDTH and options["depth"] <= MOST_LAYERS
    return known and options.get("integral", "midpoint") == "midpoint" and library() is not None


def train(name: str, model: Mlp, coords: Tensor, target: Tensor, order: Tensor, *, rate: float) -> None:
    """Train a network for which `serves` holds; its parameters change.

    Args:
        name: a key of KINDS.
        model: of that name, for two coordinates and one output.
        coords: (n, 2).
        target: (n,).
        order: indices of the points of each step (steps, batch).
        rate: learning rate at the start.
    """
    code = library()
    assert code is not None
    p_table, q_table, n_rows = NO_TABLE, NO_TABLE, 0
    if isinstance(model, IatRelu):
        p, q = _point_values(model.spec, torch.empty(0, dtype=torch.float64))
        p_rows, q_rows = merged(p.T.numpy(), q.numpy())
        p_table, q_table, n_rows = table(p_rows), table(q_rows), len(p_rows)
    steps, batch = order.shape
    parameters = list(model.parameters())  # weight, bias, layer by layer
    flat = torch.cat([p.detach().reshape(-1) for p in parameters]).numpy()
    moments, scratch = np.zeros((2, flat.size), np.float32), zeros(8 * flat.size + 4 * (batch + LANES))
    held = [flat, *p_table, *q_table, coords.contiguous().numpy(), target.contiguous().numpy()]
    held += [np.ascontiguousarray(order.numpy(), np.int32), moments, scratch]  # alive while C reads them
    at = [None if a is None else ctypes.c_void_p(a.ctypes.data) for a in held]
    sizes = [ctypes.c_int(k) for k in (KINDS[name], len(model.layers), flat.size, n_rows, batch, steps)]
    kind, depth, n_params, rows, batch_size, n_steps = sizes
    code.iat_train(
        kind, depth, at[0], n_params, *at[1:7], rows, *at[7:9], batch_size, at[9], n_steps,
        ctypes.c_double(rate), *at[10:12],
    )  # fmt: skip
    with torch.no_grad():
        for p, part in zip(
            parameters, torch.from_numpy(flat).split([p.numel() for p in parameters]), strict=True
        ):
            p.copy_(part.reshape(p.shape))


def zeros(size: int) -> np.ndarray:
    """Return float32 zeros that start at a multiple of 32 bytes."""
    memory = np.zeros(size + 8, np.float32)
    return memory[(-memory.ctypes.data // 4) % 8 :][:size]
