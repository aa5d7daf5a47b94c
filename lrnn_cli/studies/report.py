"""The report of a study: one HTML page that holds everything it shows and loads nothing."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import math
import re
from collections.abc import Sequence
from importlib import resources

from lrnn_cli import __version__
from lrnn_cli.runs.folder import finite
from lrnn_cli.studies.charts import Chart, draw
from lrnn_cli.studies.collect import RunRecord
from lrnn_cli.studies.comparison import Cell, Table, TableRow, as_dict
from lrnn_cli.studies.curves import charts
from lrnn_cli.studies.measures import COSTS, MEASURES, SECONDS, STEPS, Measure
from lrnn_cli.studies.media import Exhibit

SMALL_PX = 200  # pictures narrower than that are shown with their pixels


def build_page(name: str, task: str, table: Table, exhibits: Sequence[Exhibit], notes: Sequence[str]) -> str:
    """Return the page of a study.

    Args:
        name: of the study.
        task: the command of its jobs.
        table: the comparison of its runs.
        exhibits: inputs to look at and listen to.
        notes: what else a reader has to know.

    Returns:
        the text of an HTML file.
    """
    n = sum(row.n for row in table.rows)
    failed = sum(len(row.failures) for row in table.rows)
    seeds = ", ".join(map(str, table.seeds))
    about = (
        f"lrnn {task}: {_number(n, 'run')} of {_number(len(table.rows), 'row')} on "
        f"{_number(len(table.inputs), 'input')}, seeds {seeds}; {failed} of the runs failed. "
        f"Held equal: {'; '.join(table.equal) or 'nothing'}."
    )
    figures = charts(table)
    body = [
        _summary(table, name),
        _section("Figures", '<div class="figures">' + "".join(_figure(c, name) for c in figures) + "</div>"),
        *_shows(exhibits),
        _section("Notes", _list([*notes, *(f"machine: {one}" for one in table.machines), *table.notes])),
        _section("Every run", _runs(table, name)),
    ]
    page = resources.files("lrnn_cli.studies") / "page"
    values = {
        "title": html.escape(name),
        "about": html.escape(about),
        "body": "\n".join(body),
        "footer": html.escape(f"Written by lrnn {__version__}."),
        "style": (page / "page.css").read_text(encoding="utf-8"),
        "script": (page / "page.js").read_text(encoding="utf-8"),
    }
    text = (page / "page.html").read_text(encoding="utf-8")
    # in one pass, so that what is put in, such as the name of a file, is never taken for a place
    return re.sub(f"@({'|'.join(values)})@", lambda place: values[place[1]], text)


def _number(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>\n{content}\n</section>"


def _list(lines: Sequence[str]) -> str:
    return '<ul class="note">' + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def _download(name: str, kind: str, content: str) -> str:
    """Return a link that saves what it carries itself."""
    data = base64.b64encode(content.encode()).decode()
    told = html.escape(name)
    return f'<a class="download" download="{told}" href="data:{kind};base64,{data}">{told}</a>'


def _csv(rows: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _figure(chart: Chart, study: str) -> str:
    link = _download(f"{study}-{chart.key}.csv", "text/csv", _csv(chart.rows()))
    return (
        f'<figure id="{html.escape(chart.key)}"><h3>{html.escape(chart.title)}</h3>{draw(chart)}'
        f"<figcaption>{html.escape(chart.caption)} {link}</figcaption></figure>"
    )


# Tables


class _Column:
    """A column of a page's table: title, and for each row a text, a value to sort by and a mark."""

    def __init__(self, title: str, *, words: bool = False) -> None:
        self.title, self.words = title, words
        self.cells: list[tuple[str, float | str | None, str]] = []

    def add(self, text: str, value: float | str | None, mark: str = "") -> None:
        """Append a cell; value None sorts last."""
        self.cells.append((text, value, mark))


