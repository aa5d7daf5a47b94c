"""Seconds of a pass over a picture for the rows of `benchmarks.ablate_training`.

    python -m benchmarks.ablate_costs

On one thread, on one picture. Rows that differ in numbers alone do the same work and share its time. All
kinds of work advance in turns of half a pass, so that a machine that is slower for some seconds is slower for
all. The time of a kind is the sum over a run of four passes (the last half, and the solution at the end, left
out), set in relation to that of the default. Of five such runs the median of that ratio is stored, with
smallest and largest. The seconds up to the first step, in which the output layer may be solved, are measured
with that and without. Stored in `results/ablate_training_cost.json`.
"""

import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.ablate_training import ROWS, picture, trainer_for
from benchmarks.machine import save, spread
from lrnn_cli.signals.signal import Signal

PASSES, ROUNDS = 4, 5


def work(row: dict[str, Any]) -> str:
    """Return what decides the time of a step, as a key: rows with one key do the same work."""
    fit, model = row.get("fit", {}), row.get("model", {})
    named = {key: row.get(key) for key in ("batch", "strata", "loss_aware")}
    kinds = {"muon": "muon" in row, "soap": "soap" in row, "optimizer": fit.get("optimizer")}
    return json.dumps({**named, **kinds, **{key: model.get(key) for key in ("dbar", "depth", "sigma")}})


def solves_at_start(row: dict[str, Any]) -> bool:
    """Tell whether the output layer is solved before the first step."""
    return "exact_start" in row or "start" in row.get("fit", {}).get("lstsq", ("start",))


def laps(row: dict[str, Any], signal: Signal) -> Iterator[tuple[float, float]]:
    """Yield seconds and passes of the first step with what goes before it, then of each half pass."""
    trainer, _ = trainer_for(row, signal, passes=PASSES, seed=0)
    steps, n = trainer.run(), trainer.samples.n_points
    for lap in range(2 * PASSES):
        began, seen = time.perf_counter(), trainer.seen
        while trainer.seen <= lap * n / 2:
            next(steps)
        yield time.perf_counter() - began, (trainer.seen - seen) / n
    trainer.runner.close()


def one_round(rows: dict[str, dict[str, Any]], signal: Signal) -> dict[str, tuple[float, float]]:
    """Return the seconds up to the first step and those of a pass for all rows, run in turns."""
    runs = {name: laps(row, signal) for name, row in rows.items()}
    starts = {name: next(run)[0] for name, run in runs.items()}
    sums = {name: [0.0, 0.0] for name in runs}
    for _ in range(1, 2 * PASSES):
        for name, run in runs.items():
            for k, part in enumerate(next(run)):
                sums[name][k] += part
    return {name: (starts[name], seconds / passes) for name, (seconds, passes) in sums.items()}


def costs() -> dict[str, dict[str, Any]]:
    """Return seconds to the first step and of a pass for every row, and the ratio to the default's."""
    signal = picture("camera256")
    kinds = {work(row): row for row in reversed(ROWS.values())}  # the first row of each kind
    kinds["unsolved"] = ROWS["least squares never"]
    rounds = [one_round(kinds, signal) for _ in range(ROUNDS + 1)][1:]  # the first loads what is loaded late
    base = work(ROWS["default"])
    starts = {
        solved: statistics.median(found[key][0] for found in rounds)
        for solved, key in ((True, base), (False, "unsolved"))
    }
    pass_s = statistics.median(found[base][1] for found in rounds)
    ratios = {key: spread([found[key][1] / found[base][1] for found in rounds]) for key in kinds}
    return {
        name: {
            "start_s": round(starts[solves_at_start(row)], 4),
            "pass_s": round(pass_s * ratios[work(row)]["median"], 4),
            "ratio": {key: round(value, 3) for key, value in ratios[work(row)].items()},
        }
        for name, row in ROWS.items()
    }


def main() -> None:
    """Measure and store."""
    torch.set_num_threads(1)
    print(save("ablate_training_cost", {"passes": PASSES, "rounds": ROUNDS, "rows": costs()}))


if __name__ == "__main__":
    main()
