"""Jobs: frozen specifications, named by what decides their result; and what their folders tell of them.

id = first 16 hexadecimal digits of SHA-256 over the canonical JSON of [task, configuration, SHA-256 of the
input, seed]. The configuration is the complete one, defaults included, less seed and number of threads. Two
entries of a study that come to the same id are one job.
"""

import dataclasses
import fcntl
import glob
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from lrnn_cli.errors import CheckpointError, ConfigError, InputError
from lrnn_cli.runs.folder import RunFolder, atomic_write, to_json
from lrnn_cli.studies.study import Combination, Study, Tree, crop_box

SCHEMA = "lrnn.job/1"
ID_DIGITS = 16
JOBS = "jobs"

# (options, groups, input words) → the complete configuration as the command itself resolves it
Resolve = Callable[[Combination, Sequence[str]], Tree]


@dataclass(frozen=True)
class Job:
    """What is run, once and for all.

    Attributes:
        id: see the text at the top of this module.
        label: row of the table that it belongs to: model, variant and point of the grid.
        task: the command.
        model: name of the model.
        seed: of weights and batches.
        input: what tables call the input.
        path: absolute path of the input; None for a named problem.
        sha256: digest of the input.
        options: words after the command's name, without folder and seed.
        groups: what its configuration file holds.
        config: the complete configuration, without seed and threads.
    """

    id: str
    label: str
    task: str
    model: str
    seed: int
    input: str
    path: str | None
    sha256: str
    options: list[str]
    groups: Tree
    config: Tree

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as JSON-able values."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    def folder(self, root: Path) -> "JobFolder":
        """Return the job's folder below the folder of the study."""
        return JobFolder(root / JOBS / self.id)


class State(StrEnum):
    """What a job's folder tells; the first two are final, the others are run again."""

    DONE = "done"
    DIVERGED = "diverged"
    FAILED = "failed"  # ended with an error, or was killed
    INTERRUPTED = "interrupted"  # stopped by a signal with its state saved
    RUNNING = "running"
    PENDING = "pending"

    @property
    def settled(self) -> bool:
        """Whether there is nothing left to do."""
        return self in (State.DONE, State.DIVERGED)


class JobFolder:
    """A run folder with the specification (job.json) and the attempts (attempts.jsonl) beside the run."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is touched."""
        self.path = path
        self.run = RunFolder(path)
        self.spec = path / "job.json"
        self.attempts_file = path / "attempts.jsonl"
        self.log = path / "log.txt"
        self.lock = path / "lock"

    def record(self) -> dict[str, Any] | None:
        """Return metrics.json, None when there is no valid one."""
        try:
            return self.run.read_metrics()
        except CheckpointError:
            return None

    def attempts(self) -> list[dict[str, Any]]:
        """Return the records of starts and ends, oldest first; a line cut short by a crash is left out."""
        try:
            lines = self.attempts_file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def settled(self) -> State | None:
        """Return the final state that a valid metrics.json tells, None when there is something left to do."""
        status = (self.record() or {}).get("status")
        return {"ok": State.DONE, "failed": State.DIVERGED}.get(str(status))

    def state(self) -> State:
        """Tell how far the job is."""
        if settled := self.settled():
            return settled
        if self.is_locked():
            return State.RUNNING
        attempts = self.attempts()
        if not attempts:
            return State.PENDING
        return State.INTERRUPTED if attempts[-1].get("code") in (130, 143) else State.FAILED

    def is_locked(self) -> bool:
        """Tell whether a process works on the job at this moment."""
        try:
            with self.lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def complaint(self) -> str:
        """Return one line on why the last attempt failed; empty when it did not."""
        state = self.state()
        if state is State.DIVERGED:
            return "diverged"
        if state is not State.FAILED:
            return ""
        last = self.attempts()[-1]
        if "code" not in last:
            return "killed together with what had started it"
        return str(last.get("message") or f"exit code {last['code']}")

    def freeze(self, job: Job) -> None:
        """Write job.json unless it is there.

        Raises:
            OutputError: when it cannot be written.
        """
        if not self.spec.exists():
            atomic_write(self.spec, to_json(job.as_dict()))


@dataclass(frozen=True)
class JobPlan:
    """All jobs of a study in their order, and what is worth saying about them."""

    study: Study
    jobs: tuple[Job, ...]
    notes: tuple[str, ...]

    def shard(self, index: int, count: int) -> list[Job]:
        """Return every count-th job beginning with the index-th, counted from 1.

        The shards of one plan are disjoint and together complete, whatever has been done already.
        """
        return list(self.jobs[index - 1 :: count])

    def pick(self, names: Sequence[str]) -> list[Job]:
        """Return the jobs with these ids or beginnings of ids.

        Raises:
            ConfigError: when one fits none or several.
        """
        found = []
        for name in names:
            fitting = [job for job in self.jobs if job.id.startswith(name)]
            if len(fitting) != 1:
                told = f"{len(fitting)} ids" if fitting else "no id"
                verb = "begin" if fitting else "begins"
                raise ConfigError(f"--job {name}: {told} of the study {self.study.name} {verb} with that")
            found += fitting
        return found


