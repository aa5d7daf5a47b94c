"""What makes LRNN fit sounds better, and SIREN at its own best: one choice at a time, equal passes.

    python -m benchmarks.search_audio [--jobs 2] [--params 50000] [--passes 12] [--names lrnn,siren,…]

Clips: a second of solo strings and one of speech at 44.1 kHz, two seconds of a reader at 16 kHz. Every trial
of a model fits each clip with the same number of passes over its samples, so that a busy machine changes
nothing; SIREN gets a quarter more, since its steps cost less. The score is the mean PSNR at peak 1
of the clips; a trial that loses more than `HOPELESS_DB` on the first clip against the default is not
continued. The table is stored in results/search_audio.json after every trial; an interrupted search goes on
from there.
"""

import argparse
import json
import math
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any

import torch

from benchmarks.machine import RESULTS, save
from lrnn_cli.errors import FitError
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models import lrnn
from lrnn_cli.signals.audio import AudioOptions, read_audio
from lrnn_cli.tasks.fit_audio import AudioTask
from lrnn_cli.tasks.regression import ModelChoice, Regression
from lrnn_cli.tasks.tuned import PLAIN

NAME = "search_audio"
CLIPS = {  # file, start and duration in seconds
    "bach": ("sample_data/bach.wav", 1.0, 1.0),
    "counting": ("sample_data/counting.wav", 1.0, 1.0),
    "reader": ("sample_data/speech_librivox16k.wav", 1.0, 2.0),
}
HOPELESS_DB = 3.0
SIREN_PASSES = 1.25
# The model, then what differs from its defaults: `times_omega` multiplies the frequency that the clip's
# spectrum suggests, `steady_omega` and `spread` change the first layer, `fit` the training, the rest the
# model.
NOW = {"lr": 1e-3, "batch_points": 1024, "schedule": "cos:0.02"}  # what the first trials led to
TRIALS: dict[str, tuple[str, dict[str, Any]]] = {
    "lrnn": ("lrnn", {}),
    "siren": ("siren", {"fit": {"lr": 5e-4}}),
    "lrnn batch 1024": ("lrnn", {"fit": {"batch_points": 1024}}),
    "lrnn lr 2e-3": ("lrnn", {"fit": {"lr": 2e-3}}),
    "lrnn depth 4": ("lrnn", {"depth": 4}),
    "lrnn depth 2": ("lrnn", {"depth": 2}),
    "lrnn dbar 2": ("lrnn", {"dbar": 2}),
    "lrnn dbar 8": ("lrnn", {"dbar": 8}),
    "lrnn sin": ("lrnn", {"sigma": "sin"}),
    "lrnn steady 200": ("lrnn", {"steady_omega": 200.0}),
    "lrnn omega x2": ("lrnn", {"times_omega": 2.0}),
    "lrnn omega hidden 20": ("lrnn", {"omega_hidden": 20.0}),
    "lrnn spread": ("lrnn", {"spread": 16.0, "times_omega": 2.0}),
    "lrnn beta2 0.99": ("lrnn", {"fit": {"beta2": 0.99}}),
    "lrnn sigma_g 0.7": ("lrnn", {"sigma_g": 0.7}),
    "lrnn nadam": ("lrnn", {"fit": {"optimizer": "nadam"}}),
    "lrnn nadam 2e-3": ("lrnn", {"fit": {"optimizer": "nadam", "lr": 2e-3}}),
    "lrnn cos": ("lrnn", {"fit": {"schedule": "cos:0.02"}}),
    "now": ("lrnn", {"dbar": 2, "fit": NOW}),
    "now lr 5e-4": ("lrnn", {"dbar": 2, "fit": {**NOW, "lr": 5e-4}}),
    "now lr 2e-3": ("lrnn", {"dbar": 2, "fit": {**NOW, "lr": 2e-3}}),
    "now omega hidden 50": ("lrnn", {"dbar": 2, "omega_hidden": 50.0, "fit": NOW}),
    "now omega hidden 100": ("lrnn", {"dbar": 2, "omega_hidden": 100.0, "fit": NOW}),
    "now spread": ("lrnn", {"dbar": 2, "spread": 16.0, "times_omega": 2.0, "fit": NOW}),
    "now omega x2": ("lrnn", {"dbar": 2, "times_omega": 2.0, "fit": NOW}),
    "now depth 4": ("lrnn", {"dbar": 2, "depth": 4, "fit": NOW}),
    "now batch 512": ("lrnn", {"dbar": 2, "fit": {**NOW, "batch_points": 512}}),
    "now beta2 0.99": ("lrnn", {"dbar": 2, "fit": {**NOW, "beta2": 0.99}}),
    "now nadam 2e-3": ("lrnn", {"dbar": 2, "fit": {**NOW, "optimizer": "nadam", "lr": 2e-3}}),
    "spder": ("spder", {"omega_hidden": 100.0, "fit": {**NOW, "lr": 2e-4}}),
    "spder lr 5e-4": ("spder", {"omega_hidden": 100.0, "fit": {**NOW, "lr": 5e-4}}),
    "siren lr 1e-3": ("siren", {"fit": {"lr": 1e-3}}),
    "siren omega x1.5": ("siren", {"fit": {"lr": 5e-4}, "times_omega": 1.5}),
    "siren nadam": ("siren", {"fit": {"lr": 5e-4, "optimizer": "nadam"}}),
    "siren batch 1024": ("siren", {"fit": {"lr": 5e-4, "batch_points": 1024}}),
    "siren lr 1e-3 exp": ("siren", {"fit": {"lr": 1e-3, "schedule": "exp:0.02"}}),
}


