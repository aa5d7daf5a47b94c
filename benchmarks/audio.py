"""Sounds: LRNN against SIREN and SPDER, each with its own learning rate and frequency, in the same time.

    python -m benchmarks.audio [--seconds 300] [--tune-seconds 30] [--seeds 3] [--params 200k] [--jobs 2]

Every run is the real command, `lrnn fit-audio CLIP --segments 1 --threads 1 --block-points 1024`, in a
process of its own.
Learning rate and first frequency of each model are chosen on each clip: every model has as many trials as the
others (`TRIALS`, seed 1000), of `--tune-seconds` each; a frequency is a factor on pi T times the clip's
spectral centroid, which up to 16,000 rad is what the command suggests for LRNN. Short trials favour other
settings than long runs, whose schedule falls later: at the frequency of the best trial a few rates and
recipes of training (`LONG`, `RECIPES`) are run at full length with seed 0, those of SIREN and SPDER with
`--no-guard`, so that a slow start is waited for: with the rates that won the short trials they were dead, and
were started afresh with less. The best long run of a model, of all that are stored with seed 0, gives the
settings for all seeds; of the two baselines only the better one of a clip is run with more than seed 0.

With `--settled` nothing is chosen: every model is run with one setting (`SETTLED`), found on other clips, for
all seeds. So were the clips of results/audio_heldout.json, which took no part in any choice:

    python -m benchmarks.audio --settled --seconds 100 --jobs 2 --store audio_heldout --clips a.wav,b.wav

The MSE is that of the saved checkpoint over all samples at peak 1; the time to 1e-4 is read from the training
log (running mean of the batches before each step). With `--jobs 2` two runs share the machine, one thread
each.

results/audio.json is stored after every run; an interrupted benchmark goes on from there. The tables are
results/audio.md, and of all long runs with seed 0 results/audio_tried.md; `--stored` writes them of what
there is. Those of the repository hold further runs by hand: not every clip had every entry of `LONG`, and
some had other rates.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, save, spread
from lrnn_cli.signals.audio import read_audio
from lrnn_cli.tasks.audio_defaults import Spectrum

NAME = "audio"
CLIPS = tuple(
    f"sample_data/{name}.wav" for name in ("bach", "counting", "speech_librivox16k", "speech_numbers16k")
)
MODELS = ("lrnn", "siren", "spder")
TARGET_MSE = 1e-4
TARGET_DB = -10 * math.log10(TARGET_MSE)
TUNING_SEED = 1000
SLOW = {"sample_data/counting.wav": 2.0}  # factor on the time of trials, where SIREN and SPDER begin late
# learning rate and factor on pi T centroid; LRNN's default is the first of its list; the last two of each
# were added when no trial of SIREN and SPDER had started on `counting`
TRIALS: dict[str, tuple[tuple[float, float], ...]] = {
    "lrnn": ((1e-3, 1.0), (2e-3, 1.0), (5e-4, 1.0), (1e-3, 0.5), (1e-3, 0.2), (2e-3, 0.5),
             (5e-4, 0.5), (7e-4, 0.7)),
    "siren": ((5e-4, 0.4), (5e-4, 1.0), (2e-4, 1.0), (2e-4, 0.4), (1e-3, 0.4), (5e-4, 0.2),
              (5e-4, 0.1), (5e-4, 0.05)),
    "spder": ((3e-4, 0.4), (3e-4, 1.0), (1e-4, 1.0), (1e-4, 0.4), (1e-3, 0.4), (3e-4, 0.2),
              (3e-4, 0.1), (3e-4, 0.05)),
}  # fmt: skip
# at full length, with the frequency of the best trial: rate (None: that of the trial), and the recipe
LONG: dict[str, tuple[tuple[float | None, str], ...]] = {
    "lrnn": ((None, "usual"), (5e-4, "small"), (5e-4, "narrow"), (1e-3, "cosine"), (5e-4, "tiny"),
             (5e-4, "single")),
    "siren": ((None, "usual"), (2e-4, "usual"), (2e-4, "small"), (2e-4, "cosine"), (1e-4, "cosine")),
    "spder": ((None, "usual"), (2e-4, "usual"), (1e-4, "usual"), (1e-4, "small"), (2e-4, "cosine"),
              (1e-4, "cosine")),
}  # fmt: skip
GUARDED = ("cosine",)  # recipes of SIREN and SPDER that are not run with --no-guard
SETTINGS = ("lr", "factor", "omega_first", "guard", "recipe")
SMALL = ("--batch-points", "1024", "--schedule", "cos:0.02")
RECIPES: dict[str, tuple[str, ...]] = {  # of the trials: usual; now LRNN's default: narrow
    "usual": ("--batch-points", "2048", "--schedule", "inverse:0.05"),
    "cosine": ("--batch-points", "2048", "--schedule", "cos:0.02"),
    "small": SMALL,
    "narrow": SMALL,
    "single": SMALL,
    "tiny": ("--batch-points", "512", "--schedule", "cos:0.02"),
}
FACTORS = {"usual": 4, "small": 4, "cosine": 2, "narrow": 2, "tiny": 2, "single": 1}  # of LRNN
# what won on most of the four clips, for clips that take no part in choosing
SETTLED: dict[str, dict[str, Any]] = {
    "lrnn": {"lr": 5e-4, "factor": 1.0, "recipe": "narrow"},
    "siren": {"lr": 2e-4, "factor": 0.4, "recipe": "cosine"},
    "spder": {"lr": 2e-4, "factor": 0.4, "recipe": "cosine"},
}
Run = dict[str, Any]


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    return subprocess.run([sys.executable, "-m", "lrnn_cli", *arguments], capture_output=True, text=True)


def centroid_omega(clip: str) -> float:
    """Pi T times the spectral centroid in rad per half span; to at most 16,000 LRNN's suggestion."""
    sound = read_audio(clip)
    rate_hz = float(sound.format["sample_rate"])
    return math.pi * Spectrum.of(sound).centroid_hz * sound.shape[0] / rate_hz


