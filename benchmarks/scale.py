"""Peak memory of large signals: a picture of 4096 x 4096 in colour, ten minutes of stereo, on the CPU.

    python -m benchmarks.scale [--side 4096] [--minutes 10] [--steps 20] [--params 20000]

Each command, fitting and rendering again at full size, is a process of its own; its peak resident size is
what the system counted. The contents are made here: smooth shapes with noise. Nothing depends on time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from benchmarks.machine import save

RATE_HZ = 44_100


def picture(side: int) -> Image.Image:
    """Return waves of three wavelengths, with noise, in 8-bit colour."""
    generator, line = np.random.default_rng(0), np.linspace(0, 1, side, dtype=np.float32)
    values = np.empty((side, side, 3), np.uint8)
    for channel, waves in enumerate((40, 25, 60)):
        plane = np.sin(waves * line)[:, None] * np.cos(0.7 * waves * line)[None, :]
        plane += 0.02 * generator.standard_normal((side, side), dtype=np.float32)
        values[..., channel] = np.clip(127.5 + 110 * plane, 0, 255)
    return Image.fromarray(values)


def sound(minutes: float) -> np.ndarray:
    """Return two channels of gliding tones, (n, 2)."""
    t = np.arange(round(60 * minutes * RATE_HZ), dtype=np.float64) / RATE_HZ
    left = 0.4 * np.sin(2 * np.pi * (220 * t + 0.1 * t**2))
    return np.stack([left, 0.4 * np.sin(2 * np.pi * 330 * t)], 1).astype(np.float32)


def run(*words: str) -> dict[str, object]:
    """Run a command of the program; return its seconds and peak memory."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "lrnn_cli", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} failed")
    found = {"command": words[0], "peak_mb": round(usage.ru_maxrss / 2**10)}
    return {**found, "seconds": round(time.perf_counter() - began, 1)}


def main() -> None:
    """Run everything, print and store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", default="20")
    parser.add_argument("--params", default="20000")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        large, long = Path(folder, "large.png"), Path(folder, "long.wav")
        picture(args.side).save(large, compress_level=1)
        soundfile.write(long, sound(args.minutes), RATE_HZ, subtype="PCM_16")
        common = ["--params", args.params, "--steps", args.steps, "--device", "cpu", "-qq"]
        for command, source, output in (
            (["fit-image"], large, "again.png"),
            (["fit-audio", "--segments", "1"], long, "again.wav"),
        ):
            kept = f"{folder}/{command[0]}"
            rows.append({"input": source.name, **run(*command, str(source), *common, "-o", kept)})
            print(rows[-1], flush=True)
            rows.append({"input": source.name, **run("render", kept, "-o", f"{folder}/{output}", "-qq")})
            print(rows[-1], flush=True)
    print(
        save(
            "scale",
            {
                "side": args.side,
                "minutes": args.minutes,
                "params": args.params,
                "steps": args.steps,
                "rows": rows,
            },
        )
    )


if __name__ == "__main__":
    main()
