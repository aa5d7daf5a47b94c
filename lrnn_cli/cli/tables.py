"""Tables: framed for people at a terminal, plain aligned text for pipes and files, never clipped there."""

import io
import os
import sys
from collections.abc import Collection, Sequence

from lrnn_cli.cli.failures import one_line
from lrnn_cli.cli.render import Talk

Row = Sequence[object]


def show_table(
    talk: Talk,
    rows: Sequence[Row],
    *,
    header: Sequence[str] = (),
    title: str = "",
    numeric: Sequence[int] = (),
    bold: Collection[tuple[int, int]] = (),
) -> None:
    """Writes a table to stdout.

    Args:
        talk: the program's voice.
        rows: the cells; anything with a text.
        header: names of the columns; without them two columns read "name value".
        title: a line above.
        numeric: columns that are aligned to the right.
        bold: row and column of the cells that stand out at a terminal.
    """
    cells = [[_cell(str(cell)) for cell in row] for row in rows]
    stream = sys.stdout
    on_terminal = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    text = _rich(cells, header, title, numeric, bold) if on_terminal else plain(cells, header, title, numeric)
    talk.out(text)


def _cell(text: str) -> str:
    """Makes a text fit one line; the spaces that indent it stay."""
    return " " * (len(text) - len(text.lstrip(" "))) + one_line(text)


def plain(rows: Sequence[Sequence[str]], header: Sequence[str], title: str, numeric: Sequence[int]) -> str:
    """Aligns the columns with spaces, two between them; lines are as long as they need to be."""
    lines = [list(header), *rows] if header else [list(row) for row in rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))] if lines else []
    text = [title] if title else []
    for line in lines:
        padded = (
            cell.rjust(width) if k in numeric else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        text.append("  ".join(padded).rstrip())
    return "\n".join(text)


def _rich(
    rows: Sequence[Sequence[str]],
    header: Sequence[str],
    title: str,
    numeric: Sequence[int],
    bold: Collection[tuple[int, int]],
) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title) if title else None,
        title_justify="left",
        show_header=bool(header),
        box=box.SIMPLE_HEAD if header else None,
        pad_edge=False,
    )
    for k in range(len(rows[0]) if rows else len(header)):
        name = Text(header[k]) if header else ""
        style = "bold" if k == 0 else None
        table.add_column(name, justify="right" if k in numeric else "left", style=style, overflow="fold")
    for i, row in enumerate(rows):
        table.add_row(*(Text(cell, "bold" if (i, k) in bold else "") for k, cell in enumerate(row)))
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, highlight=False, width=_width())
    console.print(table)
    return stream.getvalue().rstrip("\n")


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
