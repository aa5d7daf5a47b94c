"""Write docs/cli.md from the live help pages: `python scripts/cli_docs.py`; with --check only compare."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from lrnn_cli.cli.group import load
from lrnn_cli.cli.table import COMMANDS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
PLAIN = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}


def page(*arguments: str) -> str:
    """Return a help page as plain text, 100 columns wide."""
    command = [sys.executable, "-m", "lrnn_cli", *arguments, "--help"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **PLAIN}, encoding="utf-8"
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def names() -> Iterator[str]:
    """Yield the commands, those of a group after the group's own name."""
    for name, row in COMMANDS.items():
        yield name
        inside = getattr(load(name, row), "commands", {})
        yield from (f"{name} {inner}" for inner, command in inside.items() if not command.hidden)


def document() -> str:
    """Return docs/cli.md as it should be."""
    parts = ["# Commands", "", "Generated from the help pages by `scripts/cli_docs.py`; do not edit."]
    for name in ("", *names()):
        parts += ["", f"## lrnn {name}".rstrip(), "", "```text", page(*name.split()), "```"]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    text = document()
    if "--check" in sys.argv:
        if TARGET.read_text(encoding="utf-8") != text:
            sys.exit(f"{TARGET} is out of date: run python scripts/cli_docs.py")
    else:
        TARGET.write_text(text, encoding="utf-8")
