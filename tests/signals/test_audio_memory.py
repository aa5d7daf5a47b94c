"""An hour of stereo is decoded and written within 2 GiB."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE_HZ, SECONDS = 44_100, 3600
PROGRAM = """
import resource, sys
from lrnn_cli.signals.audio import encode_audio, read_audio
signal = read_audio(sys.argv[1])
assert signal.values.shape == (44_100 * 3600, 2), signal.values.shape
content, clipped = encode_audio(
    signal.values, container="WAV", subtype="PCM_16", sample_rate=44_100, gain=signal.format["gain"]
)
with open(sys.argv[2], "wb") as file:
    file.write(content)
print(clipped, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_an_hour_of_stereo(tmp_path: Path) -> None:
    minute = 0.5 * np.random.default_rng(0).uniform(-1, 1, (60 * RATE_HZ, 2))
    source, copy = tmp_path / "hour.wav", tmp_path / "copy.wav"
    with soundfile.SoundFile(source, "w", RATE_HZ, 2, "PCM_16") as file:
        for _ in range(SECONDS // 60):
            file.write(minute)
    words = [sys.executable, "-c", PROGRAM, str(source), str(copy)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    clipped, peak_kib = map(int, done.stdout.split())
    assert clipped == 0
    assert peak_kib < 2 * 2**20
    assert source.stat().st_size == copy.stat().st_size
    with source.open("rb") as one, copy.open("rb") as other:
        one.seek(-(2**20), 2)
        other.seek(-(2**20), 2)
        assert one.read() == other.read()