def key(run: Run) -> tuple[Any, ...]:
    """What tells one run from the others."""
    names = ("clip", "model", "params", "seconds", "lr", "seed")
    own = (run.get("guard", True), run.get("recipe", "usual"))
    return (*(run[name] for name in names), f"{run['omega_first']:.4g}", *own)


def first_second(log: list[dict[str, Any]], psnr_db: float) -> float | None:
    """Seconds of training until a PSNR at peak 1 was reached; None if it was not."""
    return next((round(r["seconds"], 3) for r in log if (r.get("psnr_db") or -math.inf) >= psnr_db), None)


def measure(run: Run) -> Run:
    """Do one run and return it with its figures; `mse` is infinite when it failed."""
    with tempfile.TemporaryDirectory() as folder:
        done = call(
            "fit-audio", run["clip"], "--model", run["model"], "--params", run["params"],
            "--time", f"{run['seconds']}s", "--segments", "1", "--threads", "1", "--block-points", "1024",
            "--lr", str(run["lr"]),
            "--omega-first", f"{run['omega_first']:.6g}", "--seed", str(run["seed"]),
            *(() if run.get("guard", True) else ("--no-guard",)),
            *recipe_words(run["model"], run.get("recipe", "usual")), "-o", f"{folder}/run", "--json", "-qq",
        )  # fmt: skip
        if done.returncode:
            return {**run, "mse": math.inf, "failed": done.stderr.strip()}
        record = json.loads(done.stdout)
        lines = Path(folder, "run", "train.jsonl").read_text(encoding="utf-8").splitlines()
    found = record["metrics"]
    return {
        **run,
        "n_params": record["model"]["params"],
        **{name: found[name] for name in ("mse", "psnr_db", "snr_db", "lsd_db", "rho_ag")},
        "seconds_to_1e-4": first_second([json.loads(line) for line in lines], TARGET_DB),
        "steps": record["train"]["steps"],
        "train_s": record["time"]["train_s"],
        "rollbacks": record["train"]["rollbacks"],
        "fresh_starts": record["train"]["fresh_starts"],
    }


def recipe_words(model: str, recipe: str) -> tuple[str, ...]:
    """Return the options of a recipe, with all that is decided by defaults written out."""
    own = ("--dbar", str(FACTORS[recipe])) if model == "lrnn" else ()
    return (*RECIPES[recipe], *own)


