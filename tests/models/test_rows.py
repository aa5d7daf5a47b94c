"""Every row of the catalog on a thumbnail: it learns, its checkpoint is whole, its preset is valid."""

from pathlib import Path

import pytest
import torch

from lrnn_cli.fitting.checkpoint import encode_fitted, load
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.budget import parameters_of
from lrnn_cli.models.catalog import CATALOG, config_class
from lrnn_cli.signals.image import ImageOptions, read_image
from lrnn_cli.tasks.fit_image import ImageTask
from lrnn_cli.tasks.regression import ModelChoice, Regression
from lrnn_cli.tasks.settings import preset

CAMERA = Path(__file__).resolve().parents[2] / "sample_data" / "camera256.png"
VARIANTS = [
    *((name, {}) for name in CATALOG),
    ("lrnn", {"sigma": "fourier", "component_width": 3}),
    ("lrnn", {"sigma": "bspline", "component_width": 7, "omega_first": 10.0}),
    ("lrnn", {"depth": 1, "components": "shared"}),
    ("lrnn", {"layer_norm": False, "product": "plain", "dbar": 2}),
    ("mfn", {"filter": "gabor"}),
    ("spder", {"damping": "arctan"}),
    ("multiplicative", {"factor": "sigmoid"}),
    ("polynomial", {"depth": 1, "degree": 8}),
    ("iat-relu", {"input_basis": "pwl-w", "output_basis": "rect", "integral": "exact"}),
]


@pytest.fixture(scope="module")
def thumbnail():
    return ImageTask(read_image(CAMERA, ImageOptions(resize=(32, 32))))


@pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v.values()))
)
def test_it_learns_and_its_checkpoint_gives_the_same_network(name, options, thumbnail, tmp_path):
    """Ten steps and the exact output layer beat a constant."""
    settings = FitSettings(steps=10, threads=1, engine="fused", lstsq=("end",))
    plan = thumbnail.plan(ModelChoice(name=name, options=options, params=2000), settings)
    assert abs(plan.n_params / 2000 - 1) < 0.12
    regression = Regression(thumbnail.signal, thumbnail.transform(), plan, settings)
    list(regression.steps(lambda: False))
    regression.close()
    assert regression.trainer.final_loss < regression.trainer.samples.variance()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(encode_fitted(regression.fitted()))
    again = load(path).model
    coords = torch.rand(50, 2) * 2 - 1
    torch.testing.assert_close(again(coords), regression.model(coords), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", [name for name, row in CATALOG.items() if row.published is not None])
def test_published_settings_are_valid(name):
    published = preset("paper", name)
    config_class(name)(**published["model"])
    settings = FitSettings(**published["fit"])
    assert settings.lr is not None
    assert settings.lstsq == ()


@pytest.mark.parametrize(
    ("name", "n_outputs", "count"),
    [
        ("lrnn", 1, 197_267),  # "197k" in the paper
        ("finer", 3, 198_915),  # of three hidden layers of 256, first and last layer apart
        ("spder", 1, 256 * 3 + 5 * 256 * 257 + 257),
        ("fourier", 3, 256 * 513 + 2 * 256 * 257 + 3 * 257),
    ],
)
def test_published_settings_have_the_published_number_of_parameters(name, n_outputs, count):
    config = config_class(name)(**preset("paper", name)["model"])
    assert parameters_of(name, config, 2, n_outputs) == count


def test_every_model_and_option_is_in_the_documents():
    text = (CAMERA.parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    for name in CATALOG:
        assert f"| `{name}` |" in text
        missing = [key for key in config_class(name).model_fields if f"`{key}`" not in text]
        assert not missing, f"{name}: {missing}"
