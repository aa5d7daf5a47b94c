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

    `published` holds the authors' own setting for images, for `--preset paper`; None where none is known.
    `published_sound` is the one for sounds (docs/audio.md says what of it is published).
    """

    module: str
    cls: str
    summary: str
    citation: str
    published: dict[str, Any] | None = None
    published_sound: dict[str, Any] | None = None


def _paper(
    model: dict[str, Any],
    lr: float,
    steps: int,
    *,
    schedule: str = "const",
    batch_points: int | str = "full",
) -> dict[str, Any]:
    """Return a published setting: neither warm-up nor least squares, which no author has."""
    fit = {
        "lr": lr,
        "schedule": schedule,
        "warmup_steps": 0,
        "steps": steps,
        "batch_points": batch_points,
        "optimizer": "adam",
        "lstsq": [],
    }
    return {"model": model, "fit": fit}


# Their time runs over [-100, 100] with omega_0 = 30: over [-1, 1] the first layer's is 3000.
SOUND_OMEGA = {"omega_first": 3000.0, "omega_hidden": 30.0}

CATALOG: dict[str, Row] = {
    "lrnn": Row(
        "lrnn",
        "Lrnn",
        "product-structured activations, learnable",
        "Maharaj and Nair, ICLR 2026",
        _paper(
            {
                "rank": 106,
                "dbar": 16,
                "depth": 2,
                "omega_first": 30.0,
                "omega_hidden": 30.0,
                "first_scales": "equal",
                "hidden_rate": 1.0,
            },
            1e-3,
            1000,
            schedule="step:100:0.8",
        ),
        # sigma and LayerNorm are stated for sounds, the shape only for images
        _paper(
            {"rank": 106, "dbar": 16, "depth": 2, "sigma": "spder", **SOUND_OMEGA},
            1e-3,
            1000,
            schedule="step:100:0.9",
        ),
    ),
    "siren": Row(
        "siren",
        "Siren",
        "MLP with sine activations",
        "Sitzmann et al., NeurIPS 2020",
        _paper({"width": 256, "depth": 4}, 1e-4, 1000),
        _paper({"width": 256, "depth": 4, **SOUND_OMEGA}, 1e-4, 9001),
    ),
    "spder": Row(
        "spder",
        "Spder",
        "MLP with damped sine activations",
        "Shah and Sitawarin, 2023",
        # the image script of the authors' release
        _paper({"width": 256, "depth": 6, "damping": "sqrt"}, 1e-4, 501),
        _paper({"width": 256, "depth": 6, "damping": "arctan", **SOUND_OMEGA}, 5e-5, 5001),
    ),
    "finer": Row(
        "finer",
        "Finer",
        "MLP with sines whose frequency varies",
        "Liu et al., CVPR 2024",
        # run_finer.sh of the authors' release; its first biases are torch's default for two inputs
        _paper(
            {"width": 256, "depth": 4, "omega_first": 30.0, "first_bias": 2**-0.5},
            5e-4,
            5000,
            schedule="exp:0.1",
        ),
    ),
    "gauss": Row("gauss", "Gauss", "MLP with Gaussian activations", "Ramasinghe and Lucey, ECCV 2022"),
    "wire": Row(
        "wire",
        "Wire",
        "complex MLP with Gabor wavelets as activations",
        "Saragadam et al., CVPR 2023",
        # the image script of the authors' release with its constants for representation
        _paper(
            {"width": 181, "depth": 3, "omega_first": 20.0, "omega_hidden": 20.0, "scale": 30.0},
            5e-3,
            2000,
            schedule="exp:0.1",
            batch_points=65536,
        ),
    ),
    "fourier": Row(
        "fourier",
        "Fourier",
        "ReLU MLP on random Fourier features",
        "Tancik et al., NeurIPS 2020",
        # the demonstration of the authors' release; their scale of 10 is for coordinates on [0, 1]
        _paper({"width": 256, "depth": 3, "frequencies": 256, "scale": 5.0}, 1e-4, 2000),
    ),
    "relu-pe": Row(
        "relu_pe", "ReluPe", "ReLU MLP on the positional encoding of NeRF", "Mildenhall et al., ECCV 2020"
    ),
    "mfn": Row(
        "mfn",
        "Mfn",
        "multiplicative filter network, Fourier or Gabor",
        "Fathony et al., ICLR 2021",
        # the image script of the authors' release
        _paper({"width": 256, "depth": 4, "filter": "gabor", "scale": 256.0}, 1e-2, 10000),
    ),
    "kan": Row("kan", "Kan", "Kolmogorov-Arnold network with B-splines", "Liu et al., ICLR 2025"),
    "maxout": Row(
        "maxout", "Maxout", "neurons that take the maximum of affine pieces", "Goodfellow et al., ICML 2013"
    ),
    "polynomial": Row(
        "polynomial",
        "Polynomial",
        "fixed products of linear forms: polynomials of polynomials",
        "Chrysos et al., CVPR 2020 and IEEE TPAMI 2022",
    ),
    "multiplicative": Row(
        "multiplicative",
        "Multiplicative",
        "sum of products of bumps or sigmoids, each local",
        "Choi and Han, 2026",
    ),
    "iat-relu": Row(
        "iat_relu", "IatRelu", "MLP whose ReLU acts on a function built from a layer", "Zhang et al., 2024"
    ),
    "iat-relu-decoupled": Row(
        "iat_relu_decoupled",
        "IatReluDecoupled",
        "IAT-ReLU with separate weights for where it is active",
        "Zhang et al., 2024",
    ),
    "mlp-relu": Row(
        "mlp", "MlpRelu", "plain MLP with ReLU activations", "baseline of Sitzmann et al., NeurIPS 2020"
    ),
    "mlp-tanh": Row(
        "mlp", "MlpTanh", "plain MLP with tanh activations", "baseline of Sitzmann et al., NeurIPS 2020"
    ),
    "mlp-sigmoid": Row(
        "mlp", "MlpSigmoid", "plain MLP with logistic activations", "Rumelhart et al., Nature 1986"
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


def configure(name: str, options: dict[str, Any]) -> ModelConfig:
    """Return the configuration of a model with these options.

    Args:
        name: a row of the catalog.
        options: those that differ from the defaults.

    Returns:
        the configuration.

    Raises:
        ConfigError: when the name or an option is unknown, or a value out of range.
    """
    from pydantic import ValidationError

    cls = config_class(name)
    unknown = next((key for key in options if key not in cls.model_fields), None)
    if unknown is not None:
        near = difflib.get_close_matches(unknown, cls.model_fields, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"model {name}: unknown option {unknown!r}; {hint}known: {', '.join(cls.model_fields)}"
        )
    try:
        return cls(**options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"model {name}: {key}: {first['msg']}, got {first['input']!r}") from None


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
            torch.default_generator.manual_seed(seed)
        return cls(config, n_inputs, n_outputs)
