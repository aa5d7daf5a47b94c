"""Many small signals: fitted in one batch (`fitting.stacked`) against one after the other, in one process.

Signals are 16x16 tiles of a photograph, one network each, the same steps and batches; one thread each way.
The separate runs take the fastest engine there is, on a GPU each as one graph, the stack the reference
engine; `--side` and `--params` make tiles and networks larger:

    python -m benchmarks.stacked [--steps 100] [--counts 1,4,16,64] [--side 16] [--params 1000]
                                 [--device cuda]
"""

import argparse
import time
from dataclasses import dataclass
from typing import Any

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

LR = 2e-3


@dataclass(frozen=True)
class Bench:
    """Size of tiles and networks, and where to compute."""

    side: int
    params: int
    device: torch.device

    def tiles(self, count: int) -> list[torch.Tensor]:
        """Return tiles of the sample photograph, (side², 1) each, in rows from the top left."""
        side = self.side
        values = torch.from_numpy(read_image(f"sample_data/camera{256 if side <= 32 else 512}.png").values)
        cut = values.unfold(0, side, side).unfold(1, side, side)
        return list(cut.reshape(-1, 1, side**2).transpose(1, 2)[:count].to(self.device))

    def network(self, name: str, seed: int, engine: str) -> CoordinateModel:
        """Return a network of about `params` parameters."""
        config, _ = fit_budget(name, {}, self.params, n_inputs=2, n_outputs=1)
        model = build(name, config, n_inputs=2, n_outputs=1, seed=seed).to(self.device)
        if hasattr(model, "use_engine"):
            model.use_engine(engine)
        return model

    def samples(self, values: torch.Tensor) -> Samples:
        """Return a tile as training data."""
        return Samples(Grid((self.side, self.side)), values, shift=0.5, scale=0.5, peak=1.0)

    def separate(
        self, name: str, data: list[torch.Tensor], settings: FitSettings, engine: str
    ) -> tuple[float, list[float]]:
        """Return seconds and final losses of one fit after the other, the networks being there."""
        runner = BlockRunner(self.device, threads=1)
        networks = [self.network(name, seed, engine) for seed in range(len(data))]
        began, losses = time.perf_counter(), []
        for seed, values in enumerate(data):
            fit = settings.model_copy(update={"seed": seed})
            trainer = Trainer(
                networks[seed], self.samples(values), fit, runner, lr=LR, lstsq=(),
                batch_points=self.side**2, fresh=lambda attempt: self.network(name, 1000 + attempt, engine),
            )  # fmt: skip
            for _ in trainer.run():
                pass
            losses.append(trainer.final_loss)
        return time.perf_counter() - began, losses

    def stacked(
        self, name: str, data: list[torch.Tensor], settings: FitSettings
    ) -> tuple[float, list[float]]:
        """Return seconds and final losses of all fits at once, the networks being there."""
        networks = [self.network(name, seed, "reference") for seed in range(len(data))]
        began = time.perf_counter()
        members = [Member(networks[k], self.samples(v), seed=k) for k, v in enumerate(data)]
        runner = BlockRunner(self.device, threads=1)
        fit_stacked(members, settings, runner, lr=LR, batch_points=self.side**2)
        return time.perf_counter() - began, [member.loss for member in members]


def main() -> None:
    """Run everything, print and store the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--counts", default="1,4,16,64")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--params", type=int, default=1000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(args.side, args.params, torch.device(args.device))
    rows = []
    for name in ("lrnn", "siren"):
        settings = FitSettings(steps=args.steps, guard=False)
        engine = "torch"
        if hasattr(bench.network(name, 0, "reference"), "use_engine"):
            how: dict[str, Any] = {"family": "spder", "dtype": torch.float32, "device": bench.device}
            engine = choose_engine("auto", **how).name
        few = settings.model_copy(update={"steps": 8})
        bench.separate(name, bench.tiles(1), few, engine)  # compiles, loads
        bench.stacked(name, bench.tiles(2), few)
        for count in map(int, args.counts.split(",")):
            data = bench.tiles(count)
            one_by_one, losses = bench.separate(name, data, settings, engine)
            at_once, same = bench.stacked(name, data, settings)
            worst = max(abs(a / b - 1) for a, b in zip(same, losses, strict=True))
            row = {
                "model": name, "signals": count, "steps": args.steps, "engine_separate": engine,
                "separate_s": round(one_by_one, 3), "stacked_s": round(at_once, 3),
                "gain": round(one_by_one / at_once, 2), "largest_relative_difference_of_losses": worst,
            }  # fmt: skip
            rows.append(row)
            print(row, flush=True)
    usual = bench.device.type == "cpu" and args.side == 16
    name = "stacked" if usual else f"stacked_{args.side}_{bench.device.type}"
    print(save(name, {"params": args.params, "points": args.side**2, "rows": rows}))


if __name__ == "__main__":
    main()
