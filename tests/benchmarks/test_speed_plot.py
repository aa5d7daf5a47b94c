"""The plot of the speed benchmark has a panel per device and a line per model and way."""

import json

from PIL import Image

from benchmarks import speed_plot


def stored(path, cuda, ways):
    rows = [
        {"model": "lrnn", "way": way, "points": n, "us_per_point": 1.0 + k}
        for k, way in enumerate(ways)
        for n in (4096, 65_536)
    ]
    machine = {"processor": "P", "cores": 2, "cuda": cuda}
    path.write_text(json.dumps({"machine": machine, "rows": rows}))


def test_a_panel_per_device_and_a_line_per_way(tmp_path, monkeypatch, capsys):
    drawn = []
    panel = speed_plot.panel

    def watched(axes, record, title):
        panel(axes, record, title)
        lines = [(line.get_linestyle(), list(line.get_xdata())) for line in axes.get_lines()]
        drawn.append((title, lines))

    monkeypatch.setattr(speed_plot, "panel", watched)
    monkeypatch.setattr(speed_plot, "RESULTS", tmp_path)
    monkeypatch.setattr(speed_plot, "TARGET", tmp_path / "speed.png")
    stored(tmp_path / "speed.json", None, ("blocks", "plain"))
    stored(tmp_path / "speed_cuda.json", "A card", ("blocks",))
    speed_plot.main()
    assert drawn == [
        ("CPU: P, 2 cores", [("-", [4096, 65_536]), ("--", [4096, 65_536])]),
        ("GPU: A card", [("-", [4096, 65_536])]),
    ]
    with Image.open(tmp_path / "speed.png") as image:
        assert image.width > 2 * image.height
    assert capsys.readouterr().out.strip() == str(tmp_path / "speed.png")
