"""How large the blocks of a step shall be: few large ones cost less, many small ones employ more cores.

    python -m benchmarks.blocks [--repeats 40]

Gradients of LRNN's and SIREN's own defaults, as for pictures, and of LRNN as sounds have it, 200,000
parameters, at their default batches.
Sizes of blocks and numbers of threads take turns, so that what else the machine does meets all alike; the
figures are medians within one run, and ratios to blocks of 1024 points on one thread.
"""

import argparse
import time
from typing import Any

import torch

from benchmarks.machine import RESULTS, save, spread
from lrnn_cli.fitting.blocks import CPU_BLOCK, LEAST_CPU_BLOCK, BlockRunner, ranges
from lrnn_cli.fitting.device import resolve_threads
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.models.contract import use_engine

CASES: dict[str, tuple[str, dict[str, Any], int, int]] = {  # model, options, points of a step, inputs
    "picture, lrnn": ("lrnn", {"rank": 156, "dbar": 4, "depth": 3}, 2048, 2),
    "picture, siren": ("siren", {"width": 256, "depth": 4}, 2048, 2),
    "sound, lrnn": ("lrnn", {"rank": 219, "dbar": 2, "depth": 3}, 1024, 1),
}
BLOCKS = (CPU_BLOCK, 512, LEAST_CPU_BLOCK)
WARM_UP = 3


def measure(case: str, repeats: int) -> list[dict[str, Any]]:
    """Return the seconds of a gradient for every size of blocks and number of threads."""
    name, options, batch, n_inputs = CASES[case]
    model = build(name, config_class(name)(**options), n_inputs=n_inputs, n_outputs=1, seed=0)
    use_engine(model, "compiled")
    parameters = list(model.parameters())
    coords, targets = torch.rand(batch, n_inputs) * 2 - 1, torch.rand(batch, 1)

    def block(span: tuple[int, int]) -> tuple[torch.Tensor, ...]:
        with torch.enable_grad():
            error = (model(coords[slice(*span)]) - targets[slice(*span)]).square().sum()
            return torch.autograd.grad(error / batch, parameters)

    runners = {
        (size, threads): BlockRunner(torch.device("cpu"), threads=threads, block_points=size)
        for size in BLOCKS
        for threads in sorted({1, resolve_threads(None)})
    }
    seconds: dict[tuple[int, int], list[float]] = {key: [] for key in runners}
    for _ in range(repeats + WARM_UP):
        for (size, threads), runner in runners.items():
            began = time.perf_counter()
            total: list[torch.Tensor] = []
            for part in runner.map(block, ranges(batch, size)):
                if total:
                    torch._foreach_add_(total, list(part))
                else:
                    total = [g.clone() for g in part]
            seconds[size, threads].append(time.perf_counter() - began)
    for runner in runners.values():
        runner.close()
    rows = []
    for (size, threads), found in seconds.items():
        time_s = spread(found[WARM_UP:])
        rows.append({"case": case, "batch": batch, "block": size, "threads": threads, "seconds": time_s})
    one = next(row["seconds"]["median"] for row in rows if (row["block"], row["threads"]) == (CPU_BLOCK, 1))
    return [{**row, "against_1024_on_one": round(row["seconds"]["median"] / one, 3)} for row in rows]


def written(rows: list[dict[str, Any]]) -> str:
    """Return the ratios as a table, a row per case, a column per size and number of threads."""
    ways = list(dict.fromkeys((row["block"], row["threads"]) for row in rows))
    lines = [
        "| points of a step | " + " | ".join(f"{b} on {t}" for b, t in ways) + " |",
        "|---|" + "--:|" * len(ways),
    ]
    for case in CASES:
        own = {(r["block"], r["threads"]): r["against_1024_on_one"] for r in rows if r["case"] == case}
        lines.append(f"| {case}, {CASES[case][2]} | " + " | ".join(f"{own[way]:.2f}" for way in ways) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all cases and store them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=40)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for case in CASES for row in measure(case, args.repeats)]
    table = written(rows)
    print(table)
    (RESULTS / "blocks.md").write_text(table, encoding="utf-8")
    print(save("blocks", {"repeats": args.repeats, "rows": rows}))


if __name__ == "__main__":
    main()