def fit(clip: str, model: str, change: dict[str, Any], params: int, passes: int) -> dict[str, Any]:
    """Fit one clip on one thread; PSNR at peak 1, steps and processor seconds."""
    torch.set_num_threads(1)
    path, start_s, duration_s = CLIPS[clip]
    reading = AudioOptions(start_s=start_s, duration_s=duration_s, segments=1)
    signal = read_audio(path, reading)
    task, options = AudioTask(signal, reading, PLAIN), dict(change)
    training = {"batch_points": 2048, "threads": 1, "lstsq": (), **options.pop("fit", {})}
    part = SIREN_PASSES if model == "siren" else 1.0
    steps = math.ceil(part * passes * signal.shape[0] / training["batch_points"])
    settings = FitSettings(steps=steps, engine="compiled", **training)
    times, spread = options.pop("times_omega", 1.0), options.pop("spread", None)
    steady = options.pop("steady_omega", 60.0)
    if times != 1.0:
        default = task.plan(ModelChoice(name=model, params=params), settings).config
        options["omega_first"] = times * default.omega_first  # type: ignore[attr-defined]
    plan = task.plan(ModelChoice(name=model, params=params, options=options), settings)
    usual, lrnn.STEADY_OMEGA = lrnn.STEADY_OMEGA, steady
    run = Regression(signal, task.transform(), plan, settings)
    if spread is not None:  # as many neurons per octave: |w| log-uniform in [1 / spread, 1]
        with torch.no_grad():
            weight = run.model.layers[0].weight  # type: ignore[attr-defined,union-attr]
            weight.copy_(weight.sign() * spread ** (weight.abs() - 1))  # type: ignore[operator,union-attr]
    began = time.process_time()
    try:
        for _ in run.steps(lambda: False):
            pass
        mse = run.trainer.samples.mse(run.trainer.final_loss)
    except FitError:
        mse = float(signal.values.var())
    finally:
        run.close()
        lrnn.STEADY_OMEGA = usual
    return {
        "clip": clip,
        "psnr_db": round(-10 * math.log10(mse), 3),
        "mse": mse,
        "steps": steps,
        "params": plan.n_params,
        "omega_first": getattr(plan.config, "omega_first", None),
        "lr": plan.lr,
        "cpu_s": round(time.process_time() - began, 1),
    }


