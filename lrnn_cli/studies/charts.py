"""Line charts as SVG text: axes, bands, legend; colours come from the page, so that they follow its theme."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

CROWD = 6  # series from which on the bands are drawn paler
COLOURS = 8  # classes c0 … c7 of the page's style; further series repeat them with other dashes
WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 48
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_LEGEND_ROW = 18
_LETTER = 7.2  # pixels of a letter of the legend, about


@dataclass(frozen=True)
class Series:
    """A curve, with a band where low and high are given.

    Attributes:
        name: in the legend.
        colour: number of the series, the same in all charts of a page.
        x: n positions, ascending.
        y: n values; NaN leaves a gap.
        low: n lower ends of the band, or empty.
        high: n upper ends, or empty.
        stepped: values stay until the next position, as in a distribution function.
    """

    name: str
    colour: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    stepped: bool = False


@dataclass(frozen=True)
class Chart:
    """What a chart shows.

    Attributes:
        key: short name, for files of its numbers.
        title: one line.
        caption: what it shows and what the band is.
        x_label: with the unit.
        y_label: with the unit.
        series: the curves.
        log_x: logarithmic axis.
        log_y: logarithmic axis.
        percent: y is a share from 0 to 1.
        dots: mark the values, where there are few.
    """

    key: str
    title: str
    caption: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
    percent: bool = False
    dots: bool = False

    def rows(self) -> list[list[str]]:
        """Return the numbers of the chart as the rows of a CSV file, header first."""
        found = [["series", self.x_label, self.y_label, "low", "high"]]
        for one in self.series:
            bands = zip(one.low or [math.nan] * len(one.x), one.high or [math.nan] * len(one.x), strict=True)
            for x, y, (low, high) in zip(one.x, one.y, bands, strict=True):
                found.append(
                    [one.name, *("" if math.isnan(v) else repr(float(v)) for v in (x, y, low, high))]
                )
        return found


@dataclass(frozen=True)
class Axis:
    """Maps values to pixels.

    Attributes:
        low: value at the first pixel.
        high: value at the last.
        start: first pixel.
        end: last pixel.
        log: logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; values outside, and those without a logarithm, go to the edge."""
        if self.log:
            part = (_log(max(value, self.low)) - _log(self.low)) / (_log(self.high) - _log(self.low))
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, part)) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return the values to be labelled: round ones, about six."""
        decades = self.log and self.high >= 10 * self.low  # within one decade equal steps tell more
        return _log_ticks(self.low, self.high) if decades else _linear_ticks(self.low, self.high)


def _log(value: float) -> float:
    return math.log10(value)


