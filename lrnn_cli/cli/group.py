"""The command group: lists the table without importing a command, imports a command when it is called."""

import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from lrnn_cli import __version__
from lrnn_cli.cli.failures import EXIT_CODES
from lrnn_cli.cli.table import COMMANDS, CommandRow

_CONTEXT = {"help_option_names": ["-h", "--help"]}
_HELP = """Low-rank separated neural networks for continuous signals.

Results go to stdout, everything else to stderr. `lrnn COMMAND --help` tells a command's options.
"""


@dataclass
class Session:
    """What one run of the program knows across its layers: the context object of every command.

    Attributes:
        verbose: how often -v was given; the failure report shows tracebacks from 1 on.
    """

    verbose: int = 0


def load(name: str, row: CommandRow) -> Any:
    """Imports a command and makes it known to the option parser.

    Args:
        name: the name on the command line.
        row: its row of the table.

    Returns:
        A Typer command, or a group where the row names a `typer.Typer`.
    """
    module, _, function = row.target.partition(":")
    found = getattr(importlib.import_module(module), function)
    if isinstance(found, typer.Typer):
        group = typer.main.get_command(found)
        group.name = name
        return group
    single = typer.Typer(add_completion=False, rich_markup_mode="rich", context_settings=_CONTEXT)
    single.command(name)(found)
    return typer.main.get_command(single)


class LazyGroup(TyperGroup):
    """A group whose commands are stand-ins, name and summary only, until one of them is to be run.

    Typer asks its commands for their help when it lists or completes them and calls `resolve_command` when
    one is meant: to run it, to show its help, to complete its options.
    """

    rows: dict[str, CommandRow] = COMMANDS

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, row in self.rows.items():
            stand_in = TyperCommand(name, help=row.summary, rich_help_panel=row.panel)
            self.add_command(stand_in, name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds the command meant by `args`, as the base class does, and imports it.

        Args:
            ctx: the group's context.
            args: the command's name and what follows it.

        Returns:
            The command's name, the command and the remaining arguments.
        """
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.rows:
            command = load(name, self.rows[name])
        return name, command, rest


def _say_version(wanted: bool) -> None:
    # app.main answers a lone --version sooner; this one is for --version among other words.
    if wanted:
        typer.echo(f"lrnn {__version__}")
        raise typer.Exit


def build(rows: dict[str, CommandRow] | None = None) -> Any:
    """Builds the program's command group.

    Args:
        rows: the table of commands; None for the real one.

    Returns:
        A Typer group, to be run with its `main(args, prog_name="lrnn", standalone_mode=False)`.
    """
    kind = LazyGroup if rows is None else type("LazyGroup", (LazyGroup,), {"rows": rows})
    app = typer.Typer(
        cls=kind,
        help=_HELP,
        epilog=EXIT_CODES,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings=_CONTEXT,
    )

    @app.callback()
    def options(
        version: bool = typer.Option(
            False, "--version", "-V", help="Show the version and exit.", callback=_say_version, is_eager=True
        ),
    ) -> None:
        del version  # its callback has answered

    return typer.main.get_command(app)