def run_trial(name: str, params: int, passes: int, least_db: float, seed: int) -> dict[str, Any]:
    """All clips of a trial, or the first alone where that is below `least_db`."""
    model, change = TRIALS[name]
    change = {**change, "fit": {"seed": seed, **change.get("fit", {})}}
    fits: list[dict[str, Any]] = []
    for clip in CLIPS:
        fits.append(fit(clip, model, change, params, passes))
        if fits[0]["psnr_db"] < least_db:
            break
    mean = sum(f["psnr_db"] for f in fits) / len(fits)
    complete = len(fits) == len(CLIPS)
    return {"name": name, "seed": seed, "complete": complete, "mean_psnr_db": round(mean, 3), "fits": fits}


def earlier(name: str, budget: dict[str, Any]) -> list[dict[str, Any]]:
    """Trials of an interrupted search with the same budget."""
    path = RESULTS / f"{name}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return record["trials"] if record.get("budget") == budget else []


def markdown(trials: list[dict[str, Any]]) -> str:
    """Return the trials as a table, each model's best first."""
    text = "| trial | seed | " + " | ".join(CLIPS) + " | mean dB | steps | CPU s |\n"
    text += "|---|--:|" + "--:|" * len(CLIPS) + "--:|--:|--:|\n"
    for trial in trials:
        fits = trial["fits"]
        levels = [f"{fit['psnr_db']:.1f}" for fit in fits] + ["–"] * (len(CLIPS) - len(fits))
        mean = f"{trial['mean_psnr_db']:.1f}" if trial["complete"] else "–"
        steps, cpu = sum(fit["steps"] for fit in fits), sum(fit["cpu_s"] for fit in fits)
        text += (
            f"| {trial['name']} | {trial['seed']} | {' | '.join(levels)} | {mean} | {steps} | {cpu:.0f} |\n"
        )
    return text


def main(argv: list[str] | None = None) -> None:
    """Search and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--params", type=int, default=50_000)
    parser.add_argument("--passes", type=int, default=12, help="over the samples; SIREN gets a quarter more")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--names", default=",".join(TRIALS), help="trials, with commas between them")
    parser.add_argument("--seeds", default="0", help="with commas between them")
    parser.add_argument("--store", default=NAME, help="name of the file in results/")
    args = parser.parse_args(argv)
    budget = {"params": args.params, "passes": args.passes, "clips": CLIPS}
    budget = json.loads(json.dumps(budget))
    trials = earlier(args.store, budget)
    done = {(t["name"], t["seed"]) for t in trials}
    wanted = [(n, int(s)) for s in args.seeds.split(",") for n in args.names.split(",")]
    models = {model for model, _ in TRIALS.values()}
    best = {m: [t["fits"][0]["psnr_db"] for t in trials if t["name"] == m] for m in models}
    with ProcessPoolExecutor(args.jobs) as pool:
        futures: list[Future[dict[str, Any]]] = []
        for name, seed in wanted:
            if (name, seed) not in done:
                least = min(best[TRIALS[name][0]], default=-math.inf) - HOPELESS_DB
                futures.append(pool.submit(run_trial, name, args.params, args.passes, least, seed))
        for future in as_completed(futures):
            last = future.result()
            print(last["name"], last["mean_psnr_db"], [f["psnr_db"] for f in last["fits"]], flush=True)
            trials.append(last)
            trials.sort(key=lambda t: (TRIALS[t["name"]][0], not t["complete"], -t["mean_psnr_db"]))
            told = [{**trial, "change": TRIALS[trial["name"]]} for trial in trials]
            save(args.store, {"budget": budget, "trials": told})
    (RESULTS / f"{args.store}.md").write_text(markdown(trials), encoding="utf-8")


if __name__ == "__main__":
    main()
