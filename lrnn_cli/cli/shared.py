"""Groups of shared options, and the decorator that gives them to a command.

    @takes(MODEL, ..., FITTING)
    def command(inputs: Inputs, grey: Grey = None, **shared: Any) -> int:

The help page lists options in the order of the groups; `...` is where the command's own options stand. The
values of the shared ones come as keyword arguments.
"""

import inspect
from collections.abc import Callable, Mapping
from types import EllipsisType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from lrnn_cli.cli import options as o

Command = TypeVar("Command", bound=Callable[..., int])
Group = Mapping[str, Any]

MODEL: Group = {
    "model": o.Model,
    "params": o.Params,
    "rank": o.Rank,
    "dbar": o.Dbar,
    "depth": o.Depth,
    "width": o.Width,
    "component_width": o.ComponentWidth,
    "sigma": o.Sigma,
    "components": o.Components,
    "omega_first": o.OmegaFirst,
    "omega_hidden": o.OmegaHidden,
    "layer_norm": o.LayerNorm,
    "set": o.Set,
}
MODEL_OPTIONS: Group = {name: option for name, option in MODEL.items() if name != "model"}
TRAIN: Group = {
    "steps": o.Steps,
    "time": o.Time,
    "until": o.Until,
    "batch_points": o.BatchPoints,
    "lr": o.Lr,
    "schedule": o.Schedule,
    "warmup": o.Warmup,
    "optimizer": o.Optimizer,
    "lstsq": o.Lstsq,
    "guard": o.Guard,
    "seed": o.Seed,
}
MACHINE: Group = {
    "device": o.Device,
    "precision": o.Precision,
    "threads": o.Threads,
    "block_points": o.BlockPoints,
    "engine": o.Engine,
    "backward": o.Backward,
}
PRESET: Group = {"preset": o.Preset}
SETTINGS: Group = {"config": o.Config, "print_config": o.PrintConfig, "dry_run": o.DryRun}
RESUME: Group = {"resume": o.Resume}
RUN_FOLDER: Group = {"output": o.Output, "force": o.Force, "skip_existing": o.SkipExisting}
MESSAGES: Group = {"json": o.Json, "quiet": o.Quiet, "verbose": o.Verbose}

# What follows the own options of a command that fits.
FITTING: Group = {**TRAIN, **RESUME, **MACHINE, **PRESET, **SETTINGS, **RUN_FOLDER, **MESSAGES}


def only(group: Group, names: str) -> Group:
    """Return the options of a group with these names, in this order.

    Args:
        group: such as `TRAIN`.
        names: with spaces between them.

    Returns:
        A group.

    Raises:
        KeyError: for a name that the group does not have.
    """
    return {name: group[name] for name in names.split()}


def default_of(annotation: Any) -> Any:
    """Return what an option that is not given stands for: None, or False and 0 for switches and counters.

    Args:
        annotation: `Annotated[type, typer.Option(…)]`.

    Returns:
        The default.
    """
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return kind() if kind in (bool, int) else None


def takes(*groups: Group | EllipsisType) -> Callable[[Command], Command]:
    """Return a decorator that puts groups of options into the signature of a command.

    Args:
        groups: in the order of the help page; `...` stands for the command's own options, which come first
            unless it is there. A command's own parameter replaces a shared one of its name.

    Returns:
        The decorator. It wraps nothing: the command, which must end in `**shared`, gets a `__signature__`,
        which is what Typer reads.
    """
    order = groups if ... in groups else (..., *groups)

    def decorate(command: Command) -> Command:
        parameters = list(inspect.signature(command).parameters.values())
        own = {p.name: p for p in parameters if p.kind is not p.VAR_KEYWORD}
        found: dict[str, inspect.Parameter] = {}
        for group in order:
            if isinstance(group, EllipsisType):
                found |= own
                continue
            for name, annotation in group.items():
                kind = inspect.Parameter.KEYWORD_ONLY
                shared = inspect.Parameter(name, kind, default=default_of(annotation), annotation=annotation)
                found.setdefault(name, own.get(name, shared))
        # what Python demands of a signature; the parser goes by names
        listed = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in found.values()]
        command.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
        return command

    return decorate
