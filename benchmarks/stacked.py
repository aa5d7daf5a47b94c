"""Many small signals: fitted in one batch (`fitting.stacked`) against one after the other, in one process.

Signals are 16x16 tiles of a photograph, one network each, the same steps and batches; one thread each way.
The separate runs take the fastest engine there is, the stack the reference engine:

    python -m benchmarks.stacked [--steps 100] [--counts 1,4,16,64]
"""

import argparse
import time

import torch

from benchmarks.machine import save
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.loop import Trainer
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.fitting.stacked import Member, fit_stacked
from lrnn_cli.kernels.dispatch import choose_engine
from lrnn_cli.models.budget import fit_budget
from lrnn_cli.models.catalog import build
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.objectives.samples import Samples
from lrnn_cli.signals.image import read_image

TILE, PARAMS, LR = 16, 1000, 2e-3
CPU = torch.device("cpu")


def tiles(count: int) -> list[torch.Tensor]:
    """Return tiles of the sample photograph, (256, 1) each, in rows from the top left."""
    values = torch.from_numpy(read_image("sample_data/camera256.png").values)
    cut = values.unfold(0, TILE, TILE).unfold(1, TILE, TILE)  # (16, 16, 1, 16, 16)
    return list(cut.reshape(-1, 1, TILE * TILE).transpose(1, 2)[:count])


def network(name: str, seed: int, engine: str) -> CoordinateModel:
    """Return a network of about `PARAMS` parameters."""
    config, _ = fit_budget(name, {}, PARAMS, n_inputs=2, n_outputs=1)
    model = build(name, config, n_inputs=2, n_outputs=1, seed=seed)
    if hasattr(model, "use_engine"):
        model.use_engine(engine)
    return model


def samples(values: torch.Tensor) -> Samples:
    """Return a tile as training data."""
    return Samples(Grid((TILE, TILE)), values, shift=0.5, scale=0.5, peak=1.0)


def separate(
    name: str, data: list[torch.Tensor], settings: FitSettings, engine: str
) -> tuple[float, list[float]]:
    """Return seconds and final losses of one fit after the other."""
    runner = BlockRunner(CPU, threads=1)
    began, losses = time.perf_counter(), []
    for seed, values in enumerate(data):
        fit = settings.model_copy(update={"seed": seed})
        trainer = Trainer(
            network(name, seed, engine), samples(values), fit, runner, lr=LR, lstsq=(), batch_points=TILE**2,
            fresh=lambda attempt: network(name, 1000 + attempt, engine),
        )  # fmt: skip
        for _ in trainer.run():
            pass
        losses.append(trainer.final_loss)
    return time.perf_counter() - began, losses


def stacked(name: str, data: list[torch.Tensor], settings: FitSettings) -> tuple[float, list[float]]:
    """Return seconds and final losses of all fits at once."""
    began = time.perf_counter()
    members = [Member(network(name, k, "reference"), samples(v), seed=k) for k, v in enumerate(data)]
    fit_stacked(members, settings, BlockRunner(CPU, threads=1), lr=LR, batch_points=TILE**2)
    return time.perf_counter() - began, [member.loss for member in members]


def main() -> None:
    """Run everything, print and store the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--counts", default="1,4,16,64")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in ("lrnn", "siren"):
        settings = FitSettings(steps=args.steps, guard=False)
        family = network(name, 0, "reference")
        has_engine = hasattr(family, "use_engine")
        engine = (
            choose_engine("auto", family="spder", dtype=torch.float32, device=CPU, long_run=True).name
            if has_engine
            else "torch"
        )
        separate(name, tiles(1), FitSettings(steps=3), engine)  # compiles, loads
        for count in map(int, args.counts.split(",")):
            data = tiles(count)
            one_by_one, losses = separate(name, data, settings, engine)
            at_once, same = stacked(name, data, settings)
            worst = max(abs(a / b - 1) for a, b in zip(same, losses, strict=True))
            row = {
                "model": name, "signals": count, "steps": args.steps, "engine_separate": engine,
                "separate_s": round(one_by_one, 3), "stacked_s": round(at_once, 3),
                "gain": round(one_by_one / at_once, 2), "largest_relative_difference_of_losses": worst,
            }  # fmt: skip
            rows.append(row)
            print(row, flush=True)
    print(save("stacked", {"params": PARAMS, "points": TILE**2, "rows": rows}))


if __name__ == "__main__":
    main()
