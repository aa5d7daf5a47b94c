"""One small configuration of every model of the catalog, and more where a model has variants.

A model that is not here fails `tests/models/test_laws.py`; a row here puts it under every law.
"""

import numpy as np
import torch

from lrnn_cli.models.catalog import build, config_class

CASES = [
    ("lrnn", {"rank": 6, "dbar": 3, "depth": 2}),
    ("lrnn", {"rank": 5, "dbar": 1, "depth": 1, "sigma": "sin", "layer_norm": False}),
    ("lrnn", {"rank": 5, "dbar": 4, "depth": 2, "component_width": 2, "components": "shared"}),
    ("lrnn", {"rank": 6, "dbar": 2, "depth": 2, "component_width": 3, "sigma": "fourier"}),
    ("lrnn", {"rank": 6, "dbar": 2, "depth": 2, "component_width": 9, "sigma": "bspline"}),
    ("lrnn", {"rank": 6, "dbar": 2, "depth": 2, "product": "plain"}),
    ("siren", {"width": 8, "depth": 3}),
    ("spder", {"width": 8, "depth": 3}),
    ("finer", {"width": 8, "depth": 3}),
    ("gauss", {"width": 16, "depth": 2, "scale": 5.0}),
    ("wire", {"width": 12, "depth": 2, "scale": 2.0}),
    ("fourier", {"width": 12, "depth": 2, "frequencies": 5}),
    ("relu-pe", {"width": 12, "depth": 2, "octaves": 3}),
    ("mfn", {"width": 8, "depth": 3}),
    ("mfn", {"width": 8, "depth": 3, "filter": "gabor", "scale": 8.0}),
    ("kan", {"width": 4, "depth": 1, "grid": 5}),
    ("maxout", {"width": 8, "depth": 2, "pieces": 3}),
    ("polynomial", {"width": 8, "degree": 3, "depth": 2}),
    ("polynomial", {"width": 8, "degree": 4, "depth": 1}),
    ("multiplicative", {"width": 20}),
    ("multiplicative", {"width": 20, "factor": "sigmoid"}),
    ("iat-relu", {"width": 8, "depth": 2}),
    (
        "iat-relu",
        {"width": 8, "depth": 2, "integral": "exact", "input_basis": "pwl-w", "output_basis": "rect"},
    ),
    ("iat-relu-decoupled", {"width": 8, "depth": 2, "pattern_width": 6}),
    ("mlp-relu", {"width": 16, "depth": 2}),
    ("mlp-tanh", {"width": 12, "depth": 2}),
    ("mlp-sigmoid", {"width": 12, "depth": 2}),
]


def case_id(case):
    """`lrnn` or, for a variant, `lrnn-sigma-sin`."""
    name, options = case
    base = next(first for model, first in CASES if model == name)
    different = [f"{k}-{v}" for k, v in options.items() if base.get(k) != v and isinstance(v, str)]
    return "-".join([name, *different])


def make(case, n_inputs=2, n_outputs=3, seed=0, dtype=torch.float32):
    """The model of a row of `CASES`."""
    name, options = case
    config = config_class(name)(**options)
    return build(name, config, n_inputs=n_inputs, n_outputs=n_outputs, seed=seed).to(dtype)


def points(n, d, dtype=torch.float32, seed=0):
    """Points in [-1, 1]^d."""
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (n, d))).to(dtype)