def plan_jobs(study: Study, base: Path, resolve: Resolve) -> JobPlan:
    """Turn a study into its jobs.

    Args:
        study: the study.
        base: folder that its inputs are relative to.
        resolve: asks the command for its complete configuration.

    Returns:
        the jobs, input by input.

    Raises:
        ConfigError: when options make no sense for the command.
        InputError: when inputs are missing.
    """
    combinations = list(study.combinations())
    jobs: dict[str, Job] = {}
    notes: list[str] = []
    cache: dict[tuple[str, tuple[str, ...]], Tree] = {}
    for item in _inputs(study, base):
        for combination in combinations:
            key = (combination.label, tuple(item.words))
            if key not in cache:
                cache[key] = without_machine(resolve(combination, item.words))
            config = cache[key]
            sha256 = item.sha256 or digest(config.get(study.kind.input_option[1]))
            for seed in study.seed_list():
                name = digest([study.task, config, sha256, seed])[:ID_DIGITS]
                job = Job(
                    id=name, label=combination.label, task=study.task, model=combination.model, seed=seed,
                    input=item.name, path=item.path, sha256=sha256,
                    options=[*item.words, f"--{study.kind.model_option}", combination.model,
                             *combination.options()],
                    groups=combination.groups(), config=config,
                )  # fmt: skip
                if name in jobs:
                    notes.append(_same(jobs[name], job))
                else:
                    jobs[name] = job
    return JobPlan(study, tuple(jobs.values()), tuple(dict.fromkeys(notes)))


def _same(first: Job, second: Job) -> str:
    if first.label == second.label:
        return f"{second.input} holds the same as {first.input}: fitted once"
    return f"{second.label!r} means the same as {first.label!r}: run once, under the first name"


@dataclass(frozen=True)
class _Input:
    """An input: its name in tables, where it lies, its digest, and the words it adds to the command line."""

    name: str
    path: str | None
    sha256: str
    words: list[str]


def _inputs(study: Study, base: Path) -> Iterator[_Input]:
    given = [study.inputs] if isinstance(study.inputs, str) else study.inputs
    if not study.kind.suffixes:
        for text in given:
            name, *settings = text.split()
            pairs = [word.partition("=")[::2] for word in settings]
            words = [w for k, v in pairs for w in (f"--{k}", v)]
            yield _Input(text, None, "", [f"--{study.kind.input_option[0]}", name, *words])
        return
    paths = list(dict.fromkeys(path for text in given for path in _files(text, base, study.kind.suffixes)))
    names = [path.name for path in paths]
    for path in paths:
        words = []
        if study.centre_crop is not None:
            box = crop_box(study.centre_crop, *_picture_size(path))
            words = ["--crop", ",".join(map(str, box))]
        name = path.name if names.count(path.name) == 1 else str(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from error
        yield _Input(name, str(path), hashlib.sha256(content).hexdigest(), words)


def _files(text: str, base: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not text:
        raise InputError("inputs: expected names of files, got an empty one")
    path = base / Path(text).expanduser()
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes and p.is_file())
        if not found:
            raise InputError(f"{path}: a folder without files of a known kind ({' '.join(suffixes)})")
    elif path.exists():
        found = [path]
    else:
        pattern = str(Path(text).expanduser())  # the folder of the study is no part of it
        matches = [base / match for match in glob.glob(pattern, root_dir=base, recursive=True)]
        found = sorted(match for match in matches if match.is_file())
        if not found:
            raise InputError(f"{path}: no such file, folder or pattern with a match")
    return [p.resolve() for p in found]


def _picture_size(path: Path) -> tuple[int, int]:
    from lrnn_cli.signals.image import read_image

    height, width = read_image(str(path)).values.shape[:2]
    return width, height


def without_machine(config: Tree) -> Tree:
    """Return a configuration without seed, which the id has anyway, and threads, which decide nothing."""
    return {
        name: {k: v for k, v in group.items() if k not in ("seed", "threads")}
        if isinstance(group, dict)
        else group
        for name, group in config.items()
    }


def digest(value: Any) -> str:
    """Return SHA-256 of a value's canonical JSON, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def missing(jobs: Sequence[Job], root: Path) -> list[Job]:
    """Return the jobs that are not settled: all of them less those with a valid metrics.json."""
    return [job for job in jobs if job.folder(root).settled() is None]
