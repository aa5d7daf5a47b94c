"""Does LRNN start at once on every sound? From a tenth of a second at 8 kHz to a minute at 96 kHz.

    python -m benchmarks.audio_range [--seeds 2] [--steps 300]

Every run is the real command, `lrnn fit-audio FILE --params 50k`, with the frequencies that it takes from the
spectrum, on one thread, for so many steps of 1024 samples and network; the minute is fitted in six networks.
Sounds at other rates than the sample data's are resampled (polyphase). The error after the last step stands
beside the variance, which is the error of a constant. Nothing depends on time. results/audio_range.json and
.md.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from math import gcd
from typing import Any

import numpy as np
import soundfile
from scipy.signal import resample_poly

from benchmarks.audio import CLIPS, call
from benchmarks.machine import RESULTS, save

NAME = "audio_range"
STARTED = 0.5  # of the variance: below it a network follows the sound


def read(clip: str, rate_hz: int | None = None, seconds: float | None = None) -> tuple[np.ndarray, int]:
    """Return a sample clip, mono, at another rate and cut where asked."""
    samples, own = soundfile.read(clip)
    samples = samples if samples.ndim == 1 else samples.mean(1)
    if rate_hz is not None and rate_hz != own:
        common = gcd(rate_hz, own)
        samples, own = resample_poly(samples, rate_hz // common, own // common), rate_hz
    return (samples if seconds is None else samples[: round(seconds * own)]), own


def tenth() -> tuple[np.ndarray, int]:
    """A tenth of a second of speech at 8 kHz, from where it is loudest."""
    samples, rate = read(CLIPS[3], 8000)
    n = rate // 10
    power = np.convolve(samples**2, np.ones(n), "valid")
    first = int(power.argmax())
    return samples[first : first + n], rate


def minute() -> tuple[np.ndarray, int]:
    """All four clips one after the other, again from the first, 60 s at 96 kHz."""
    parts = [read(clip, 96_000)[0] for clip in CLIPS]
    whole = np.concatenate(parts * 3)
    return whole[: 60 * 96_000], 96_000


SOUNDS: dict[str, tuple[Callable[[], tuple[np.ndarray, int]], int]] = {  # and in how many networks
    "0.1 s of speech at 8 kHz": (tenth, 1),
    "bach, 1 s at 44.1 kHz": (lambda: read(CLIPS[0], seconds=1.0), 1),
    "bach, 7 s at 44.1 kHz": (lambda: read(CLIPS[0]), 1),
    "counting, 12 s at 44.1 kHz": (lambda: read(CLIPS[1]), 1),
    "librivox, 7 s at 16 kHz": (lambda: read(CLIPS[2]), 1),
    "numbers, 16 kHz": (lambda: read(CLIPS[3]), 1),
    "all four, 60 s at 96 kHz": (minute, 6),
}


def started(mse: float, variance: float, fresh_starts: int) -> bool:
    """Tell whether a network followed the sound, from its first start."""
    return mse < STARTED * variance and fresh_starts == 0


def measure(name: str, seed: int, steps: int) -> dict[str, Any]:
    """Fit one sound."""
    make, segments = SOUNDS[name]
    samples, rate = make()
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(f"{folder}/a.wav", samples, rate, "FLOAT")
        done = call(
            "fit-audio", f"{folder}/a.wav", "--params", "50k", "--steps", str(steps * segments),
            "--segments", str(segments), "--threads", "1", "--seed", str(seed), "-o", f"{folder}/run",
            "--json", "-qq",
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(done.stderr)
        record = json.loads(done.stdout)
    variance = float(np.var(samples / np.abs(samples).max()))
    return {
        "sound": name,
        "seed": seed,
        "samples": len(samples),
        "networks": segments,
        "steps_per_network": steps,
        "n_params": record["model"]["params"],
        "omega_first": record["model"]["config"]["omega_first"],
        "mse": record["metrics"]["mse"],
        "variance": variance,
        "fresh_starts": record["train"]["fresh_starts"],
        "started": started(record["metrics"]["mse"], variance, record["train"]["fresh_starts"]),
    }


def markdown(runs: list[dict[str, Any]]) -> str:
    """Return the runs as a table, all seeds of a sound in a row."""
    text = "| sound | samples | parameters | omega_first | MSE of each seed | variance | started at once |\n"
    text += "|---|--:|--:|--:|---|--:|--:|\n"
    for name in dict.fromkeys(run["sound"] for run in runs):
        mine = [run for run in runs if run["sound"] == name]
        first = mine[0]
        errors = ", ".join(f"{run['mse']:.1e}" for run in mine)
        numbers = f"{first['samples']:,} | {first['n_params']:,} | {first['omega_first']:,.0f}"
        started = f"{sum(run['started'] for run in mine)} of {len(mine)}"
        text += f"| {name} | {numbers} | {errors} | {first['variance']:.1e} | {started} |\n"
    return text


def main() -> None:
    """Fit all sounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    runs = []
    for name in SOUNDS:
        for seed in range(args.seeds):
            runs.append(measure(name, seed, args.steps))
            told = ("sound", "seed", "omega_first", "mse", "started")
            print({key: runs[-1][key] for key in told}, flush=True)
            save(NAME, {"runs": runs})
            (RESULTS / f"{NAME}.md").write_text(markdown(runs), encoding="utf-8")


if __name__ == "__main__":
    main()
