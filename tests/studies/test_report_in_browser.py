"""The report as a person sees it, where Chromium or Chrome is installed; elsewhere test_report.py must do."""

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.studies.browser import Page, browser, find_browser
from tests.studies.pages import page

pytestmark = pytest.mark.browser

COLUMN = (
    "Array.from(document.querySelector('table.sortable').tBodies[0].rows).map(r => r.cells[0].textContent)"
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if find_browser() is None:
        pytest.skip("no Chromium or Chrome here; test_report.py runs the page's script without one")
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(page(), encoding="utf-8")
    with browser() as found:
        found.open(file)
        yield found


def colours(shown: Page, selector: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Colours of the text of an element and of the page behind it."""
    told = shown.ask(
        f"[getComputedStyle(document.querySelector('{selector}')).color, "
        "getComputedStyle(document.body).backgroundColor]"
    )
    first, second = (tuple(float(x) for x in re.findall(r"[\d.]+", each)[:3]) for each in told)
    return first, second


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.1)."""
    parts = [c / 255 for c in colour]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_it_renders_and_nothing_is_missing(shown: Page) -> None:
    sizes = shown.ask(
        "Array.from(document.images).map(i => [i.naturalWidth, i.getBoundingClientRect().width])"
    )
    assert len(sizes) == 5  # three in the strip, two in the pair
    assert all(natural > 0 and width > 50 for natural, width in sizes)
    charts = shown.ask(
        "Array.from(document.querySelectorAll('svg')).map(s => [s.getBoundingClientRect().width,"
        " s.getBoundingClientRect().height, s.querySelectorAll('polyline').length])"
    )
    assert len(charts) == 4
    assert all(width > 300 and height > 150 and lines >= 2 for width, height, lines in charts)
    durations = shown.ask(
        "Promise.all(Array.from(document.querySelectorAll('audio')).map(a => a.readyState ? a.duration :"
        " new Promise((ok, bad) => { a.onloadedmetadata = () => ok(a.duration); a.onerror = bad; })))"
    )
    assert durations == [pytest.approx(0.1, abs=0.01)] * 2
    assert shown.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_nothing_is_fetched_and_nothing_is_wrong(shown: Page) -> None:
    fetched = [
        e["params"]["request"]["url"] for e in shown.events if e.get("method") == "Network.requestWillBeSent"
    ]
    assert [url[:5] for url in fetched if not url.startswith("data:")] == ["file:"]
    bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
    assert [e for e in shown.events if e.get("method") in bad] == []


def test_a_mouse_sorts_the_table(shown: Page) -> None:
    assert shown.ask(COLUMN) == ["lrnn", "siren <fast>"]
    shown.click("table.sortable th:nth-child(5) button")
    assert shown.ask(COLUMN) == ["siren <fast>", "lrnn"]
    shown.click("table.sortable th:nth-child(5) button")
    assert shown.ask(COLUMN) == ["lrnn", "siren <fast>"]


def test_targets_sort_by_their_value_and_keep_their_models(shown: Page) -> None:
    cells = (
        "Array.from(document.querySelectorAll('table.sortable')[1].tBodies[0].rows)"
        ".map(r => r.cells[0].textContent + ' ' + r.cells[1].textContent)"
    )
    before = ["28 dB lrnn", "28 dB siren <fast>", "30 dB lrnn", "30 dB siren <fast>"]
    assert shown.ask(cells) == before
    shown.click("[aria-label=targets] th:nth-child(1) button")
    shown.click("[aria-label=targets] th:nth-child(1) button")
    assert shown.ask(cells) == before[2:] + before[:2]


def test_the_slider_uncovers_one_picture_or_the_other(shown: Page) -> None:
    shown.click(".pair input")
    assert shown.ask("document.activeElement.type") == "range"
    clip = "getComputedStyle(document.querySelector('.over')).clipPath"
    shown.key("Home", 36)
    assert shown.ask(clip) == "inset(0px 0px 0px 0%)"
    shown.key("End", 35)
    assert shown.ask(clip) == "inset(0px 0px 0px 100%)"
    edge, stack = (
        shown.ask(f"document.querySelector('{s}').getBoundingClientRect().right") for s in (".edge", ".stack")
    )
    assert abs(edge - stack) < 2


def test_it_is_readable_in_light_and_dark(shown: Page) -> None:
    papers = {}
    for scheme in ("light", "dark"):
        shown.media(prefers_color_scheme=scheme)
        for selector in ("h1", "td", ".note", "figcaption", "a"):
            assert contrast(*colours(shown, selector)) >= 4.5, (scheme, selector)
        papers[scheme] = luminance(colours(shown, "h1")[1])
        lines = shown.ask(
            "Array.from(document.querySelectorAll('polyline')).map(p => getComputedStyle(p).stroke)"
        )
        for told in set(lines):
            line = tuple(float(x) for x in re.findall(r"[\d.]+", told)[:3])
            assert contrast(line, colours(shown, "h1")[1]) >= 3, (scheme, told)
    assert papers["dark"] < 0.05 < 0.9 < papers["light"]
    shown.media()


def test_it_prints(shown: Page) -> None:
    shown.media("print", prefers_color_scheme="dark")
    assert luminance(colours(shown, "h1")[1]) > 0.9
    display = "getComputedStyle(document.querySelector('{}')).display"
    assert [shown.ask(display.format(s)) for s in (".pair", "audio", ".download")] == ["none"] * 3
    assert shown.ask(display.format(".strip")) != "none"
    shown.media()
    printed = base64.b64decode(shown.call("Page.printToPDF", printBackground=False)["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 10_000


def test_a_table_of_usual_width_is_not_cut(shown: Page) -> None:
    cut = "Array.from(document.querySelectorAll('.wide')).map(w => w.scrollWidth - w.clientWidth)"
    assert max(shown.ask(cut)) <= 0


def test_words_stand_on_the_left_and_figures_on_the_right(shown: Page) -> None:
    align = "getComputedStyle(document.querySelectorAll('table.sortable')[2].rows[{}].cells[{}]).textAlign"
    assert [shown.ask(align.format(row, 1)) for row in (0, 1)] == ["left", "left"]  # the model
    assert [shown.ask(align.format(row, 6)) for row in (0, 1)] == ["right", "right"]  # PSNR


def test_a_narrow_window_does_not_scroll_sideways(shown: Page) -> None:
    metrics = {"height": 700, "deviceScaleFactor": 1, "mobile": False}
    shown.call("Emulation.setDeviceMetricsOverride", width=360, **metrics)
    assert shown.ask("document.documentElement.scrollWidth") <= 360
    shown.call("Emulation.setDeviceMetricsOverride", width=1200, **metrics)


def test_the_numbers_of_a_figure_can_be_saved(shown: Page, tmp_path: Path) -> None:
    shown.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    shown.click("#success a.download")
    until = time.monotonic() + 20
    while not (saved := tmp_path / "made & up-success.csv").exists():
        assert time.monotonic() < until, list(tmp_path.iterdir())
        time.sleep(0.1)
    assert saved.read_text().startswith("series,")
