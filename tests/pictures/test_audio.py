"""The preview of a sound: drawn for every shape of sound, silence and two samples too."""

import io

import numpy as np
import pytest
from PIL import Image

from lrnn_cli.pictures.audio import draw_sound

HISTORY = [{"step": k, "seconds": 0.1 * k, "psnr_db": 10.0 + k} for k in range(5)]


@pytest.mark.parametrize(
    ("shape", "rate", "level"),
    [
        ((2, 1), 8000, 1.0),
        ((3000, 2), 100, 1.0),
        ((500, 3), 8000, 0.0),
    ],
)
def test_every_sound_has_a_picture(shape, rate, level):
    rng = np.random.default_rng(0)
    x = (level * rng.uniform(-1, 1, shape)).astype(np.float32)
    y = x + 0.01 * level * rng.normal(size=shape).astype(np.float32)
    options = {"sample_rate": rate, "start_s": 1.5, "title": "a", "history": HISTORY}
    png = draw_sound(x, y, **options)
    assert Image.open(io.BytesIO(png)).size[0] > 1000