class Book:
    """All runs so far, stored after each."""

    def __init__(self, name: str) -> None:
        """Take up what an interrupted benchmark left."""
        self.name, self.lock = name, threading.Lock()
        path = RESULTS / f"{name}.json"
        self.runs: list[Run] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else []
        for run in self.runs:
            run["mse"] = math.inf if run["mse"] is None else run["mse"]

    def get(self, wanted: Run) -> Run:
        """Return a run, done before or now."""
        with self.lock:
            known = next((run for run in self.runs if key(run) == key(wanted)), None)
        if known:
            return known
        run = measure(wanted)
        with self.lock:
            self.runs.append(run)
            print(
                {name: run.get(name) for name in ("clip", "model", "lr", "factor", "seed", "mse")}, flush=True
            )
            kept = [{**r, "mse": r["mse"] if math.isfinite(r["mse"]) else None} for r in self.runs]
            save(self.name, {"trials": TRIALS, "runs": kept})
        return run

    def long_runs(self, clip: str, model: str, params: str, seconds: float) -> list[Run]:
        """The runs of a model at full length with seed 0."""
        alike = {"clip": clip, "model": model, "params": params, "seconds": seconds, "seed": 0}
        return [run for run in self.runs if all(run[name] == value for name, value in alike.items())]


def best(trials: list[Run], count: int = 1) -> list[Run]:
    """The trials with the smallest errors; of equals the first."""
    return sorted(trials, key=lambda run: run["mse"])[:count]


def long_settings(model: str, trials: list[Run]) -> list[Run]:
    """Rate, frequency and guard to be run at full length, after the trials."""
    first = best(trials)[0]
    kept = {name: first[name] for name in ("factor", "omega_first")}
    waits = {recipe: {"guard": False} for recipe in RECIPES if recipe not in GUARDED and model != "lrnn"}
    return [
        {
            **kept,
            "lr": rate or first["lr"],
            **waits.get(recipe, {}),
            **({} if recipe == "usual" else {"recipe": recipe}),
        }
        for rate, recipe in LONG[model]
    ]


def worth_seeds(pair: tuple[str, str], chosen: dict[tuple[str, str], Run]) -> bool:
    """Tell whether a model is run with all seeds on a clip: LRNN, and the better of the others."""
    clip, model = pair
    others = [run for (name, other), run in chosen.items() if name == clip and other != "lrnn"]
    return model == "lrnn" or chosen[pair]["mse"] == min(run["mse"] for run in others)


def row(clip: str, model: str, runs: list[Run]) -> dict[str, Any]:
    """Median, smallest and largest of a model's runs on a clip."""
    times = [math.inf if (t := run.get("seconds_to_1e-4")) is None else t for run in runs]
    sound = [run for run in runs if math.isfinite(run["mse"])]
    return {
        "clip": Path(clip).stem,
        "model": model,
        "recipe": runs[0].get("recipe", "usual"),
        "lr": runs[0]["lr"],
        "factor": runs[0]["factor"],
        "runs": len(runs),
        "failed": len(runs) - len(sound),
        "fresh_starts": sum(run.get("fresh_starts", 0) for run in runs),
        "mse": spread([run["mse"] for run in sound]) if sound else None,
        "rho_ag": spread([run["rho_ag"] for run in sound]) if sound else None,
        "seconds_to_1e-4": spread(times) if math.isfinite(statistics.median(times)) else None,
    }


def seeds(row: dict[str, Any]) -> str:
    """How many seeds the figures of a row are of; where runs failed, of how many."""
    return f"{row['runs'] - row['failed']} of {row['runs']}" if row["failed"] else str(row["runs"])


def shown(figures: dict[str, float] | None, form: str, otherwise: str) -> str:
    """Median (smallest … largest) for a table."""
    if figures is None:
        return otherwise
    text = f"{figures['median']:{form}} ({figures['min']:{form}} … {figures['max']:{form}})"
    return text.replace("inf", "never")


