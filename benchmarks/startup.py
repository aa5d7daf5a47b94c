"""How long `lrnn` takes to answer what needs no torch: help, version, completion.

    python -m benchmarks.startup [--rounds 15]

Wall-clock seconds of whole processes, in turns over the rounds, so that other work of the machine meets all
of them alike; ratios to an interpreter that does nothing, and to one that imports torch. The goal is 0.4 s.
"""

import argparse
import os
import subprocess
import sys
import time

from benchmarks.machine import save, spread

LRNN = (sys.executable, "-m", "lrnn_cli")
COMPLETE = {"_LRNN_COMPLETE": "complete_bash", "COMP_WORDS": "lrnn fit-image --mod", "COMP_CWORD": "2"}
# name: words, environment
WAYS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "python, nothing": ((sys.executable, "-c", "pass"), {}),
    "python, import torch": ((sys.executable, "-c", "import torch"), {}),
    "lrnn --version": ((*LRNN, "--version"), {}),
    "lrnn --help": ((*LRNN, "--help"), {}),
    "lrnn fit-image --help": ((*LRNN, "fit-image", "--help"), {}),
    "completion of an option": (LRNN, COMPLETE),
}


def seconds(way: str) -> float:
    """Return the seconds of one process."""
    words, environment = WAYS[way]
    began = time.perf_counter()
    subprocess.run(words, env={**os.environ, **environment}, capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Run and store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for way in WAYS:  # fills the caches
        seconds(way)
    for _ in range(args.rounds):
        for way, values in found.items():
            values.append(seconds(way))
    spreads = {way: spread(values) for way, values in found.items()}
    medians = {way: each["median"] for way, each in spreads.items()}
    record = {
        way: {
            "seconds": each,
            "times_python": round(medians[way] / medians["python, nothing"], 2),
            "times_import_torch": round(medians[way] / medians["python, import torch"], 3),
        }
        for way, each in spreads.items()
    }
    for way, each in record.items():
        print(way, each, flush=True)
    print(save("startup", {"rounds": args.rounds, "ways": record}))


if __name__ == "__main__":
    main()
