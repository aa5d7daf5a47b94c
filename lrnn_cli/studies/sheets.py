"""A table of a comparison as text: aligned, Markdown, LaTeX or CSV; nothing is clipped."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lrnn_cli.studies.comparison import Cell, Table, TableRow
from lrnn_cli.studies.measures import COSTS, MEASURES, SECONDS, STEPS, Measure

MARKS = {"best": "*", "tied": "~", "untested": "?", "": ""}
LEGEND = {
    "best": "best mean",
    "tied": "within noise of the best",
    "untested": "too few runs to tell it from the best",
}
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
          "±": r"$\pm$", "–": "--", "≥": r"$\ge$", "≤": r"$\le$", "Σ": r"$\Sigma$"}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A figure as text, with its mark."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Sheet:
    """Rows of text under a header.

    Attributes:
        title: a line above.
        header: names of the columns; the first is the row's label.
        rows: as many entries each.
    """

    title: str
    header: list[str]
    rows: list[list[Entry]]

    def marks(self) -> list[str]:
        """Return the kinds of marks in it."""
        return [mark for mark in LEGEND if any(entry.mark == mark for row in self.rows for entry in row)]


def sheets(table: Table) -> list[Sheet]:
    """Lay a table out: quality and cost, and the targets in a second sheet."""
    inputs = table.inputs[0] if len(table.inputs) == 1 else f"{len(table.inputs)} inputs"
    seeds = "seed" if len(table.seeds) == 1 else "seeds"
    about = f"{inputs}, {seeds} {', '.join(map(str, table.seeds))}"
    header = ["model", "params", "runs", *(MEASURES[name].title for name in table.measures)]
    quality = [
        [Entry(row.label), Entry(_params(row)), Entry(_runs(row)), *_figures(row, table.measures)]
        for row in table.rows
    ]
    found = [Sheet(f"{about}: mean ± standard deviation over inputs and seeds", header, quality)]
    if table.targets:
        names = [f"{what} {t.text}" for t in table.targets for what in ("success", "time/s", "steps")]
        goals = [[Entry(row.label), *_goals(row)] for row in table.rows]
        found.append(Sheet(f"{about}: targets", ["model", *names], goals))
    return found


def facts(table: Table, tuning: str | None) -> list[str]:
    """Return what is said below a table, a sentence each."""
    equal = "; ".join(table.equal) or "nothing: parameters, time and steps all differ"
    lines = [f"held equal: {equal}"]
    lines += [f"tuning: {line}" for line in (tuning or "").splitlines()]
    return [*lines, *(f"machine: {machine}" for machine in table.machines), *table.notes]


def legend(marks: Sequence[str]) -> str:
    """Explain the marks that occur; empty without any."""
    return ", ".join(f"{MARKS[mark]} {LEGEND[mark]}" for mark in LEGEND if mark in marks)


def _params(row: TableRow) -> str:
    found = row.params
    if not found:
        return "–"
    return str(found[0]) if found[0] == found[1] else f"{found[0]}–{found[1]}"


def _runs(row: TableRow) -> str:
    failed = len(row.failures)
    return f"{row.n}, {failed} failed" if failed else str(row.n)


def _figures(row: TableRow, measures: Sequence[str]) -> list[Entry]:
    return [_entry(row.cells[m], MEASURES[m], 0 if m in COSTS else row.n) for m in measures]


def _entry(cell: Cell, measure: Measure, n: int) -> Entry:
    """Write a cell; with fewer figures than runs, it says of how many."""
    if cell.mean is None:
        return Entry("–")
    text = measure.show(cell.mean)
    text += f" ± {measure.show(cell.std)}" if cell.std is not None else ""
    text += f" ({cell.n} of {n})" if 0 < cell.n < n else ""
    return Entry(text, cell.mark)


def _goals(row: TableRow) -> list[Entry]:
    found = []
    for cell in row.targets:
        rate = f"{100 * cell.reached / cell.n:.0f} % [{100 * cell.low:.0f}, {100 * cell.high:.0f}]"
        found.append(Entry(rate, cell.rate.mark))
        found += [_entry(cell.seconds, SECONDS, 0), _entry(cell.steps, STEPS, 0)]
    return found


def markdown(table: Table, tuning: str | None = None) -> str:
    """Write a table as Markdown, the best figures in bold."""

    def cell(entry: Entry) -> str:
        text = entry.text.replace("|", "\\|")
        return f"**{text}**" if entry.mark == "best" else f"{text} {_MD[entry.mark]}".rstrip()

    blocks = []
    marks: list[str] = []
    for sheet in sheets(table):
        lines = [
            "| " + " | ".join(name.replace("|", "\\|") for name in sheet.header) + " |",
            "|---|" + "--:|" * (len(sheet.header) - 1),
            *("| " + " | ".join(map(cell, row)) + " |" for row in sheet.rows),
        ]
        blocks.append(f"{sheet.title}\n\n" + "\n".join(lines))
        marks += sheet.marks()
    told = ", ".join(f"{_MD[mark] or '**bold**'} {LEGEND[mark]}" for mark in LEGEND if mark in marks)
    notes = [*([told] if told else []), *facts(table, tuning)]
    return "\n\n".join([*blocks, "\n".join(f"- {note}" for note in notes)])


_MD = {"best": "", "tied": "≈", "untested": "?", "": ""}


def latex(table: Table, tuning: str | None = None) -> str:
    """Write a table as LaTeX for the package booktabs, the best figures in bold, a tie with ≈."""
    signs = {"tied": r" $\approx$", "untested": " ?", "": ""}

    def cell(entry: Entry) -> str:
        text = escape_latex(entry.text)
        return rf"\textbf{{{text}}}" if entry.mark == "best" else text + signs[entry.mark]

    parts = []
    for sheet in sheets(table):
        lines = [
            rf"\begin{{tabular}}{{l{'r' * (len(sheet.header) - 1)}}}",
            r"\toprule",
            " & ".join(map(escape_latex, sheet.header)) + r" \\",
            r"\midrule",
            *(" & ".join(map(cell, row)) + r" \\" for row in sheet.rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        parts.append(f"% {_comment(sheet.title)}\n" + "\n".join(lines))
    notes = [
        "bold: best mean; $\\approx$: within noise of it; ?: too few runs to tell",
        *facts(table, tuning),
    ]
    return "\n\n".join([*parts, "\n".join(f"% {_comment(note)}" for note in notes)])


def escape_latex(text: str) -> str:
    """Return text with everything that LaTeX would take for a command written out."""
    return re.sub(r"[\\~^±–≥≤Σ]|[#$%&_{}]", lambda found: _LATEX.get(found[0], "\\" + found[0]), text)


def _comment(text: str) -> str:
    return " ".join(text.split())


def csv_table(tables: Sequence[tuple[str, Table]]) -> str:
    """Write tables as CSV: a line for each row, every figure in full, no unit or sign in a cell.

    Args:
        tables: title and table of each group; the title fills the first column.

    Returns:
        the lines, a header first.
    """
    lines = [_csv_row(title, table, row) for title, table in tables for row in table.rows]
    header = list(dict.fromkeys(key for line in lines for key in line))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue().rstrip("\n")


def _csv_row(title: str, table: Table, row: TableRow) -> dict[str, object]:
    low, high = row.params or (None, None)
    line: dict[str, object] = {
        "inputs": title,
        "label": row.label,
        "model": row.model,
        "params_min": low,
        "params_max": high,
        "runs": row.n,
        "failed": len(row.failures),
    }
    for name in table.measures:
        line |= _csv_cell(name, row.cells[name])
    for target, cell in zip(table.targets, row.targets, strict=True):
        name = f"{target.measure}@{target.value:g}"
        line |= {
            f"{name}_reached": cell.reached,
            f"{name}_success_low": cell.low,
            f"{name}_success_high": cell.high,
            f"{name}_success_mark": cell.rate.mark,
            **_csv_cell(f"{name}_s", cell.seconds),
            **_csv_cell(f"{name}_steps", cell.steps),
        }
    return line


def _csv_cell(name: str, cell: Cell) -> dict[str, object]:
    return {
        f"{name}_mean": cell.mean,
        f"{name}_std": cell.std,
        f"{name}_n": cell.n,
        f"{name}_mark": cell.mark,
        f"{name}_p": cell.p,
    }
