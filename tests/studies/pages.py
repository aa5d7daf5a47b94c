"""A page made of made-up runs, with pictures and sounds, for tests that read it and tests that look at it."""

import base64
import io

import numpy as np
from PIL import Image

from lrnn_cli.studies.comparison import compare
from lrnn_cli.studies.measures import parse_targets
from lrnn_cli.studies.media import Exhibit, Medium
from lrnn_cli.studies.report import build_page
from tests.studies.records import some


def picture(level: int, width: int = 40) -> str:
    """A picture of one grey level as a data URL."""
    stream = io.BytesIO()
    Image.fromarray(np.full((30, width), level, dtype=np.uint8)).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def sound() -> str:
    """A tenth of a second of 440 Hz as a data URL."""
    import soundfile

    stream = io.BytesIO()
    samples = 0.3 * np.sin(2 * np.pi * 440 * np.arange(800) / 8000)
    soundfile.write(stream, samples, 8000, "PCM_16", format="WAV")
    return "data:audio/wav;base64," + base64.b64encode(stream.getvalue()).decode()


def page() -> str:
    """The page of a study called `made & up`: two rows, one killed run, a picture with two fits, a sound."""
    labels = [("original", ""), ("lrnn", "PSNR/dB 31.00"), ("siren <fast>", "PSNR/dB 27.00")]
    pictures = tuple(Medium(a, b, picture(80 * k), 40) for k, (a, b) in enumerate(labels))
    sounds = tuple(Medium(a, b, sound()) for a, b in labels[:2])
    return build_page(
        "made & up",
        "fit-image",
        compare(some(), parse_targets("28,30")),
        [Exhibit("a.png", pictures, "scaled"), Exhibit("b.wav", sounds)],
        ["1 job has not ended yet"],
    )