def _table(columns: Sequence[_Column], title: str) -> str:
    head = "".join(
        f'<th scope="col"{_text_class(c)}><button type="button">{html.escape(c.title)}</button></th>'
        for c in columns
    )
    rows = []
    for cells in zip(*(column.cells for column in columns), strict=True):
        told = "".join(
            f'<td{_text_class(column, mark)} data-value="{_sortable(value)}">{html.escape(text)}</td>'
            for column, (text, value, mark) in zip(columns, cells, strict=True)
        )
        rows.append(f"<tr>{told}</tr>")
    return (
        f'<div class="wide"><table class="sortable" aria-label="{html.escape(title)}">'
        f"<thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>"
    )


def _text_class(column: _Column, mark: str = "") -> str:
    names = [name for name in ("text" if column.words else "", mark) if name]
    return f' class="{" ".join(names)}"' if names else ""


def _sortable(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return html.escape(value)
    return repr(math.copysign(1e308, value)) if math.isinf(value) else repr(value)


def _add(column: _Column, cell: Cell, measure: Measure, n: int) -> None:
    if cell.mean is None:
        column.add("–", None)
        return
    text = measure.show(cell.mean)
    text += f" ± {measure.show(cell.std)}" if cell.std is not None else ""
    column.add(text + (f" ({cell.n} of {n})" if cell.n < n else ""), cell.mean, cell.mark)


def _summary(table: Table, study: str) -> str:
    """Return quality and cost of the rows, and in a second table how they did on the targets."""
    columns = {key: _Column(key, words=key == "model") for key in ("model", "parameters", "runs", "failed")}
    columns |= {name: _Column(MEASURES[name].title) for name in table.measures}
    for row in table.rows:
        columns["model"].add(row.label, row.label)
        columns["parameters"].add(_params(row), row.params[0] if row.params else None)
        columns["runs"].add(str(row.n), row.n)
        columns["failed"].add(str(len(row.failures)), len(row.failures))
        for name in table.measures:
            _add(columns[name], row.cells[name], MEASURES[name], row.n if name not in COSTS else 0)
    content = json.dumps(finite(as_dict(table)), indent=1, ensure_ascii=False, default=str)
    parts = [
        '<p class="note">Mean ± standard deviation over inputs and seeds. <b>Bold</b>: best mean; ≈: within '
        "noise of it; ?: too few runs to tell. Success: share of all runs that reach a target, in brackets "
        "its 95 % interval; time and steps to it of the runs that did. A click on a title sorts.</p>",
        _table(list(columns.values()), "quality and cost"),
        _goals(table) if table.targets else "",
        f"<p>{_download(f'{study}-table.json', 'application/json', content)}</p>",
    ]
    return _section("Summary", "".join(parts))


def _goals(table: Table) -> str:
    """Return a line for each target and row: with a column for each target the table would be too wide."""
    target, model = _Column("target", words=True), _Column("model", words=True)
    rate, seconds, steps = _Column("success"), _Column("time / s"), _Column("steps")
    for k, goal in enumerate(table.targets):
        for row in table.rows:
            cell = row.targets[k]
            share = cell.reached / cell.n
            target.add(goal.text, k)
            model.add(row.label, row.label)
            told = f"{100 * share:.0f} % [{100 * cell.low:.0f}, {100 * cell.high:.0f}]"
            rate.add(told, share, cell.rate.mark)
            _add(seconds, cell.seconds, SECONDS, 0)
            _add(steps, cell.steps, STEPS, 0)
    return _table([target, model, rate, seconds, steps], "targets")


def _params(row: TableRow) -> str:
    if not row.params:
        return "–"
    low, high = row.params
    return f"{low:,}" if low == high else f"{low:,} – {high:,}"


def _runs(table: Table, study: str) -> str:
    names = ["input", "model", "seed", "status", "parameters", "steps"]
    measures = [name for name in table.measures if name not in COSTS]
    columns = [_Column(name, words=name in ("input", "model", "status")) for name in names]
    columns += [_Column(MEASURES[name].title) for name in measures]
    columns += [_Column("training / s"), _Column("reason", words=True)]
    numbers: list[list[object]] = [[*names, *measures, "train_s", "reason", "folder"]]
    for row in table.rows:
        for record in row.records:
            cells = _run_cells(row.label, record, measures)
            for column, (text, value) in zip(columns, cells, strict=True):
                column.add(text, value)
            numbers.append([*("" if value is None else value for _, value in cells), str(record.folder)])
    link = _download(f"{study}-runs.csv", "text/csv", _csv(numbers))
    return _table(columns, "every run") + f"<p>{link}</p>"


def _run_cells(
    label: str, record: RunRecord, measures: Sequence[str]
) -> list[tuple[str, float | str | None]]:
    found: list[tuple[str, float | str | None]] = [
        (record.input_name, record.input_name), (label, label), (str(record.seed), record.seed),
        (record.status, record.status),
    ]  # fmt: skip
    for count in (record.params, record.steps):
        found.append(("–" if count is None else f"{count:,}", count))
    for name in measures:
        value = record.metrics.get(name)
        found.append((MEASURES[name].show(value), value))
    found.append((SECONDS.show(record.train_s), record.train_s))
    return [*found, (record.reason, record.reason)]


# Pictures and sounds


def _shows(exhibits: Sequence[Exhibit]) -> list[str]:
    found = []
    pictures = [_pictures(k, one) for k, one in enumerate(exhibits) if not one.is_sound]
    sounds = [_sounds(one) for one in exhibits if one.is_sound]
    if pictures:
        found.append(_section("Pictures", "\n".join(pictures)))
    if sounds:
        found.append(_section("Sounds", "\n".join(sounds)))
    return found


def _pictures(number: int, exhibit: Exhibit) -> str:
    media = exhibit.media
    small = " small" if max(one.width for one in media) < SMALL_PX else ""
    strip = "".join(
        f'<figure><img id="p{number}-{k}" src="{one.url}" alt="{html.escape(one.label)}">'
        f"<figcaption>{html.escape(_caption(one.label, one.note))}</figcaption></figure>"
        for k, one in enumerate(media)
    )
    pair = _pair(number, exhibit) if len(media) > 1 else ""
    note = f'<p class="note">{html.escape(exhibit.note)}</p>' if exhibit.note else ""
    name = html.escape(exhibit.name)
    return f'<div class="exhibit{small}"><h3>{name}</h3>{note}<div class="strip">{strip}</div>{pair}</div>'


def _caption(label: str, note: str) -> str:
    return f"{label}, {note}" if note else label


def _pair(number: int, exhibit: Exhibit) -> str:
    def choice(side: str, chosen: int) -> str:
        options = "".join(
            f'<option value="p{number}-{k}"{" selected" if k == chosen else ""}>'
            f"{html.escape(_caption(one.label, one.note))}</option>"
            for k, one in enumerate(exhibit.media)
        )
        return f'<label>{side} <select class="{side}">{options}</select></label>'

    return (
        f'<div class="pair"><div class="choice">{choice("left", 0)}{choice("right", 1)}</div>'
        '<div class="stack"><img class="under" alt=""><img class="over" alt=""><div class="edge"></div></div>'
        f'<input type="range" min="0" max="100" value="50" step="0.5" '
        f'aria-label="edge between the two pictures of {html.escape(exhibit.name)}"></div>'
    )


def _sounds(exhibit: Exhibit) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(one.label)}</td><td>{html.escape(one.note)}</td>"
        f'<td><audio controls preload="metadata" src="{one.url}"></audio></td></tr>'
        for one in exhibit.media
    )
    note = f"<caption>{html.escape(exhibit.note)}</caption>" if exhibit.note else ""
    table = f'<table class="sounds">{note}<tbody>{rows}</tbody></table>'
    return f'<h3>{html.escape(exhibit.name)}</h3><div class="wide">{table}</div>'
