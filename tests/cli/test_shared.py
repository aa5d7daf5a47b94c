"""Shared options in a command's signature: order, defaults, replacement, and what Typer makes of them."""

import inspect
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from lrnn_cli.cli import options as o
from lrnn_cli.cli.shared import FITTING, MODEL, TRAIN, default_of, only, takes

Own = Annotated[str | None, typer.Option("--own", help="Its own.")]


def names(command: Any) -> list[str]:
    return list(inspect.signature(command).parameters)


def test_groups_stand_where_they_are_named() -> None:
    @takes(only(TRAIN, "seed steps"), ..., {"params": o.Params})
    def middle(inputs: list[str], own: Own = None, **shared: Any) -> int:
        return 0

    @takes(only(TRAIN, "lr"))
    def first(own: Own = None, **shared: Any) -> int:
        return 0

    assert names(middle) == ["seed", "steps", "inputs", "own", "params"]
    assert names(first) == ["own", "lr"]


def test_an_own_parameter_replaces_the_shared_one_in_its_place() -> None:
    @takes(only(TRAIN, "seed steps lr"), ...)
    def command(steps: Own = "many", **shared: Any) -> int:
        return 0

    assert names(command) == ["seed", "steps", "lr"]
    found = inspect.signature(command).parameters["steps"]
    assert (found.annotation, found.default) == (Own, "many")


def test_defaults() -> None:
    assert default_of(o.Quiet) == 0 and default_of(o.Force) is False
    assert default_of(o.Guard) is None and default_of(o.BatchPoints) is None and default_of(int) == 0


def test_every_group_names_options_that_exist() -> None:
    assert len({**MODEL, **FITTING}) == len(MODEL) + len(FITTING)
    with pytest.raises(KeyError, match="pace"):
        only(TRAIN, "lr pace")


def test_typer_reads_the_signature_and_calls_with_every_value() -> None:
    seen: dict[str, Any] = {}
    app = typer.Typer()

    @app.command()
    @takes(only(MODEL, "params"), ..., only(TRAIN, "time guard"))
    def command(own: Own = None, **shared: Any) -> int:
        seen.update(shared, own=own)
        return 0

    done = CliRunner().invoke(app, ["--params", "2k", "--own", "x", "--no-guard"])
    assert done.exit_code == 0, done.output
    assert seen == {"params": 2000, "own": "x", "time": None, "guard": False}
