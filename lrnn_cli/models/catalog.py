"""THE table of models: name, where it lives, what it is, where it comes from. Importing it loads no torch.

A new model is one file in this folder and one row here (docs/adding-a-model.md).
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lrnn_cli.errors import ConfigError

if TYPE_CHECKING:
    from lrnn_cli.models.contract import CoordinateModel, ModelConfig


@dataclass(frozen=True)
class Row:
    """One model: `module` in this folder with classes `cls` and `cls + "Config"`.

    `published` holds the authors' own setting for images, for `--preset paper`.
    """

    module: str
    cls: str
    summary: str
    citation: str
    published: dict[str, Any] | None = None


CATALOG: dict[str, Row] = {
    "lrnn": Row(
        "lrnn",
        "Lrnn",
        "product-structured activations, learnable",
        "Maharaj and Nair, ICLR 2026",
        {
            "model": {"rank": 106, "dbar": 16, "depth": 2, "omega_first": 30.0, "omega_hidden": 30.0},
            "fit": {
                "lr": 1e-3,
                "schedule": "step:100:0.8",
                "warmup_steps": 0,
                "steps": 1000,
                "batch_points": "full",
                "lstsq": [],
            },
        },
    ),
    "siren": Row(
        "siren",
        "Siren",
        "MLP with sine activations",
        "Sitzmann et al., NeurIPS 2020",
        {
            "model": {"width": 256, "depth": 4},
            "fit": {
                "lr": 1e-4,
                "schedule": "const",
                "warmup_steps": 0,
                "steps": 1000,
                "batch_points": "full",
                "lstsq": [],
            },
        },
    ),
}


def row(name: str) -> Row:
    """Return the row of a model.

    Raises:
        ConfigError: when there is none; the message names the nearest.
    """
    if name not in CATALOG:
        near = difflib.get_close_matches(name, CATALOG, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"model: unknown {name!r}; {hint}known: {', '.join(CATALOG)}")
    return CATALOG[name]


def _load(name: str) -> tuple[type[CoordinateModel], type[ModelConfig]]:
    entry = row(name)
    module = importlib.import_module(f"lrnn_cli.models.{entry.module}")
    return getattr(module, entry.cls), getattr(module, entry.cls + "Config")


def config_class(name: str) -> type[ModelConfig]:
    """Return the configuration class of a model.

    Raises:
        ConfigError: when the name is unknown.
    """
    return _load(name)[1]


def build(
    name: str, config: ModelConfig, *, n_inputs: int, n_outputs: int, seed: int | None = None
) -> CoordinateModel:
    """Build a model with weights that depend on the seed alone; the global generator is left as it was.

    Args:
        name: a row of the catalog.
        config: an instance of its configuration class.
        n_inputs: d, dimension of the coordinates.
        n_outputs: c, values per point.
        seed: of the initial weights; None uses the global generator.

    Returns:
        the model, on the CPU in float32.

    Raises:
        ConfigError: when the name is unknown.
    """
    import torch

    cls: Any = _load(name)[0]
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return cls(config, n_inputs, n_outputs)
