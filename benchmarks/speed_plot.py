"""Draw docs/images/speed.png from results/speed.json and results/speed_cuda.json.

    python -m benchmarks.speed_plot

Microseconds per point of a training step against the number of points, one panel per device: full lines are
the tool's steps, broken ones the obvious program with plain autograd.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.machine import RESULTS

TARGET = Path(__file__).parent.parent / "docs" / "images" / "speed.png"
COLOURS = {
    "lrnn": "#1f6fb4", "lrnn-own": "#5fb0d9", "lrnn-paper": "#7b4fa8", "siren": "#d1495b",
    "spder": "#e08e2b", "wire": "#3a8f5c", "kan": "#6b6b6b",
}  # fmt: skip


def panel(axes: Any, record: dict[str, Any], title: str) -> None:
    """Draw the rows of one device."""
    for model, colour in COLOURS.items():
        for way, line in (("blocks", "-"), ("plain", "--")):
            rows = sorted(
                (r["points"], r["us_per_point"])
                for r in record["rows"]
                if (r["model"], r["way"]) == (model, way)
            )
            if rows:
                label = model if way == "blocks" else None
                axes.plot(*zip(*rows, strict=True), line, marker="o", ms=4, color=colour, label=label)
    axes.set(xscale="log", yscale="log", title=title, xlabel="points", ylabel="µs per point")
    axes.grid(True, which="both", alpha=0.2)


def main() -> None:
    """Draw what is stored."""
    stored = [
        (path, title)
        for path, title in ((RESULTS / "speed.json", "CPU"), (RESULTS / "speed_cuda.json", "GPU"))
        if path.exists()
    ]
    figure, panels = plt.subplots(1, len(stored), figsize=(5.5 * len(stored), 4.2), squeeze=False)
    for axes, (path, title) in zip(panels[0], stored, strict=True):
        record = json.loads(path.read_text(encoding="utf-8"))
        machine = record["machine"]
        name = machine["cuda"] or f"{machine['processor']}, {machine['cores']} cores"
        panel(axes, record, f"{title}: {name}")
    panels[0][0].legend(fontsize=8)
    figure.suptitle("Training step, 200,000 parameters; broken lines: plain autograd", fontsize=10)
    figure.tight_layout()
    figure.savefig(TARGET, dpi=110)
    print(TARGET)


if __name__ == "__main__":
    main()
