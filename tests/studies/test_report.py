"""The report as a document: parsed as HTML5, its script at work on the parsed tree in a JavaScript engine."""

import base64
import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import html5lib
import pytest
from py_mini_racer import MiniRacer

from lrnn_cli.studies.comparison import compare
from lrnn_cli.studies.report import build_page
from tests.studies.pages import page
from tests.studies.records import some

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def text() -> str:
    return page()


@pytest.fixture(scope="module")
def document(text: str):
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)  # any error of syntax is raised
    return parser.parse(text)


def test_a_name_is_never_taken_for_a_place_of_the_page() -> None:
    named = [dataclasses.replace(one, input_name="@script@.png") for one in some()]
    made = build_page("@footer@", "fit-image", compare(named), [], [])
    assert "<h1>@footer@</h1>" in made
    assert "@script@.png" in made
    assert made.count("<script>") == 1


def as_tree(element) -> dict:
    return {
        "tag": element.tag.rpartition("}")[2] if isinstance(element.tag, str) else "#comment",
        "attributes": dict(element.attrib),
        "text": "".join(element.itertext()),
        "children": [as_tree(child) for child in element],
    }


@pytest.fixture
def engine(document):
    """The page's script after it has run over the document."""
    racer = MiniRacer()
    racer.eval((HERE / "dom.js").read_text())
    racer.eval(f"const document = new Node_({json.dumps(as_tree(document))}, null)")
    racer.eval(document.findall(".//script")[0].text)
    return racer


def ask(racer, code: str):
    return json.loads(racer.eval(f"JSON.stringify({code})"))


def first_column(racer, table: int = 0) -> list[str]:
    return ask(
        racer,
        f"document.querySelectorAll('table.sortable')[{table}].tBodies[0].rows.map(r => r.cells[0].text)",
    )


def click(racer, title: str, table: int = 0) -> None:
    racer.eval(
        f"document.querySelectorAll('table.sortable')[{table}].tHead.rows[0].cells"
        f".find(c => c.text === {json.dumps(title)}).querySelector('button').fire('click')"
    )


def test_the_page_is_valid_and_holds_what_it_promises(document) -> None:
    titles = [each.text for each in document.iter("h2")]
    assert titles == ["Summary", "Figures", "Pictures", "Sounds", "Notes", "Every run"]
    figures = [each.get("id") for each in document.iter("figure") if each.get("id")]
    assert figures == ["success", "time-to-target-1", "time-to-target-2", "quality-time"]
    assert document.find(".//title").text == "made & up"
    words = "".join(document.itertext())
    assert "8 runs of 2 rows on 2 inputs, seeds 0, 1; 1 of the runs failed." in words
    assert "1 job has not ended yet" in words
    assert "killed by SIGKILL" in words


def test_nothing_is_loaded_from_anywhere(text: str, document) -> None:
    for element in document.iter():
        for name in ("src", "href", "poster", "srcset", "data", "action"):
            assert element.get(name, "data:").startswith("data:"), (element.tag, name)
    style_and_script = "".join(each.text for name in ("style", "script") for each in document.iter(name))
    assert not re.search(r"url\(|@import|fetch|XMLHttpRequest|import\(|https?:", style_and_script)
    policy = next(m.get("content") for m in document.iter("meta") if m.get("http-equiv"))
    assert policy.startswith("default-src 'none';")


def test_names_are_text_and_never_markup(text: str) -> None:
    assert "siren <fast>" not in text
    assert "siren &lt;fast&gt;" in text


def test_every_figure_carries_its_numbers(document) -> None:
    links = {a.get("download"): a.get("href") for a in document.iter("a")}
    names = [
        f"made & up-{key}" for key in ("success.csv", "time-to-target-1.csv", "quality-time.csv", "runs.csv")
    ]
    for name in names:
        kind, _, data = links[name].partition(";base64,")
        assert kind == "data:text/csv"
        rows = list(csv.reader(io.StringIO(base64.b64decode(data).decode())))
        assert len(rows) > 2
        assert len({len(row) for row in rows}) == 1
    success = base64.b64decode(links[names[0]].partition(",")[2]).decode().splitlines()
    assert success[0] == 'series,"target, PSNR/dB",runs that reach it,low,high'
    assert success[3].startswith("siren <fast>,28.0,0.25,")
    table = json.loads(base64.b64decode(links["made & up-table.json"].partition(",")[2]))
    assert [row["runs"] for row in table["rows"]] == [4, 4]


def test_ids_are_unique_and_labels_are_there(document) -> None:
    ids = [each.get("id") for each in document.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    assert all(each.get("aria-label") for each in document.iter("svg"))
    assert all(each.get("aria-label") for each in document.iter("input"))


def test_a_click_on_a_title_sorts_and_another_one_turns_round(engine) -> None:
    assert first_column(engine) == ["lrnn", "siren <fast>"]
    click(engine, "PSNR/dB")
    assert first_column(engine) == ["siren <fast>", "lrnn"]
    click(engine, "PSNR/dB")
    assert first_column(engine) == ["lrnn", "siren <fast>"]
    click(engine, "model")
    assert first_column(engine) == ["lrnn", "siren <fast>"]
    sorts = ask(
        engine, "document.querySelector('thead').querySelectorAll('th').map(c => c.getAttribute('aria-sort'))"
    )
    assert sorts.count("ascending") == 1
    assert sorts.count(None) == len(sorts) - 1


def test_runs_without_a_figure_come_last_either_way(engine) -> None:
    last = 2  # the table of all runs
    rows = "document.querySelectorAll('table.sortable')[2].tBodies[0].rows"
    for _ in range(2):
        click(engine, "PSNR/dB", last)
        states = ask(engine, f"{rows}.map(r => r.cells[3].text)")
        assert states[-1] == "crashed"
        figures = [float(x) for x in ask(engine, f"{rows}.slice(0, -1).map(r => r.cells[6].dataset.value)")]
        assert figures in (sorted(figures), sorted(figures, reverse=True))
    assert figures == sorted(figures, reverse=True)


def test_the_slider_moves_the_edge_and_the_choices_change_the_pictures(engine, document) -> None:
    pair = "['.under', '.over'].map(s => document.querySelector('.pair').querySelector(s))"
    shown = f"{pair}.map(i => [i.src, i.alt])"
    sources = {k: document.find(f".//img[@id='p0-{k}']").get("src") for k in range(3)}
    assert ask(engine, shown) == [[sources[0], "original"], [sources[1], "lrnn, PSNR/dB 31.00"]]
    engine.eval("const slider = document.querySelector('input'); slider.value = '12.5'; slider.fire('input')")
    assert ask(engine, "document.querySelector('.stack').style.values") == {"--cut": "12.5%"}
    engine.eval(
        "const right = document.querySelector('select.right'); right.selectedIndex = 2; right.fire('change')"
    )
    assert ask(engine, shown)[1] == [sources[2], "siren <fast>, PSNR/dB 27.00"]


def test_a_figure_that_is_infinite_sorts_as_the_largest() -> None:
    from lrnn_cli.studies.report import _sortable

    assert (_sortable(float("inf")), _sortable(-1.5), _sortable(None), _sortable("a<b")) == (
        "1e+308", "-1.5", "", "a&lt;b",
    )  # fmt: skip
