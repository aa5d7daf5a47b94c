"""Seconds of a pass over a picture for the rows of `benchmarks.ablate_training`.

    python -m benchmarks.ablate_costs

Alone on the machine and on one thread, on one picture: all kinds of work in turns, five times, medians. Rows
that differ in numbers alone do the same work and share its time; where batches grow it is the mean over a
run. The seconds up to the first step, in which the output layer may be solved, are measured with that and
without. Stored in `results/ablate_training_cost.json`.
"""

import json
import statistics
import time
from typing import Any

import torch

from benchmarks.ablate_training import ROWS, picture, trainer_for
from benchmarks.machine import save
from lrnn_cli.signals.signal import Signal

PASSES, ROUNDS = 4, 5


def cost(row: dict[str, Any], signal: Signal) -> tuple[float, float]:
    """Return the seconds up to the first step, and those of a pass after it."""
    trainer, _ = trainer_for(row, signal, passes=PASSES, seed=0)
    began = time.perf_counter()
    first: tuple[float, int] | None = None
    last = (began, 0)
    for _ in trainer.run():
        now = (time.perf_counter(), trainer.seen)
        first = first or now
        if trainer.seen < PASSES * trainer.samples.n_points:  # then the output layer may be solved
            last = now
    trainer.runner.close()
    assert first is not None
    passes = (last[1] - first[1]) / trainer.samples.n_points
    return first[0] - began, (last[0] - first[0]) / passes


def work(row: dict[str, Any]) -> str:
    """Return what decides the time of a step, as a key: rows with one key do the same work."""
    fit, model = row.get("fit", {}), row.get("model", {})
    named = {key: row.get(key) for key in ("batch", "strata", "loss_aware")}
    kinds = {"muon": "muon" in row, "soap": "soap" in row, "optimizer": fit.get("optimizer")}
    return json.dumps({**named, **kinds, **{key: model.get(key) for key in ("dbar", "depth", "sigma")}})


def costs() -> dict[str, dict[str, float]]:
    """Return seconds to the first step and of a pass for every row."""
    signal = picture("camera256")
    measured = {work(row): row for row in reversed(ROWS.values())}  # the first row of each kind
    measured["unsolved"] = ROWS["least squares never"]
    cost(ROWS["default"], signal)  # loads what is loaded late
    found: dict[str, list[tuple[float, float]]] = {key: [] for key in measured}
    for _ in range(ROUNDS):
        for key, row in measured.items():
            found[key].append(cost(row, signal))
    solved, unsolved = (
        statistics.median(start for start, _ in found[key]) for key in (work(ROWS["default"]), "unsolved")
    )
    return {
        name: {
            "start_s": round(solved if solves_at_start(row) else unsolved, 4),
            "pass_s": round(statistics.median(each for _, each in found[work(row)]), 4),
        }
        for name, row in ROWS.items()
    }


def solves_at_start(row: dict[str, Any]) -> bool:
    """Tell whether the output layer is solved before the first step."""
    return "exact_start" in row or "start" in row.get("fit", {}).get("lstsq", ("start",))


def main() -> None:
    """Measure and store."""
    torch.set_num_threads(1)
    print(save("ablate_training_cost", {"passes": PASSES, "rounds": ROUNDS, "rows": costs()}))


if __name__ == "__main__":
    main()