def markdown(rows: list[dict[str, Any]], told: str, seconds: float) -> str:
    """The rows as a table, with the ratio of the better baseline's median MSE to LRNN's."""
    text = f"{told}\n\n| clip | model | recipe | lr | ω factor | seeds | fresh starts | MSE | ρ_AG "
    text += "| seconds to MSE 1e-4 |\n"
    text += "|---|---|---|--:|--:|--:|--:|---|---|---|\n"
    for r in rows:
        cells = (
            r["clip"],
            r["model"],
            r["recipe"],
            f"{r['lr']:g}",
            f"{r['factor']:g}",
            seeds(r),
            str(r["fresh_starts"]),
            shown(r["mse"], ".2e", "failed"),
            shown(r["rho_ag"], ".5f", "–"),
            shown(r["seconds_to_1e-4"], ".0f", "not by most"),
        )
        text += f"| {' | '.join(cells)} |\n"
    text += "\n| clip | better baseline's MSE / LRNN's | its time to 1e-4 / LRNN's |\n|---|--:|--:|\n"
    for clip in dict.fromkeys(r["clip"] for r in rows):
        found = {r["model"]: r for r in rows if r["clip"] == clip and r["mse"]}
        others = [r for name, r in found.items() if name != "lrnn"]
        if "lrnn" not in found or not others:
            continue
        ratio = min(r["mse"]["median"] for r in others) / found["lrnn"]["mse"]["median"]
        times = [r["seconds_to_1e-4"]["median"] for r in others if r["seconds_to_1e-4"]]
        mine = found["lrnn"]["seconds_to_1e-4"]
        measured = f"{min(times) / mine['median']:.2f}" if times and mine else None
        bound = f"over {seconds / mine['median']:.1f}" if mine else "–"  # never there in the whole run
        faster = measured or bound
        text += f"| {clip} | {ratio:.2f} | {faster} |\n"
    return text


