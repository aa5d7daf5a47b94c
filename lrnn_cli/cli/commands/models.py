"""`lrnn models`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrnn_cli.cli import options as o
from lrnn_cli.cli.render import Talk
from lrnn_cli.cli.tables import show_table
from lrnn_cli.errors import ConfigError

if TYPE_CHECKING:
    from lrnn_cli.models.contract import ModelConfig
    from lrnn_cli.tasks.tuned import Tuned

PANEL = "Size"
TUNED_FOR = {"image": "for pictures", "audio": "for sounds"}  # kinds of `tasks.tuned.TABLES`

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="Tell the options of this model.",
        show_default=False,
        autocompletion=o.complete_models,
    ),
]
Inputs = Annotated[
    int, typer.Option("--in", metavar="D", min=1, help="Coordinates of a point.", rich_help_panel=PANEL)
]
Outputs = Annotated[
    int, typer.Option("--out", metavar="C", min=1, help="Values at a point.", rich_help_panel=PANEL)
]


def command(
    name: Name = None,
    params: o.Params = None,
    n_inputs: Inputs = 2,
    n_outputs: Outputs = 3,
    json: o.Json = False,
    quiet: o.Quiet = 0,
    verbose: o.Verbose = 0,
) -> int:
    """List the models, or tell one model's options; with --params the sizes that a budget leads to."""
    talk = Talk(quiet=quiet, verbose=verbose, json=json)
    if name is None:
        _list(talk, params, n_inputs, n_outputs)
    else:
        _tell(talk, name, params, n_inputs, n_outputs)
    return 0


def _list(talk: Talk, params: int | None, n_inputs: int, n_outputs: int) -> None:
    from lrnn_cli.models.catalog import CATALOG

    records: list[dict[str, Any]] = []
    for name, row in CATALOG.items():
        record: dict[str, Any] = {"name": name, "summary": row.summary, "source": row.citation}
        record["has_paper_preset"] = row.published is not None
        if params is not None:
            record.update(_sized(name, params, n_inputs, n_outputs))
        records.append(record)
    if talk.json:
        talk.result("", {"models": records})
    elif params is None:
        rows = [(r["name"], r["summary"], r["source"]) for r in records]
        show_table(talk, rows, header=("model", "what it is", "source"))
    else:
        sizes = [
            (r["name"], r["params"] or "-", r["problem"] or _size(r, params), r["summary"]) for r in records
        ]
        title = f"{params} parameters, {n_inputs} coordinates, {n_outputs} values"
        show_table(talk, sizes, header=("model", "params", "shape", "what it is"), title=title, numeric=(1,))


def _sized(name: str, params: int, n_inputs: int, n_outputs: int) -> dict[str, Any]:
    """Return the size that a budget leads to, or why there is none."""
    from lrnn_cli.models.budget import fit_budget, missed

    try:
        config, count = fit_budget(name, {}, params, n_inputs=n_inputs, n_outputs=n_outputs)
    except ConfigError as error:
        return {"params": None, "shape": None, "config": None, "missed": False, "problem": str(error)}
    return {
        "params": count,
        "shape": _shape(config),
        "missed": missed(name, count, params) is not None,
        "config": config.model_dump(mode="json"),
        "problem": None,
    }


def _shape(config: "ModelConfig") -> str:
    """Name the whole numbers of a configuration, the one that the budget decides first."""
    sizes = {key: value for key, value in config.model_dump().items() if type(value) is int}
    ordered = {config.width_key: sizes.pop(config.width_key), **sizes}
    return ", ".join(f"{key} {value}" for key, value in ordered.items())


def _size(record: dict[str, Any], params: int) -> str:
    """Tell the shape, and where it is more than one per cent off the budget."""
    return f"{record['shape']}; the nearest to {params}" if record["missed"] else str(record["shape"])


def _tell(talk: Talk, name: str, params: int | None, n_inputs: int, n_outputs: int) -> None:
    from lrnn_cli.models.catalog import config_class, row
    from lrnn_cli.tasks.tuned import PLAIN, TABLES, tuned_for

    entry = row(name)
    cls = config_class(name)
    tuned = {kind: found for kind in TABLES if (found := tuned_for(kind, name)) != PLAIN}
    options = list(_options(cls))
    record: dict[str, Any] = {
        "name": name,
        "summary": entry.summary,
        "source": entry.citation,
        "width_key": cls.width_key,
        "default_lr": cls.default_lr,
        "default_lstsq": list(cls.default_lstsq),
        "tuned": {kind: asdict(found) for kind, found in tuned.items()},
        "published": entry.published,
        "options": options,
    }
    if params is not None:
        sized = _sized(name, params, n_inputs, n_outputs)
        if sized["problem"]:
            raise ConfigError(sized["problem"])
        record.update({key: sized[key] for key in ("params", "shape", "missed", "config")})
    if talk.json:
        talk.result("", record)
        return
    facts = [
        ("model", name),
        ("what it is", entry.summary),
        ("source", entry.citation),
        ("--params decides", cls.width_key),
        ("learning rate", f"{cls.default_lr:g}"),
        *((TUNED_FOR[kind], _tuned(name, found)) for kind, found in tuned.items()),
        ("least squares", ", ".join(cls.default_lstsq) or "none"),
        ("--preset paper", _flat(entry.published) if entry.published else "no published image setting"),
        *([("paper for sounds", _flat(entry.published_sound))] if entry.published_sound else []),
    ]
    if params is not None:
        facts.append(("size", f"{record['params']} parameters: {_size(record, params)}"))
    show_table(talk, facts)
    talk.out("")
    show_table(
        talk,
        [(each["key"], each["type"], _default(each["default"]), each["description"]) for each in options],
        header=("option", "takes", "default", "what it means"),
    )


def _optimizer(name: str) -> str:
    return name if name == "adam" else f"{name} on the CPU"


def _tuned(model: str, tuned: "Tuned") -> str:
    """Write what a kind of signal wants of a model, in words."""
    parts = [f"learning rate {tuned.lr:g} with {_optimizer(tuned.optimizer)}"] if tuned.lr is not None else []
    parts += [f"{tuned.adam_lr:g} with adam"] if tuned.adam_lr is not None else []
    parts += [f"{tuned.frequency:g} times the frequency suggested"] if tuned.frequency != 1 else []
    options = tuned.options_for(model, None).items()
    parts += [f"{key} {value if isinstance(value, str) else format(value, 'g')}" for key, value in options]
    parts += (
        [f"omega_first as the root of the size below {tuned.full_size} samples"] if tuned.full_size else []
    )
    parts += [f"{key} {value}" for key, value in tuned.fit.items()]
    parts += [f"first output layer with a ridge of {tuned.start_ridge:g}"] * (tuned.start_ridge > 1e-3)
    return ", ".join(parts)


def _options(cls: "type[ModelConfig]") -> "Sequence[dict[str, Any]]":
    """Describe the fields of a configuration."""
    from lrnn_cli.cli.schema import describe

    found = []
    for key, field in cls.model_fields.items():
        bounds = [
            f"{sign} {limit:g}"
            for part in field.metadata
            for sign, attribute in ((">=", "ge"), (">", "gt"), ("<=", "le"), ("<", "lt"))
            if (limit := getattr(part, attribute, None)) is not None
        ]
        takes = " ".join([describe(field.annotation), *bounds])
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        found.append({"key": key, "type": takes, "default": default, "description": field.description or ""})
    return found


def _default(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _flat(tree: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for group in tree.values() for key, value in group.items())
