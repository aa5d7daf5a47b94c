"""What `lrnn compare` does once its options are read: find or make the runs, and say what they tell."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrnn_cli.cli.failures import ExitCode
from lrnn_cli.cli.interrupts import StopFlag
from lrnn_cli.cli.render import Talk
from lrnn_cli.cli.tables import show_table
from lrnn_cli.errors import ConfigError, InputError

if TYPE_CHECKING:
    from lrnn_cli.studies.collect import RunRecord
    from lrnn_cli.studies.comparison import Table
    from lrnn_cli.studies.execute import Question, Source
    from lrnn_cli.studies.jobs import Job, State
    from lrnn_cli.studies.measures import Target

FORMATS = ("table", "csv", "md", "latex", "json")
EQUAL = ("params", "time", "steps")
DEFAULT_MODELS = "lrnn,siren,spder,wire"
DEFAULT_PARAMS = 200_000
DEFAULT_TIME_S = 60.0
DEFAULT_FOLDER = "comparisons"


@dataclass(frozen=True)
class View:
    """How the tables are made and shown.

    Attributes:
        form: one of `FORMATS`.
        targets: as written; None for those usual for the kind.
        equal: what must be equal.
        by_input: a table for each input.
        output: folder for compare.json, or None.
    """

    form: str
    targets: str | None
    equal: tuple[str, ...]
    by_input: bool
    output: Path | None


def parse_words(text: str, option: str, known: Sequence[str] = ()) -> tuple[str, ...]:
    """Read words with commas between them.

    Returns:
        the words in their order.

    Raises:
        ConfigError: when there is none, one appears twice, or one is not among the known ones.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or len(set(words)) < len(words):
        raise ConfigError(f"{option} {text!r}: expected different names with commas between them")
    for word in words:
        if known and word not in known:
            raise ConfigError(f"{option} {word}: expected {', '.join(known)}")
    return tuple(words)


def chosen_format(form: str | None, json: bool) -> str:
    """Return the format of a table, one of `FORMATS`, from --format and --json.

    Raises:
        ConfigError: when there is no such format, or the two options contradict each other.
    """
    if form is not None and form not in FORMATS:
        raise ConfigError(f"--format {form}: expected {', '.join(FORMATS)}")
    if json and form not in (None, "json"):
        raise ConfigError(f"--json and --format {form} exclude each other")
    return "json" if json else form or "table"


def wanted_equal(text: str | None) -> tuple[str, ...]:
    """Read --equal.

    Returns:
        the words, none when the option is not given.

    Raises:
        ConfigError: when a word is none of `EQUAL`.
    """
    return parse_words(text, "--equal", EQUAL) if text is not None else ()


