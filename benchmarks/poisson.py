"""`lrnn solve-poisson` in cold processes on the problems it is judged by: error, bound, seconds.

    python -m benchmarks.poisson [--only NAME] [--threads N]

Wall seconds hold start-up, measuring and writing of all files. A busy machine shows in wall seconds far above
the CPU seconds over the threads; the limits in the table are for an idle one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.machine import RESULTS, save

# name → arguments, largest relative L2 error, largest wall seconds
CASES: dict[str, tuple[list[str], float, float]] = {
    "high-frequency k=8": (["--problem", "high-frequency", "--k", "8"], 1e-12, 6),
    "high-frequency k=16": (["--problem", "high-frequency", "--k", "16"], 1e-10, 60),
    "high-frequency k=32": (["--problem", "high-frequency", "--k", "32"], 1e-7, 60),
    "multi-scale": (["--problem", "multi-scale"], 1e-11, 6),
    "non-separable": (["--problem", "non-separable"], 1e-11, 6),
    "disc": (["--problem", "disc"], 1e-10, 6),
    "high-frequency k=4, 3-D": (["--problem", "high-frequency", "--k", "4", "--dim", "3"], 1e-6, 60),
    "l-shape": (["--problem", "l-shape"], 1e-6, 60),
    "lm high-frequency k=4": (
        ["--problem", "high-frequency", "--k", "4", "--solver", "lm", "--time", "45s"],
        1e-6,
        60,
    ),
    "lm high-frequency k=8": (
        ["--problem", "high-frequency", "--k", "8", "--solver", "lm", "--time", "45s"],
        1e-6,
        60,
    ),
    "lm non-separable": (["--problem", "non-separable", "--solver", "lm", "--time", "45s"], 1e-6, 60),
    # baselines: what other models reach in the same time; their limit is no goal
    "lm siren high-frequency k=8": (
        "--problem high-frequency --k 8 --model siren --solver lm --params 816 --time 45s".split(),
        1.0,
        60,
    ),
    "lbfgs siren high-frequency k=8": (
        "--problem high-frequency --k 8 --model siren --solver lbfgs --params 816 --time 45s".split(),
        1.0,
        60,
    ),
    "ellipse": (
        [
            *("--domain", "implicit:-2.2,-1.3:2.2,1.3:x^2/4+y^2-1"),
            *("--manufacture", "(1-x^2/4-y^2)*sin(3*x*y+2*x)"),
        ],
        1e-10,
        6,
    ),
    # no bars: what least squares over space and time reaches with the defaults
    "heat": (["--problem", "heat"], 1.0, 60),
    "advection-diffusion": (["--problem", "advection-diffusion"], 1.0, 60),
    "transport": (["--problem", "transport"], 1.0, 60),
    "heat, 2-D": (["--problem", "heat", "--dim", "2"], 1.0, 60),
    "anova, 10-D": (["--problem", "anova", "--dim", "10", "--time", "45s"], 1e-4, 60),
}


def measure(arguments: list[str], threads: int) -> dict[str, object]:
    """Run one case and read its record."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lrnn_cli", "solve-poisson", *arguments, "--json", "-q"]
        before, began = os.times(), time.perf_counter()
        done = subprocess.run(
            [*command, "--threads", str(threads), "-o", f"{folder}/run"],
            capture_output=True,
            text=True,
            check=True,
        )
        wall, after = time.perf_counter() - began, os.times()
    record = json.loads(done.stdout)
    metrics = record["metrics"]
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    bound, error = metrics["error_bound"], metrics["error_l2"]
    return {
        "rel_l2": metrics["rel_l2"],
        "residual_heldout": metrics["residual_heldout"],
        "error_l2": error,
        "error_bound": bound,
        "bound_holds": None if bound is None else error <= bound,
        "reference": metrics["reference"],
        "numbers": record["model"]["params"],
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "solve_s": record["time"]["solve_s"],
        "threads": threads,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="cases whose name holds this; the others stay stored")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    path = RESULTS / "poisson.json"
    found = json.loads(path.read_text())["cases"] if options.only and path.exists() else {}
    for name, (arguments, error, seconds) in CASES.items():
        if options.only in name:
            result = measure(arguments, options.threads)
            result |= {"limit_rel_l2": error, "limit_wall_s": seconds}
            found[name] = result
            print(
                f"{name}: {result['rel_l2']:.1e} (limit {error:.0e}), {result['wall_s']} s wall "
                f"(limit {seconds}), {result['cpu_s']} s CPU, bound holds: {result['bound_holds']}",
                flush=True,
            )
    save("poisson", {"cases": found, "load": [round(x, 2) for x in os.getloadavg()]})


if __name__ == "__main__":
    main()
