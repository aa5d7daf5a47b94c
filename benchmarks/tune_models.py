"""Default learning rate, base frequency and scale of every model: a random search, alike for all.

    python -m benchmarks.tune_models [--trials 20] [--seconds 10 | --steps N] [--models siren,kan] [--jobs 2]
    python -m benchmarks.tune_models --finalists 2 --name tune_finals --params 200000 --size 256 --samples 0

Signals: four pictures and two sounds made by formulas (`procedural`), none of them sample data. Trial 0 is
the model's own default with Adam, without what `tasks/tuned.py` lays over it for a kind of signal; every
further trial draws the learning rate from [1e-4, 5e-2] and a factor from [1/4, 4] on each option in
`OPTIONS`, all logarithmically, from a seed that depends on the trial alone. Every model has the same number
of trials, the same parameters, the same time (or steps) per fit, and nothing else is tuned. The score of a
trial is the mean PSNR over its signals; a fit that fails scores what a constant would. With `--finalists K`
the K best trials of each model on pictures in results/tune_models.json and the default run again, at another
size. Results go to results/NAME.json after every trial, with a table in results/NAME.md; an interrupted
search goes on from there.
"""

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import numpy as np
import torch

from benchmarks.machine import RESULTS, save
from benchmarks.procedural import images, sounds
from lrnn_cli.errors import FitError
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.catalog import CATALOG
from lrnn_cli.signals.audio import AudioOptions
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.fit_audio import AudioTask
from lrnn_cli.tasks.fit_image import ImageTask
from lrnn_cli.tasks.regression import ModelChoice, Regression
from lrnn_cli.tasks.tuned import PLAIN

NAME = "tune_models"
RATES = (1e-4, 5e-2)
FACTOR = 4.0
OPTIONS: dict[str, tuple[str, ...]] = {  # searched besides the learning rate
    "lrnn": ("omega_first", "omega_hidden"),
    "siren": ("omega_first", "omega_hidden"),
    "spder": ("omega_first", "omega_hidden"),
    "finer": ("omega_first", "first_bias"),
    "gauss": ("scale",),
    "wire": ("omega_first", "omega_hidden", "scale"),
    "fourier": ("scale",),
    "relu-pe": ("octaves",),
    "mfn": ("scale",),
    "kan": ("grid",),
    "maxout": ("pieces",),
    "polynomial": ("degree",),
    "multiplicative": ("overlap",),
}


def draw(trial: int, n_options: int) -> tuple[float | None, list[float]]:
    """The learning rate and the factors of a trial; None and ones for trial 0, the default."""
    if trial == 0:
        return None, [1.0] * n_options
    rng = np.random.default_rng([7, trial])
    low, high = np.log(RATES)
    rate = float(np.exp(rng.uniform(low, high)))
    return float(f"{rate:.2g}"), [float(FACTOR ** rng.uniform(-1, 1)) for _ in range(n_options)]


def scaled(key: str, value: float, factor: float) -> float:
    """A default times a factor, to two digits or a whole number; octaves count factors of two."""
    if key == "octaves":
        return max(1, round(value + math.log2(factor)))
    if isinstance(value, int):
        return max(2, round(value * factor))
    return float(f"{value * factor:.2g}")


def fit(model: str, trial: int, signal: Signal, budget: dict[str, Any]) -> dict[str, Any]:
    """One fit, on one thread: its PSNR at peak 1, learning rate and options."""
    torch.set_num_threads(1)
    keys = OPTIONS.get(model, ())
    rate, factors = draw(trial, len(keys))
    settings = FitSettings(threads=1, lr=rate, **budget["fit"])
    task = (
        ImageTask(signal, tuned=PLAIN)
        if signal.kind == "image"
        else AudioTask(signal, AudioOptions(segments=1), tuned=PLAIN)
    )
    default = task.plan(ModelChoice(name=model, params=budget["params"]), settings).config
    options = {
        key: scaled(key, getattr(default, key), factor) for key, factor in zip(keys, factors, strict=True)
    }
    plan = task.plan(ModelChoice(name=model, params=budget["params"], options=options), settings)
    shift, scale = task.transform()
    regression = Regression(signal, (shift, scale), plan, settings)
    constant = regression.trainer.samples.variance()
    try:
        for _ in regression.steps(lambda: False):
            pass
        loss = regression.trainer.final_loss
    except FitError:
        loss = constant
    finally:
        regression.close()
    loss = loss if math.isfinite(loss) else constant
    return {
        "signal": signal.name,
        "kind": signal.kind,
        "psnr_db": round(-10 * math.log10(loss * scale**2), 3),
        "lr": plan.lr,
        "options": options,
        "steps": regression.trainer.step,
        "params": plan.n_params,
    }


def run_trial(model: str, trial: int, budget: dict[str, Any]) -> dict[str, Any]:
    """All signals of one trial of one model."""
    pictures = images(budget["size"], budget["seed"])[: budget["pictures"]]
    signals = [*pictures, *(sounds(budget["samples"], budget["seed"]) if budget["samples"] else ())]
    return {
        "model": model,
        "trial": trial,
        "fits": [fit(model, trial, signal, budget) for signal in signals],
    }


