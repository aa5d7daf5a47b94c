"""The table of commands: what `lrnn --help` lists, and where the code of each command lies.

Nothing here is heavier than a string, so that help, version and completion answer at once: a command's
module is imported when that command runs, never before.
"""

from dataclasses import dataclass

FIT = "Fit a signal"
USE = "Use a result"
KNOW = "Know more"


@dataclass(frozen=True)
class CommandRow:
    """One command.

    Attributes:
        target: `package.module:function`; the function's docstring is the text of the command's own `--help`.
            A `typer.Typer` in its place is a group of commands.
        summary: one line for `lrnn --help` and for completion.
        panel: the group of commands that it is listed with.
    """

    target: str
    summary: str
    panel: str


def _row(stem: str, summary: str, panel: str) -> CommandRow:
    return CommandRow(f"lrnn_cli.cli.commands.{stem}:command", summary, panel)


# Those that torchrun may start in several processes at once.
PARALLEL = frozenset({"fit-image", "fit-audio", "fit-function"})

COMMANDS: dict[str, CommandRow] = {
    "fit-image": _row("fit_image", "Fit a network to an image and write what it learned.", FIT),
    "fit-audio": _row("fit_audio", "Fit a network to a sound and write what it learned.", FIT),
    "fit-function": _row("fit_function", "Fit a network to a function, named or written as a formula.", FIT),
    "solve-poisson": _row("solve_poisson", "Solve an elliptic equation with a product network.", FIT),
    "reconstruct-ct": _row("reconstruct_ct", "Reconstruct a CT slice from few views.", FIT),
    "render": _row("render", "Draw a fitted signal again, at any size.", USE),
    "info": _row("info", "Show what a checkpoint or run folder holds.", USE),
    "compare": _row("compare", "Compare models on the same inputs with the same means.", USE),
    "study": _row("study", "Run, follow and report on many fits described by one file.", USE),
    "models": _row("models", "List the models, their options and their sources.", KNOW),
    "doctor": _row("doctor", "Check this installation: versions, devices, engines.", KNOW),
}
