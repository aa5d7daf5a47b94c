"""The runs that a comparison needs, and running those that are missing as the commands a user would type."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.studies.jobs import ID_DIGITS, Job, JobFolder, State, digest, missing, without_machine
from lrnn_cli.studies.study import TASKS, Tree

if TYPE_CHECKING:
    from lrnn_cli.studies.run_local import LocalRunner

# What the comparison decides itself; after -- it would make the rows unequal without a word.
RESERVED = (
    "-m", "--model", "--method", "-p", "--params", "--steps", "-t", "--time", "--until", "--seed", "-o",
    "--output", "-f", "--force", "--resume", "--skip-existing", "--json", "--dry-run", "--print-config",
    "--threads", "-q", "--quiet", "-v", "--verbose",
)  # fmt: skip
_BOOKKEEPING = ("job.json", "attempts.jsonl", "log.txt", "lock", "settings.yaml")
# Exit codes that are not about a model: what was asked for makes no sense, or a file is at fault.
_USAGE, _FILE = 2, 3

Key = tuple[str, int | None]  # model and budget of parameters: a row
# (task, its options) → the complete configuration as the command itself resolves it
Resolve = Callable[[str, Sequence[str]], Tree]


@dataclass(frozen=True)
class Source:
    """What is fitted.

    Attributes:
        task: the command.
        name: as tables call it.
        words: of the command line that say what it is, without the path.
        path: of the file; None for a problem.
        sha256: digest of the file, or of the words.
    """

    task: str
    name: str
    words: tuple[str, ...]
    path: Path | None
    sha256: str


@dataclass(frozen=True)
class Question:
    """What is compared on what, and what every model is given.

    Attributes:
        sources: what is fitted.
        models: names.
        budgets: numbers of parameters; (None,) leaves each model its default size.
        seeds: every model runs with each of them.
        steps: budget of steps, or None.
        time_s: budget of training time, or None.
        words: further options for every run.
        tuned: words for a row and an input, found by `studies.tuning`.
        resolve: asks a command for its complete configuration.
    """

    sources: tuple[Source, ...]
    models: tuple[str, ...]
    budgets: tuple[int | None, ...]
    seeds: tuple[int, ...]
    steps: int | None
    time_s: float | None
    words: tuple[str, ...] = ()
    tuned: Mapping[tuple[Key, str], tuple[str, ...]] = field(default_factory=dict)
    resolve: Resolve = field(default=lambda task, words: {"options": list(words)}, compare=False)

    def keys(self) -> list[Key]:
        """Return the rows."""
        return [(model, budget) for budget in self.budgets for model in self.models]

    def label(self, key: Key) -> str:
        """Return what a row is called."""
        model, budget = key
        return model if len(self.budgets) == 1 else f"{model} {budget}"

    def jobs(self) -> list[Job]:
        """Return the runs, all models beside each other: a slow hour of the machine meets all of them."""
        return [
            self.job(source, key, seed, self.tuned.get((key, source.sha256), ()))
            for seed in self.seeds
            for source in self.sources
            for key in self.keys()
        ]

    def job(self, source: Source, key: Key, seed: int, words: Sequence[str] = ()) -> Job:
        """Return one run, known by its complete configuration: when a default changes, it is another run.

        Args:
            source: what is fitted.
            key: model and budget.
            seed: of everything random.
            words: options of this run alone.

        Returns:
            the run.

        Raises:
            ConfigError: when the command refuses its options.
        """
        model, budget = key
        options = [*source.words, f"--{TASKS[source.task].model_option}", model]
        options += ["--params", str(budget)] if budget is not None else []
        options += ["--steps", str(self.steps)] if self.steps is not None else []
        options += ["--time", f"{self.time_s:g}s"] if self.time_s is not None else []
        options += [*self.words, *words]
        try:
            config = without_machine(self.resolve(source.task, options))
        except ConfigError as error:
            raise ConfigError(f"{self.label(key)}: {error}") from error
        return Job(
            id=digest([source.task, config, source.sha256, seed])[:ID_DIGITS],
            label=self.label(key),
            task=source.task,
            model=model,
            seed=seed,
            input=source.name,
            path=None if source.path is None else str(source.path.resolve()),
            sha256=source.sha256,
            options=options,
            groups={},
            config=config,
        )


def check_words(words: Sequence[str]) -> None:
    """Refuse options for all runs that the comparison decides itself.

    Raises:
        ConfigError: when one is among them.
    """
    for word in words:
        name = word.partition("=")[0] if word.startswith("--") else word[:2]  # -p2k is -p 2k
        if name in RESERVED:
            raise ConfigError(f"{name} after --: the comparison sets that itself, for every model alike")


def file_source(path: Path, task: str | None = None) -> Source:
    """Return a file as something to be fitted.

    Args:
        path: the file.
        task: the command; None chooses it by the suffix.

    Returns:
        the source.

    Raises:
        InputError: when the file is missing, unreadable or of no known kind.
    """
    try:
        sha256 = digest_of(path)
    except OSError as error:
        what = (
            "no such file or run folder"
            if isinstance(error, FileNotFoundError)
            else error.strerror or str(error)
        )
        raise InputError(f"{path}: {what}") from error
    if task is None:
        fits = ("fit-image", "fit-audio")
        task = next((name for name in fits if path.suffix.lower() in TASKS[name].suffixes), None)
        if task is None:
            raise InputError(
                f"{path}: neither an image nor a sound by its name; --task says what is to be done with it"
            )
    return Source(task, path.name, (), path, sha256)


def tell_apart(sources: Sequence[Source]) -> list[Source]:
    """Return the sources with their paths as names where several files have the same name."""
    names = [source.name for source in sources]
    return [
        replace(source, name=str(source.path)) if names.count(source.name) > 1 else source
        for source in sources
    ]


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def problem_source(name: str, words: Sequence[str]) -> Source:
    """Return a named Poisson problem as something to be fitted.

    Args:
        name: of the problem.
        words: its options, such as ["--k", "8"].
    """
    every = ("--problem", name, *words)
    pairs = zip(words[::2], words[1::2], strict=True)
    told = " ".join([name, *(f"{option.lstrip('-')}={value}" for option, value in pairs)])
    return Source("solve-poisson", told, every, None, digest(list(every)))


def run_missing(
    jobs: Sequence[Job],
    runner: LocalRunner,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    ended: Callable[[Job, State], None] = lambda job, state: None,
) -> None:
    """Run the jobs that have no result yet.

    A run that crashes, is killed or diverges is a failed run, and the others go on. A run that refuses its
    options or its input ends the comparison, since that is no property of a model.

    Args:
        jobs: the runs.
        runner: where, and how many at once.
        should_stop: asked a few times a second; those running then save their state.
        ended: told of each run that ends.

    Raises:
        ConfigError: when the command refuses the options.
        InputError: when it cannot read the input or write its files.
    """
    folders = {job.id: job.folder(runner.root) for job in jobs}
    new = {path for folder in folders.values() for path in _not_there(folder.path)}
    todo = missing(list({job.id: job for job in jobs}.values()), runner.root)
    refusal: ConfigError | InputError | None = None
    with contextlib.closing(runner.run(todo, should_stop)) as running:  # closing it stops the others
        for job, state in running:
            ended(job, state)
            if state is State.FAILED and (refusal := _refusal(job, folders[job.id])) is not None:
                break
    if refusal is not None:
        for folder in folders.values():
            _discard(folder, new)
        raise refusal


def _refusal(job: Job, folder: JobFolder) -> ConfigError | InputError | None:
    """Return the error that ends the comparison, None for a failure of the run itself."""
    code, said = folder.attempts()[-1].get("code"), folder.complaint()
    if code not in (_USAGE, _FILE):
        return None
    return (ConfigError if code == _USAGE else InputError)(f"{job.label}: {said}")


def _not_there(path: Path) -> list[Path]:
    """Return the folders that would have to be made for this one, itself first."""
    # os.path.exists: a folder that one may not look into is no error here, writing to it will be
    return [each for each in (path, *path.parents) if not os.path.exists(each)]


def _discard(folder: JobFolder, new: Collection[Path]) -> None:
    """Remove what a run left that wrote no file of its own, in folders that were not there before it."""
    path = folder.path
    if path not in new or not path.is_dir() or {each.name for each in path.iterdir()} - set(_BOOKKEEPING):
        return
    for name in _BOOKKEEPING:
        (path / name).unlink(missing_ok=True)
    for each in (path, *path.parents):
        if each in new:
            with contextlib.suppress(OSError):  # not empty
                each.rmdir()