def parse_goals(text: str) -> list["Target"]:
    """Read targets.

    Returns:
        the targets; none for empty text and for `none`.

    Raises:
        ConfigError: when one is no target.
    """
    from lrnn_cli.studies.measures import parse_targets

    return parse_targets(text) if text and text != "none" else []


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate inputs from the options for every run, which begin at the first word with a dash."""
    first = next((k for k, word in enumerate(words) if word.startswith("-")), len(words))
    return list(words[:first]), list(words[first:])


def compare_runs(paths: Sequence[str], view: View, talk: Talk) -> int:
    """Compare runs that have ended.

    Args:
        paths: run folders, folders of them, or of comparisons.
        view: how.
        talk: the program's voice.

    Returns:
        the exit code.
    """
    from lrnn_cli.studies import comparison_file
    from lrnn_cli.studies.tuning import describe

    records, stored = comparison_file.gather([Path(path) for path in paths])
    tuning = describe(stored.tuning) if stored.known else None
    kept = comparison_file.Stored(stored.tuning, view.targets or stored.targets, stored.known)
    show(records, view, kept, tuning, {"runs": list(paths)}, talk)
    return ExitCode.OK


def compare_inputs(
    question: "Question", trials: int, count: int, threads: int | None, view: View, talk: Talk
) -> int:
    """Run what is missing, and compare.

    Args:
        question: what is compared on what.
        trials: of the tuning of every row; 0 for none.
        count: runs at once.
        threads: CPU threads of each; None divides the cores among them.
        view: how.
        talk: the program's voice.

    Returns:
        the exit code: 6 when runs failed.

    Raises:
        ConfigError: when a command refuses its options.
        InputError: when an input cannot be read, or inputs do not belong in one table.
    """
    from lrnn_cli.studies import comparison_file
    from lrnn_cli.studies.collect import collect_each
    from lrnn_cli.studies.siblings import adopt
    from lrnn_cli.studies.tuning import describe, tune

    if len({source.task for source in question.sources}) > 1 and not view.by_input:
        told = ", ".join(f"{source.name} ({source.task})" for source in question.sources)
        raise InputError(f"mixed units in one table: {told}; --by-input makes a table for each input")
    parse_goals(view.targets or "")
    root = view.output or _default_folder(question.sources)
    searched: dict[str, Any] | None = None
    plain = question
    with StopFlag() as should_stop:
        if trials:
            note = _Announcer(talk, "trials", trials * len(question.keys()) * len(question.sources))
            run = partial(_run, root / "tuning", count, threads, should_stop, note)
            question, searched = tune(question, trials, root / "tuning", run, should_stop=should_stop)
        jobs = list({job.id: job for job in question.jobs()}.values())
        if not should_stop():
            note = _Announcer(talk, "runs", len(jobs))
            _run(root, count, threads, should_stop, note, jobs)
        should_stop.finish("stopped; the same command goes on from there")
    records = adopt([record for job in jobs for record in collect_each(job.folder(root).path, job)])
    stored = comparison_file.Stored(searched, view.targets or "", True)
    view = View(view.form, view.targets, view.equal, view.by_input, root)
    show(records, view, stored, describe(searched), _question_dict(plain), talk)
    failed = [record for record in records if not record.ok]
    if failed:
        talk.warn(f"{len(failed)} of {len(records)} runs failed; they count as failures")
    return ExitCode.BATCH if failed else ExitCode.OK


def _run(
    root: Path,
    count: int,
    threads: int | None,
    should_stop: StopFlag,
    note: "_Announcer",
    jobs: "Sequence[Job]",
) -> None:
    from lrnn_cli.studies.execute import run_missing
    from lrnn_cli.studies.run_local import LocalRunner

    run_missing(jobs, LocalRunner(root, count, threads=threads), should_stop=should_stop, ended=note)


class _Announcer:
    """Says how far the runs are, a line for each that ends."""

    def __init__(self, talk: Talk, what: str, total: int) -> None:
        self.talk, self.what, self.total, self.done = talk, what, total, 0

    def __call__(self, job: "Job", state: "State") -> None:
        self.done += 1
        told = f"{job.input}, {job.label}, seed {job.seed}: {state}"
        self.talk.note(f"{self.what}: {self.done} of at most {self.total}  {told}")


def _default_folder(sources: Sequence["Source"]) -> Path:
    first = sources[0]
    name = Path(first.name).stem if first.path is not None else first.name.replace(" ", "-")
    return Path(DEFAULT_FOLDER) / (name if len(sources) == 1 else f"{name}+{len(sources) - 1}")


def _question_dict(question: "Question") -> dict[str, Any]:
    return {
        "inputs": [
            {"task": s.task, "name": s.name, "path": str(s.path) if s.path else None, "sha256": s.sha256}
            for s in question.sources
        ],
        "models": list(question.models),
        "params": list(question.budgets),
        "seeds": list(question.seeds),
        "steps": question.steps,
        "time_s": question.time_s,
        "options": list(question.words),
    }


def show(
    records: Sequence["RunRecord"],
    view: View,
    stored: Any,
    tuning: str | None,
    question: dict[str, Any],
    talk: Talk,
) -> None:
    """Make the tables, store them where a folder is given, and write them to stdout.

    Args:
        records: the runs.
        view: how.
        stored: a `comparison_file.Stored`.
        tuning: what tuning every row got, in words; None when nobody knows.
        question: what was compared on what.
        talk: the program's voice.
    """
    from lrnn_cli.runs.folder import finite
    from lrnn_cli.studies import comparison_file, sheets
    from lrnn_cli.studies.comparison import compare
    from lrnn_cli.studies.measures import DEFAULT_TARGETS

    tables: list[tuple[str, Table]] = []
    for title, group in _groups(records, view.by_input):
        goals = parse_goals(stored.targets or DEFAULT_TARGETS.get(group[0].kind, ""))
        tables.append((title, compare(group, goals, equal=view.equal)))
    command = ["lrnn", *sys.argv[1:]]
    record = comparison_file.encode(tables, stored=stored, tuning=tuning, question=question, command=command)
    if view.output is not None:
        comparison_file.write(record, view.output)
        talk.note(f"table -> {view.output / comparison_file.NAME}")
    if view.form == "json":
        talk.out(_one_line(finite(record)))
    elif view.form == "csv":
        talk.out(sheets.csv_table(tables))
    elif view.form in ("md", "latex"):
        write = sheets.markdown if view.form == "md" else sheets.latex
        talk.out("\n\n".join(write(table, tuning) for _, table in tables))
    else:
        for k, (_, table) in enumerate(tables):
            if k:
                talk.out("")
            _show_sheets(table, tuning, talk)


def _one_line(record: dict[str, Any]) -> str:
    import json

    return json.dumps(record, allow_nan=False)


def _groups(records: Sequence["RunRecord"], by_input: bool) -> list[tuple[str, list["RunRecord"]]]:
    """Return the runs of each table, with its title."""
    if not by_input:
        names = list(dict.fromkeys(record.input_name for record in records))
        return [(", ".join(names), list(records))]
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        found.setdefault(record.input_id, []).append(record)
    return [(group[0].input_name, group) for group in found.values()]


def _show_sheets(table: "Table", tuning: str | None, talk: Talk) -> None:
    from lrnn_cli.studies import sheets

    marks: list[str] = []
    for sheet in sheets.sheets(table):
        rows = [[f"{e.text} {sheets.MARKS[e.mark]}".rstrip() for e in row] for row in sheet.rows]
        bold = {(i, k) for i, row in enumerate(sheet.rows) for k, e in enumerate(row) if e.mark == "best"}
        numeric = range(1, len(sheet.header))
        show_table(talk, rows, header=sheet.header, title=sheet.title, numeric=numeric, bold=bold)
        talk.out("")
        marks += sheet.marks()
    told = sheets.legend(marks)
    talk.out("\n".join([*([told] if told else []), *sheets.facts(table, tuning)]))
