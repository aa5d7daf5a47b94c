"""The preview of a CT run is a picture, with a truth and without."""

import io

import numpy as np
import pytest
from PIL import Image

from lrnn_cli.pictures.ct import draw_reconstructions


@pytest.mark.parametrize("has_truth", [False, True])
def test_preview(has_truth: bool) -> None:
    u = np.linspace(0, 1, 256).reshape(16, 16)
    content = draw_reconstructions(
        {"tv": u, "fbp": 1 - u}, u if has_truth else None, np.ones((5, 20)),
        labels={"tv": "30 dB", "fbp": "20 dB"}, title="a run", peak=1.0, units="HU", span=2000.0,
    )  # fmt: skip
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        assert image.size[0] > 700 and (image.size[1] > 600) == has_truth
        assert np.asarray(image.convert("L")).std() > 10
