"""`--model` and the flags of its options mean the same in every command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from lrnn_cli.models.catalog import CATALOG
from tests.cli.conftest import Lrnn, colours, write_png

# name: command, its input and what keeps it short
COMMANDS: dict[str, tuple[object, ...]] = {
    "fit-image": ("fit-image", "a.png", "--steps", 2),
    "fit-audio": ("fit-audio", "a.wav", "--steps", 2, "--segments", 1),
    "fit-function": ("fit-function", "--target", "chirp", "--steps", 2),
    "reconstruct-ct": ("reconstruct-ct", "a.npy", "--views", 6, "--steps", 1, "--prior", "none"),
    "solve-poisson": ("solve-poisson", "--f", "1", "--steps", 2, "--solver", "adam", "--grid", 5),
}
# name: flags, and what they make of the configuration
ABLATIONS: dict[str, tuple[tuple[object, ...], dict[str, Any]]] = {
    "LayerNorm": (("--no-layer-norm",), {"layer_norm": False}),
    "plain products": (("--set", "product=plain"), {"product": "plain"}),
    "all others": (
        ("--dbar", 3, "--depth", 2, "--component-width", 2, "--components", "shared", "--sigma", "gauss"),
        {"dbar": 3, "depth": 2, "component_width": 2, "components": "shared", "sigma": "gauss"},
    ),
    "frequencies": (
        ("--omega-first", 7, "--omega-hidden", 5), {"omega_first": 7.0, "omega_hidden": 5.0}
    ),
}  # fmt: skip


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    write_png(tmp_path / "a.png", colours(12, 12, 1))
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(300) / 9), 8000, "PCM_16")
    np.save(tmp_path / "a.npy", np.pad(np.ones((8, 8)), 4))
    return tmp_path


@pytest.mark.parametrize("ablation", ABLATIONS)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_ablation_is_one_option_of_every_command(
    lrnn: Lrnn, inputs: Path, command: str, ablation: str
) -> None:
    flags, expected = ABLATIONS[ablation]
    done = lrnn(*COMMANDS[command], "--model", "lrnn", "--rank", 4, *flags, "-o", "run", "--json", "-q")
    assert done.code == 0, done.err
    record = json.loads((inputs / "run" / "metrics.json").read_text())
    assert record["model"]["name"] == "lrnn"
    config = record["model"]["config"]
    assert {key: config[key] for key in ("rank", *expected)} == {"rank": 4, **expected}


@pytest.mark.parametrize("name", CATALOG)
def test_every_model_of_the_catalog_trains_from_the_shell(lrnn: Lrnn, inputs: Path, name: str) -> None:
    done = lrnn(*COMMANDS["fit-image"], "--model", name, "--params", "1k", "-o", "run", "--json", "-q")
    assert done.code == 0, done.err
    record = done.json()
    assert (record["model"]["name"], record["train"]["steps"]) == (name, 2)
    assert record["metrics"]["psnr_db"] > 0


def test_least_squares_trains_nothing_and_takes_no_options_of_a_model(lrnn: Lrnn) -> None:
    refused = lrnn("solve-poisson", "--f", "1", "--solver", "lstsq", "--no-layer-norm", "--sigma", "gauss")
    refused.refused(2, "sigma, layer_norm: --solver lstsq chooses its own features")
