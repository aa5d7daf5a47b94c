"""What the tests of fitting share: small signals, trainers, and a model whose features are a table."""

import numpy as np
import torch
from torch import nn

from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.loop import Trainer
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.objectives.samples import Samples

CPU = torch.device("cpu")
LRNN = ("lrnn", {"rank": 12, "dbar": 2, "depth": 2, "omega_first": 8.0, "omega_hidden": 8.0})
SIREN = ("siren", {"width": 20, "depth": 2, "omega_first": 8.0, "omega_hidden": 8.0})


def picture(height=16, width=16, channels=1):
    """A smooth picture with an edge, values in [0, 1]."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    parts = [0.5 + 0.3 * np.sin(3 * x + k) * np.cos(2 * y) + 0.15 * (x + y > k / 4) for k in range(channels)]
    return torch.from_numpy(np.stack(parts, -1))


def samples_of(values, dtype=torch.float32, **transform):
    """Samples of values (n_1, ..., n_d, c) with the affine map of a picture."""
    transform = {"shift": 0.5, "scale": 0.5, "peak": 1.0, **transform}
    return Samples(Grid(values.shape[:-1]), values.reshape(-1, values.shape[-1]).to(dtype), **transform)


def make_trainer(
    values,
    case=LRNN,
    *,
    lr=3e-3,
    lstsq=(),
    batch=None,
    runner=None,
    dtype=torch.float32,
    backward="full",
    **settings,
):
    """A trainer on the CPU, on the fused engine; `settings` are those of the fit."""
    name, options = case
    config = config_class(name)(**options)
    settings = FitSettings(**{"steps": 100, **settings})

    def fresh(attempt):
        n_inputs, n_outputs = values.dim() - 1, values.shape[-1]
        seed = settings.seed + 1000 * attempt
        model = build(name, config, n_inputs=n_inputs, n_outputs=n_outputs, seed=seed).to(dtype)
        if hasattr(model, "use_engine"):
            model.use_engine("fused")
        return model

    samples = samples_of(values, dtype)
    return Trainer(
        fresh(0),
        samples,
        settings,
        runner or BlockRunner(CPU),
        lr=lr,
        lstsq=lstsq,
        batch_points=batch or samples.n_points,
        fresh=fresh,
        backward=backward,
    )


def events(trainer):
    """Train to the end; return all that happened besides steps."""
    return [step.event for step in trainer.run() if step.event]


def weights(trainer):
    """Copies of all parameters."""
    return [p.detach().clone() for p in trainer.parameters]


def same(one, other):
    """Whether two lists of tensors are equal to the last bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


class Table(CoordinateModel):
    """A model whose features at the k-th of n points on [-1, 1] are row k of a table (n, m)."""

    def __init__(self, table, n_outputs=1):
        super().__init__()
        self.table = nn.Parameter(table)
        self.head = nn.Linear(table.shape[1], n_outputs).to(table.dtype)

    def features(self, coords):
        n = len(self.table)
        return self.table[((coords[:, 0] + 1) * n / 2 - 0.5).round().long()]