def _linear_ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 6
    power = 10.0 ** math.floor(_log(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(_log(low)), math.ceil(_log(high)) + 1)
    thin = max(1, len(decades) // 7)
    factors = (1, 2, 5) if len(decades) <= 3 else (1,)
    values = [m * 10.0**k for k in decades if k % thin == 0 for m in factors]
    return [v for v in values if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]


def axis(values: Sequence[float], start: float, end: float, *, log: bool, whole: bool = False) -> Axis:
    """Return an axis that holds the values, with a margin.

    Args:
        values: what has to fit; those without a logarithm are left out on a logarithmic axis.
        start: first pixel.
        end: last pixel.
        log: logarithmic.
        whole: from 0 to 1 whatever the values.

    Returns:
        the axis; 0 to 1 when there is no value, 1 to 10 on a logarithmic one.
    """
    good = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    if whole:
        return Axis(0.0, 1.0, start, end, log)
    if not good:
        return Axis(1.0 if log else 0.0, 10.0 if log else 1.0, start, end, log)
    low, high = min(good), max(good)
    if log:
        return Axis(low / 1.1, high * 1.1, start, end, log)
    largest = max(abs(low), abs(high))
    flat = high - low <= 1e-6 * largest  # nothing to be seen of such differences
    margin = (0.5 * largest or 0.5) if flat else 0.04 * (high - low)
    return Axis(low - margin, high + margin, start, end, log)


def draw(chart: Chart) -> str:
    """Return a chart as an `svg` element.

    Args:
        chart: what it shows.

    Returns:
        the text of the element; its colours are the classes c0 … c7 of the page.
    """
    legend, extra = _legend(chart.series)
    plot_top = TOP + extra
    xs = [v for s in chart.series for v in s.x]
    ys = [v for s in chart.series for part in (s.y, s.low, s.high) for v in part]
    across = axis(xs, LEFT, WIDTH - RIGHT, log=chart.log_x)
    up = axis(ys, HEIGHT + extra - BOTTOM, plot_top, log=chart.log_y, whole=chart.percent)
    parts = [*_frame(chart, across, up)]
    parts += [_band(one, across, up) for one in chart.series if len(one.low)]
    parts += [_curve(one, across, up, chart.dots) for one in chart.series]
    crowd = " many" if len(chart.series) > CROWD else ""
    size = f'viewBox="0 0 {WIDTH} {HEIGHT + extra}"'
    return (
        f'<svg class="chart{crowd}" {size} role="img" aria-label="{html.escape(chart.title)}">'
        f"{legend}{''.join(parts)}</svg>"
    )


def _frame(chart: Chart, across: Axis, up: Axis) -> list[str]:
    found = []
    for value in across.ticks():
        x = across(value)
        found.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{up.start:.1f}" y2="{up.end:.1f}"/>')
        found.append(
            f'<text class="tick" x="{x:.1f}" y="{up.start + 16:.1f}" text-anchor="middle">'
            f"{_word(value)}</text>"
        )
    for value in up.ticks():
        y = up(value)
        told = f"{100 * value:.0f} %" if chart.percent else _word(value)
        found.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        found.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{told}</text>')
    middle, left = (LEFT + WIDTH - RIGHT) / 2, (up.start + up.end) / 2
    found.append(
        f'<text class="label" x="{middle:.0f}" y="{up.start + 38:.0f}" text-anchor="middle">'
        f"{html.escape(chart.x_label)}</text>"
    )
    found.append(
        f'<text class="label" transform="translate(14 {left:.0f}) rotate(-90)" text-anchor="middle">'
        f"{html.escape(chart.y_label)}</text>"
    )
    return found


def _points(one: Series, ys: Sequence[float], across: Axis, up: Axis) -> list[list[tuple[float, float]]]:
    """Return the pixels of a curve, in pieces between its gaps."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(one.x, ys, strict=True):
        if math.isnan(y):
            pieces.append([])
            continue
        if one.stepped and pieces[-1]:
            pieces[-1].append((across(x), pieces[-1][-1][1]))
        pieces[-1].append((across(x), up(y)))
    return [piece for piece in pieces if piece]


def _band(one: Series, across: Axis, up: Axis) -> str:
    lows, highs = _points(one, one.low, across, up), _points(one, one.high, across, up)
    shapes = []
    for low, high in zip(lows, highs, strict=True):
        outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*low, *reversed(high)])
        shapes.append(f'<polygon class="band c{one.colour % COLOURS}" points="{outline}"/>')
    return "".join(shapes)


def _curve(one: Series, across: Axis, up: Axis, dots: bool) -> str:
    shapes = []
    for piece in _points(one, one.y, across, up):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in piece)
        shapes.append(f'<polyline class="line c{one.colour % COLOURS}"{_dash(one.colour)} points="{line}"/>')
    if dots:
        for x, y in zip(one.x, one.y, strict=True):
            if not math.isnan(y):
                shapes.append(
                    f'<circle class="dot c{one.colour % COLOURS}" cx="{across(x):.1f}" cy="{up(y):.1f}"'
                    ' r="3.5">'
                    f"<title>{html.escape(one.name)}: {x:g}, {y:.4g}</title></circle>"
                )
    return f"<g><title>{html.escape(one.name)}</title>{''.join(shapes)}</g>"


def _dash(colour: int) -> str:
    pattern = _DASHES[colour // COLOURS % len(_DASHES)]
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def _legend(series: Sequence[Series]) -> tuple[str, int]:
    """Return the legend above the plot and its height in pixels."""
    x, y, parts = float(LEFT), 12.0, []
    for one in series:
        width = 34 + _LETTER * len(one.name)
        if x + width > WIDTH - RIGHT and x > LEFT:
            x, y = float(LEFT), y + _LEGEND_ROW
        parts.append(
            f'<line class="line c{one.colour % COLOURS}"{_dash(one.colour)} x1="{x:.0f}" x2="{x + 20:.0f}" '
            f'y1="{y - 4:.0f}" y2="{y - 4:.0f}"/>'
            f'<text class="tick" x="{x + 25:.0f}" y="{y:.0f}">{html.escape(one.name)}</text>'
        )
        x += width
    return "".join(parts), int(y)


def _word(value: float) -> str:
    """Write a tick's value: 0, 25, 0.5, 2k, 1.5e6, 1e-6."""
    if value == 0:
        return "0"
    if abs(value) >= 1000 and abs(value) < 1e6:
        return f"{value / 1000:g}k"
    if 1e-3 <= abs(value) < 1000:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"
