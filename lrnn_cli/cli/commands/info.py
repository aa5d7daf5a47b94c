"""`lrnn info`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lrnn_cli.cli import options as o
from lrnn_cli.cli.render import Talk
from lrnn_cli.cli.tables import show_table

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder or a checkpoint.", show_default=False)]
_TONE_HEADER = ("segment", "neuron", "factors, strongest first", "their combinations")
_LAYER_HEADER = (
    "layer",
    "neurons",
    "factors",
    "least",
    "median",
    "most",
    "near-zero factors",
    "near-zero neurons",
)


def command(run: Run, json: o.Json = False, quiet: o.Quiet = 0, verbose: o.Verbose = 0) -> int:
    """Show what a run folder or checkpoint holds: model, signal, measures, and the relevance of the factors.

    The relevance of a factor 1 + γ g is |γ| Σ|a|. It is called near zero below 1 % of the median of its
    layer, or 0.001, and a neuron when all of its factors are: then it is a constant; --json names them. Of a
    sound, the tones of the first layer's strongest neurons are listed, and the sums and differences that
    their products make.
    """
    talk = Talk(quiet=quiet, verbose=verbose, json=json)

    from lrnn_cli.runs.find import FoundSolution, find_any
    from lrnn_cli.runs.folder import finite
    from lrnn_cli.tasks.describe import describe

    found = find_any(run)
    if isinstance(found, FoundSolution):
        return _show_solution(found, str(run), talk, json)
    about = describe(found.fitted)
    record = finite({"path": str(run), "checkpoint": str(found.checkpoint), **about, "run": found.record()})
    if json:
        talk.result("", record)
        return 0
    show_table(talk, list(_facts(record)), title=str(run))
    if record["tones"]:
        talk.out("")
        cells = [_tone_cells(row) for row in record["tones"]]
        show_table(talk, cells, header=_TONE_HEADER, title="learned tones of the strongest neurons, Hz")
    layers = record["layers"]
    if layers:
        talk.out("")
        rows = [_layer_cells(layer) for layer in layers]
        show_table(talk, rows, header=_LAYER_HEADER, title="relevance", numeric=range(len(_LAYER_HEADER)))
    return 0


def _show_solution(found: Any, name: str, talk: Talk, json: bool) -> int:
    """Show the solution of an equation: the field, the problem, how it was solved, and its measures."""
    from lrnn_cli.runs.folder import finite
    from lrnn_cli.tasks.describe import describe_solution

    about = describe_solution(found.solution, found.problem, found.header)
    record = finite({"path": name, "checkpoint": str(found.checkpoint), **about, "run": found.record()})
    if json:
        talk.result("", record)
        return 0
    rows: list[tuple[str, str]] = []
    for group in ("field", "problem", "solve"):
        rows.append((group, ""))
        rows += [(f"  {key}", _word(value)) for key, value in record[group].items()]
    show_table(talk, [*rows, *_run_facts(record["run"])], title=name)
    return 0


def _tone_cells(row: dict[str, Any]) -> list[str]:
    hertz = [" ".join(f"{tone:.4g}" for tone in row[key]) for key in ("tones_hz", "combinations_hz")]
    return [str(row["segment"]), str(row["neuron"]), *hertz]


def _layer_cells(layer: dict[str, Any]) -> list[str]:
    sizes = [f"{layer[key]:.3g}" for key in ("smallest", "median", "largest")]
    counts = [str(layer[key]) for key in ("layer", "neurons", "factors")]
    return [*counts, *sizes, str(layer["factors_near_zero"]), str(layer["neurons_near_zero"])]


def _facts(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Put the record into words: the checkpoint first, then the run, where there is one."""
    model, signal, transform = record["model"], record["signal"], record["transform"]
    yield "model", model["name"]
    yield "parameters", f"{model['params']} ({model['bytes']} bytes, {model['precision']})"
    for key, value in model["config"].items():
        yield f"  {key}", _word(value)
    yield record["kind"], " x ".join(map(str, signal["shape"]))
    for key, value in signal.items():
        if key != "shape":
            yield f"  {key}", _word(value)
    yield "  peak", f"{transform['peak']:g}"
    yield from _run_facts(record["run"])


def _run_facts(run: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Put metrics.json into words."""
    if run is None:
        return
    yield "run", str(run.get("status"))
    yield "  command", _word(run.get("command"))
    yield "  started", f"{run.get('started_utc')}, finished {run.get('finished_utc')}"
    for group in ("metrics", "train", "time", "resources", "env"):
        yield group, ""
        for key, value in dict(run.get(group) or {}).items():
            yield f"  {key}", _word(value)


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return " ".join(map(_word, value)) or "none"
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
