"""Files whose names are formulas, no UTF-8 or in no font: they are fitted, and their neighbours too."""

import json
import os

import numpy as np
import pytest
import soundfile

from lrnn_cli.runs.folder import to_json
from tests.cli.conftest import SMALL, Lrnn, colours, write_png

LATIN_1 = os.fsdecode(b"caf\xe9")


def test_a_batch_with_odd_names(lrnn: Lrnn):
    names = ["plain", "2$x^$", LATIN_1, "日本😀"]
    for name in names:
        write_png(lrnn.folder / f"{name}.png", colours(8, 8, 1))
    files = [f"{name}.png" for name in names]
    done = lrnn("fit-image", *files, *SMALL, "-o", "runs", "-qq")
    assert (done.code, done.err) == (0, "")
    for name in names:
        folder = lrnn.folder / "runs" / name
        assert (folder / "preview.png").read_bytes().startswith(b"\x89PNG")
        record = json.loads((folder / "metrics.json").read_bytes())
        assert record["status"] == "ok" and record["command"][2:6] == files
    drawn = lrnn("render", f"runs/{LATIN_1}", "--scale", 0.5, "-o", f"{LATIN_1}-again.png", "-qq")
    assert (drawn.code, drawn.err) == (0, "")
    assert (lrnn.folder / f"{LATIN_1}-again.png").is_file()


def test_the_preview_of_a_scan_and_of_a_sound(lrnn: Lrnn):
    write_png(lrnn.folder / r"c$\frac$.png", colours(16, 16, 1))
    assert lrnn("reconstruct-ct", r"c$\frac$.png", "--views", 5, "--method", "fbp", "-o", "ct").code == 0
    assert (lrnn.folder / "ct/preview.png").is_file()
    t = np.arange(800) / 8000
    soundfile.write(lrnn.folder / r"s$\bad{$.wav", 0.5 * np.sin(2 * np.pi * 440 * t), 8000)
    tiny = ("--rank", 4, "--steps", 2, "--threads", 1, "-qq", "-o", "sound")
    assert lrnn("fit-audio", r"s$\bad{$.wav", *tiny).code == 0
    assert (lrnn.folder / "sound/preview.png").is_file()


def test_json_holds_what_is_no_utf8():
    content = to_json({"path": LATIN_1, "name": "é日"}, indent=None)
    assert content == b'{"path": "caf\\udce9", "name": "' + "é日".encode() + b'"}\n'
    assert json.loads(content)["path"] == LATIN_1


@pytest.mark.parametrize("command", [["solve-poisson", "--help"], ["fit-image", "--help"], ["--help"]])
def test_help_where_the_locale_has_ascii_alone(lrnn: Lrnn, command: list[str]):
    done = lrnn(*command, env={"PYTHONIOENCODING": "ascii"})
    assert (done.code, done.err) == (0, "")
    assert "Usage" in done.out
