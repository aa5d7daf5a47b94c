"""The same short search for every model: learning rate and frequency, before the runs that count.

Trial 0 is the model's default. Trial k >= 1 multiplies the default learning rate by 8^(2u-1) and the default
frequency by 4^(2v-1), (v, u) being the k-th point of the Halton sequence in bases 2 and 3, the same factors
for every model. A trial has a quarter of the budget and a seed of its own, that no run of the table uses, and
is made on every input; its score is the mean over the inputs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrnn_cli.studies.collect import collect
from lrnn_cli.studies.execute import Key, Question, Source
from lrnn_cli.studies.jobs import Job
from lrnn_cli.studies.measures import MEASURES
from lrnn_cli.studies.study import TASKS

RATE_RANGE, FREQUENCY_RANGE = 8.0, 4.0
BUDGET_SHARE = 4  # a trial has one part in so many of the budget
SEED = 1000
FREQUENCY = ("omega_first", "scale", "octaves", "grid")  # the option of a model that sets how fine it sees


@dataclass(frozen=True)
class Defaults:
    """What a model has without tuning, on one input.

    Attributes:
        lr: its learning rate; None when the solver has none.
        option: its frequency option; None when it has none.
        value: of that option.
    """

    lr: float | None
    option: str | None
    value: float | None


def factors(trial: int) -> tuple[float, float]:
    """Return the factors on learning rate and frequency of a trial, both 1 for trial 0."""
    if trial == 0:
        return 1.0, 1.0
    from scipy.stats.qmc import Halton

    v, u = Halton(2, scramble=False).random(trial + 1)[trial]
    return float(RATE_RANGE ** (2 * u - 1)), float(FREQUENCY_RANGE ** (2 * v - 1))


def words_for(trial: int, base: Defaults) -> tuple[str, ...]:
    """Return the options of a trial for a model whose defaults are known."""
    if trial == 0:
        return ()
    on_rate, on_frequency = factors(trial)
    words = () if base.lr is None else ("--lr", f"{base.lr * on_rate:.3g}")
    if base.option is None or base.value is None:
        return words
    if base.option == "octaves":  # counts factors of two
        text = str(max(1, round(base.value + math.log2(on_frequency))))
    elif isinstance(base.value, int):
        text = str(max(2, round(base.value * on_frequency)))
    else:
        text = f"{base.value * on_frequency:.3g}"
    return (*words, "--set", f"{base.option}={text}")


def tune(
    question: Question,
    trials: int,
    root: Path,
    run: Callable[[Sequence[Job]], object],
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Question, dict[str, Any]]:
    """Search for every row of a table alike.

    Args:
        question: what will be compared.
        trials: per row, the default included.
        root: folder of the trials.
        run: runs what is missing of some jobs in that folder.
        should_stop: whether the runs were stopped.

    Returns:
        the question with the options found, and the trials as JSON-able values. When stopped, the question
        as it was and no trials.
    """
    short = dataclasses.replace(
        question,
        steps=None if question.steps is None else max(1, question.steps // BUDGET_SHARE),
        time_s=None if question.time_s is None else question.time_s / BUDGET_SHARE,
    )
    pairs = [(key, source) for key in short.keys() for source in short.sources]
    first = {(key, source.sha256): short.job(source, key, SEED) for key, source in pairs}
    run(list(first.values()))
    if should_stop():
        return question, {}
    bases = {at: defaults(job.folder(root).record(), job.model) for at, job in first.items()}
    chosen_words: dict[tuple[Key, str, int], tuple[str, ...]] = {}
    runs: dict[tuple[Key, str, int], Job] = {}
    for key, source in pairs:
        for trial in range(trials):
            at = (key, source.sha256, trial)
            chosen_words[at] = words_for(trial, bases[key, source.sha256])
            runs[at] = short.job(source, key, SEED, chosen_words[at])
    run(list(runs.values()))
    if should_stop():
        return question, {}
    found: dict[str, Any] = {}
    tuned = {}
    for key in short.keys():
        told = [_trial(key, trial, short, runs, chosen_words, root) for trial in range(trials)]
        best = max(told, key=lambda each: -math.inf if each["score"] is None else each["score"])
        found[question.label(key)] = {"chosen": best["trial"], "trials": told}
        for source in short.sources:
            tuned[key, source.sha256] = chosen_words[key, source.sha256, best["trial"]]
    record = {
        "trials": trials,
        "steps": short.steps,
        "time_s": short.time_s,
        "seed": SEED,
        "score": "mean over the inputs, of -log10 where smaller is better",
        "rows": found,
    }
    return dataclasses.replace(question, tuned=tuned), record


def _trial(
    key: Key,
    trial: int,
    question: Question,
    runs: dict[tuple[Key, str, int], Job],
    words: dict[tuple[Key, str, int], tuple[str, ...]],
    root: Path,
) -> dict[str, Any]:
    """Tell options and score of a trial; None as score when a run of it failed."""
    scores: list[float | None] = []
    for source in question.sources:
        job = runs[key, source.sha256, trial]
        scores.append(score(job.folder(root).path, source))
    known = [each for each in scores if each is not None]
    return {
        "trial": trial,
        "options": {source.name: list(words[key, source.sha256, trial]) for source in question.sources},
        "scores": scores,
        "score": sum(known) / len(known) if len(known) == len(scores) else None,
    }


def score(folder: Path, source: Source) -> float | None:
    """Return how well a run did, larger is better; None when it failed."""
    record = collect(folder)
    name = TASKS[source.task].measure
    value = record.metrics.get(name)
    if not record.ok or value is None:
        return None
    return value if MEASURES[name].upward else -math.log10(max(value, 1e-300))


def defaults(record: dict[str, Any] | None, model: str) -> Defaults:
    """Return the defaults of a model: as a run of it recorded them, else its own, whatever the task."""
    from lrnn_cli.models.catalog import CATALOG, config_class

    if model not in CATALOG:
        return Defaults(None, None, None)
    cls = config_class(model)
    config = {name: field.default for name, field in cls.model_fields.items()}
    config |= ((record or {}).get("model") or {}).get("config") or {}
    option = next((name for name in FREQUENCY if name in cls.model_fields), None)
    value = config.get(option) if option else None
    lr = ((record or {}).get("train") or {}).get("lr", cls.default_lr)
    return Defaults(lr, option if value is not None else None, value)


def describe(tuning: dict[str, Any] | None) -> str:
    """Say what tuning every row got, and for each row the scores of its trials; one line each."""
    if not tuning:
        return "none: every model at its default learning rate and frequency"
    budget = f"{tuning['steps']} steps" if tuning["steps"] else f"{tuning['time_s']:g} s"
    lines = [
        f"{tuning['trials']} trials for every row alike, of learning rate and frequency, {budget} each, on "
        f"the same inputs with seed {tuning['seed']}; the best was taken"
    ]
    for row, found in tuning["rows"].items():
        scores = ", ".join("failed" if t["score"] is None else f"{t['score']:.2f}" for t in found["trials"])
        options = found["trials"][found["chosen"]]["options"]
        told = "; ".join(dict.fromkeys(" ".join(words) or "its defaults" for words in options.values()))
        lines.append(f"{row}: scores {scores}; taken: trial {found['chosen']}, {told}")
    return "\n".join(lines)