def main(argv: list[str] | None = None) -> None:
    """Tune, run the seeds, store the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, help="of training per run")
    parser.add_argument("--tune-seconds", type=float, help="of training per trial; as --seconds unless given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--params", default="200k")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, of one thread each")
    parser.add_argument("--clips", default=",".join(CLIPS), help="files, with commas between them")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--trials", type=int, default=8, help="the first of each model's list")
    parser.add_argument(
        "--settled", action="store_true", help="one setting for every model, nothing is chosen"
    )
    parser.add_argument("--stored", action="store_true", help="run nothing: tables of what is stored")
    parser.add_argument("--store", default=NAME, help="name of the files in results/")
    args = parser.parse_args(argv)
    book, tuning_s = Book(args.store), args.tune_seconds or args.seconds
    pairs = [(clip, model) for clip in args.clips.split(",") for model in args.models.split(",")]
    if args.stored:
        write_tables(book, pairs, args, tuning_s)
        return
    omegas = {clip: centroid_omega(clip) for clip in args.clips.split(",")}

    def trial(clip: str, model: str, rate: float, factor: float) -> Run:
        return {
            "clip": clip, "model": model, "params": args.params, "lr": rate, "factor": factor,
            "omega_first": float(f"{omegas[clip] * factor:.6g}"), "seed": TUNING_SEED,
            "seconds": tuning_s * SLOW.get(clip, 1.0),
        }  # fmt: skip

    def long(pair: tuple[str, str], setting: Run, seed: int) -> Run:
        kept = {name: setting[name] for name in SETTINGS if name in setting}
        clip, model = pair
        return {
            "clip": clip,
            "model": model,
            "params": args.params,
            "seconds": args.seconds,
            **kept,
            "seed": seed,
        }

    def settled(pair: tuple[str, str], seed: int) -> Run:
        clip, model = pair
        omega = float(f"{omegas[clip] * SETTLED[model]['factor']:.6g}")
        return long(pair, {**SETTLED[model], "omega_first": omega}, seed)

    if args.settled:
        with ThreadPoolExecutor(args.jobs) as pool:
            for future in [
                pool.submit(book.get, settled(pair, seed)) for seed in range(args.seeds) for pair in pairs
            ]:
                future.result()
        write_tables(book, pairs, args, tuning_s)
        return
    with ThreadPoolExecutor(args.jobs) as pool:
        trials = {
            (clip, model): [
                pool.submit(book.get, trial(clip, model, rate, factor))
                for rate, factor in TRIALS[model][: args.trials]
            ]
            for clip, model in pairs
        }
        candidates = {
            pair: [
                pool.submit(book.get, long(pair, setting, 0))
                for setting in long_settings(pair[1], [future.result() for future in futures])
            ]
            for pair, futures in trials.items()
        }
        chosen = {}
        for pair, futures in candidates.items():
            for future in futures:
                future.result()
            chosen[pair] = best(book.long_runs(*pair, args.params, args.seconds))[0]
        for pair, one in chosen.items():
            chances = range(args.seeds if worth_seeds(pair, chosen) else 1)
            for future in [pool.submit(book.get, long(pair, one, seed)) for seed in chances]:
                future.result()
    write_tables(book, pairs, args, tuning_s)


def write_tables(book: Book, pairs: list[tuple[str, str]], args: argparse.Namespace, tuning_s: float) -> None:
    """Write the table of the best settings with their seeds, and that of all long runs, of what is stored."""
    rows, tried = [], []
    for clip, model in pairs:
        first = book.long_runs(clip, model, args.params, args.seconds)
        tried += sorted(first, key=lambda run: run["mse"])
        if first:
            setting = key(best(first)[0] | {"seed": None})
            alike = [run for run in book.runs if key(run | {"seed": None}) == setting]
            rows.append(row(clip, model, [run for run in alike if run["seed"] != TUNING_SEED]))
    told = f"{args.params} parameters, {args.seconds:g} s of training on one thread: median "
    told += "(smallest … largest) over the seeds; "
    if args.settled:
        told += "settings that were found on other clips."
    else:
        told += f"frequency by {args.trials} trials of {tuning_s:g} s ({2 * tuning_s:g} on counting), "
        told += "then learning rate and recipe by runs of full length with seed 0."
    text = markdown(rows, told, args.seconds)
    (RESULTS / f"{args.store}.md").write_text(text, encoding="utf-8")
    (RESULTS / f"{args.store}_short.md").write_text(short(rows), encoding="utf-8")
    if not args.settled:
        (RESULTS / f"{args.store}_tried.md").write_text(list_runs(tried), encoding="utf-8")
    print(text)


def short(rows: list[dict[str, Any]]) -> str:
    """Return the errors as a table of clips and models, and the ratio of the better baseline to LRNN."""
    models = list(dict.fromkeys(r["model"] for r in rows))
    text = f"| clip | {' | '.join(models)} | better baseline / LRNN |\n|---|{'---|' * len(models)}--:|\n"
    for clip in dict.fromkeys(r["clip"] for r in rows):
        every = {r["model"]: r for r in rows if r["clip"] == clip}
        found = {model: r for model, r in every.items() if r["mse"]}
        cells = []
        for model in models:
            one = every.get(model)
            if one is None:
                cells.append("–")
                continue
            single = one["mse"] and one["runs"] == 1
            cell = f"{one['mse']['median']:.1e}" if single else shown(one["mse"], ".1e", "failed")
            cells.append(f"{cell}, {seeds(one)} seeds" if one["failed"] and one["mse"] else cell)
        others = [r["mse"]["median"] for name, r in found.items() if name != "lrnn"]
        ratio = f"{min(others) / found['lrnn']['mse']['median']:.3g}" if others and "lrnn" in found else "–"
        text += f"| {clip} | {' | '.join(cells)} | {ratio} |\n"
    return text


def list_runs(runs: list[Run]) -> str:
    """Return the long runs with seed 0 as a table."""
    text = "| clip | model | recipe | lr | ω | guard | fresh starts | steps | MSE |\n"
    text += "|---|---|---|--:|--:|---|--:|--:|--:|\n"
    for run in runs:
        cells = (
            Path(run["clip"]).stem,
            run["model"],
            run.get("recipe", "usual"),
            f"{run['lr']:g}",
            f"{run['omega_first']:.0f}",
            "yes" if run.get("guard", True) else "no",
            str(run.get("fresh_starts", "–")),
            str(run.get("steps", "–")),
            f"{run['mse']:.1e}",
        )
        text += f"| {' | '.join(cells)} |\n"
    return text


if __name__ == "__main__":
    main()