def score(trial: dict[str, Any], kind: str | None) -> float:
    """Mean PSNR over the signals of a kind, or over all."""
    found = [f["psnr_db"] for f in trial["fits"] if kind in (None, f["kind"])]
    return sum(found) / len(found)


def summary(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per model and kind of signal: the default's score, the best trial's, and what it was."""
    rows = []
    for model in dict.fromkeys(t["model"] for t in trials):
        mine = sorted((t for t in trials if t["model"] == model), key=lambda t: t["trial"])
        kinds = list(dict.fromkeys(f["kind"] for f in mine[0]["fits"]))
        for kind in (*kinds, None) if len(kinds) > 1 else kinds:
            best = max(mine, key=lambda t: score(t, kind))
            shown = next(f for f in best["fits"] if kind in (None, f["kind"]))
            rows.append(
                {
                    "model": model,
                    "signals": kind or "all",
                    "trials": len(mine),
                    "default_db": round(score(mine[0], kind), 2),
                    "best_db": round(score(best, kind), 2),
                    "trial": best["trial"],
                    "lr": shown["lr"],
                    "factors": dict(
                        zip(
                            OPTIONS.get(model, ()),
                            (round(f, 3) for f in draw(best["trial"], len(OPTIONS.get(model, ())))[1]),
                            strict=True,
                        )
                    ),
                    "options": shown["options"],
                }
            )
    return rows


def markdown(rows: list[dict[str, Any]], budget: dict[str, Any]) -> str:
    """The summary as a table; options are those of the first signal of the kind."""
    length = ", ".join(f"{k} {v}" for k, v in budget["fit"].items())
    text = f"Budget per fit: {length}, {budget['params']} parameters; PSNR in dB, mean over signals.\n\n"
    text += "| model | signals | trials | default | best | lr | options |\n|---|---|--:|--:|--:|--:|---|\n"
    for row in rows:
        options = ", ".join(f"{k} {v:g}" for k, v in row["options"].items()) or "–"
        text += (
            f"| `{row['model']}` | {row['signals']} | {row['trials']} | {row['default_db']:.2f} "
            f"| {row['best_db']:.2f} | {row['lr']:g} | {options} |\n"
        )
    return text


def store(name: str, budget: dict[str, Any], trials: list[dict[str, Any]]) -> None:
    """Write everything found so far."""
    rows = summary(trials)
    save(name, {"budget": budget, "summary": rows, "trials": trials})
    (RESULTS / f"{name}.md").write_text(markdown(rows, budget), encoding="utf-8")


def earlier(name: str, budget: dict[str, Any]) -> list[dict[str, Any]]:
    """Trials of an interrupted search with the same budget."""
    path = RESULTS / f"{name}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return record["trials"] if record.get("budget") == budget else []


def finalists(count: int, models: list[str]) -> list[tuple[str, int]]:
    """Return the default and the best trials on pictures of each model in results/tune_models.json."""
    trials = json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))["trials"]
    wanted = []
    for model in models:
        mine = sorted((t for t in trials if t["model"] == model), key=lambda t: -score(t, "image"))
        wanted += [(model, k) for k in dict.fromkeys([0, *(t["trial"] for t in mine[:count])])]
    return wanted


def main(argv: list[str] | None = None) -> None:
    """Search and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=20, help="per model, the default included")
    parser.add_argument("--seconds", type=float, default=10.0, help="per fit")
    parser.add_argument("--steps", type=int, default=None, help="per fit, in place of --seconds")
    parser.add_argument("--models", default=",".join(CATALOG), help="names with commas between them")
    parser.add_argument("--params", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=128, help="side of the pictures")
    parser.add_argument("--pictures", type=int, default=4, help="how many of the four")
    parser.add_argument("--samples", type=int, default=16_000, help="of the sounds, at 8 kHz; 0 for none")
    parser.add_argument("--finalists", type=int, help="so many of the best trials again, and the default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-points", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--seed", type=int, default=0, help="of the signals")
    parser.add_argument("--name", default=NAME, help="of the files in results/")
    args = parser.parse_args(argv)
    length = {"steps": args.steps} if args.steps else {"time_s": args.seconds}
    budget = {
        "fit": {**length, "device": args.device, "batch_points": args.batch_points},
        "params": args.params,
        "size": args.size,
        "pictures": args.pictures,
        "samples": args.samples,
        "seed": args.seed,
    }
    trials = earlier(args.name, budget)
    done = {(t["model"], t["trial"]) for t in trials}
    models = args.models.split(",")
    jobs = [(m, k) for k in range(args.trials) for m in models]
    if args.finalists:
        jobs = finalists(args.finalists, models)
    wanted = [job for job in jobs if job not in done]
    with ProcessPoolExecutor(args.jobs) as pool:
        for future in as_completed([pool.submit(run_trial, m, k, budget) for m, k in wanted]):
            trials.append(future.result())
            last = trials[-1]
            kinds = dict.fromkeys(f["kind"] for f in last["fits"])
            figures = ", ".join(f"{kind} {score(last, kind):.2f} dB" for kind in kinds)
            print(f"{last['model']} {last['trial']}: {figures}", flush=True)
            store(args.name, budget, trials)


if __name__ == "__main__":
    main()
