"""What goes to stdout and what to stderr, on a terminal and off it, loud and quiet."""

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from lrnn_cli.cli.render import Talk, duration, figures
from lrnn_cli.errors import ConfigError, OutputError
from tests.conftest import program_env


@dataclass
class Step:
    step: int = 600
    loss: float | None = 1.234e-4
    psnr_db: float | None = 38.2
    seconds: float = 60.0
    steps_per_s: float = 10.0
    progress: float = 0.5
    event: str | None = None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def talk(**more: Any) -> tuple[Talk, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Talk(stdout=out, stderr=err, **more), out, err


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"quiet": 2}, []),
        ({"quiet": 1}, ["warning: w"]),
        ({}, ["warning: w", "n"]),
        ({"verbose": 1}, ["warning: w", "n", "d"]),
    ],
)
def test_levels(more: dict[str, int], expected: list[str]) -> None:
    voice, out, err = talk(**more)
    voice.warn("w")
    voice.note("n")
    voice.debug("d")
    voice.out("result")
    assert err.getvalue() == "".join(f"lrnn: {line}\n" for line in expected)
    assert out.getvalue() == "result\n", "no level hides the result"


def test_a_result_is_a_line_or_an_object() -> None:
    voice, out, _ = talk()
    voice.result("38.2 dB", {"psnr_db": 38.2})
    assert out.getvalue() == "38.2 dB\n"
    voice, out, _ = talk(json=True)
    voice.result("38.2 dB", {"psnr_db": 38.2, "name": "é"})
    voice.result("", {"psnr_db": None})
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"psnr_db": 38.2, "name": "é"},
        {"psnr_db": None},
    ]
    with pytest.raises(ValueError, match="JSON"):
        voice.result("", {"psnr_db": float("inf")})


def test_json_and_data_cannot_share_stdout() -> None:
    with pytest.raises(ConfigError, match="both want stdout"):
        Talk(json=True, data_on_stdout=True)


def test_the_summary_gives_way_to_data_on_stdout() -> None:
    voice, out, err = talk(data_on_stdout=True)
    voice.result("38.2 dB", {})
    assert (out.getvalue(), err.getvalue()) == ("", "38.2 dB\n")


def test_data_never_goes_to_a_terminal() -> None:
    voice = Talk(stdout=Terminal())
    with pytest.raises(OutputError, match="refusing to write a binary file to a terminal"):
        voice.data(b"\x89PNG")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw)
    Talk(stdout=stream).data(b"\x89PNG\xff")
    assert raw.getvalue() == b"\x89PNG\xff"


def test_a_closed_stdout_is_an_output_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    for act in (lambda: Talk().out("x"), lambda: Talk().data(b"x")):
        with pytest.raises(OutputError, match="closed"):
            act()


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_talk_falls_silent_when_nobody_listens_but_results_do_not() -> None:
    voice = Talk(stderr=Broken(), stdout=Broken())
    voice.note("a")
    voice.note("b")
    with voice.progress("x") as show:
        show(Step())
    with pytest.raises(OutputError, match="Input/output error"):
        voice.out("result")


def test_what_an_encoding_lacks_is_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Talk(stdout=stream).out("σ \udcff")
    assert raw.getvalue() == b"\\u03c3 \\udcff\n"


def test_off_a_terminal_progress_is_a_line_each_tenth() -> None:
    voice, out, err = talk()
    with voice.progress("camera") as show:
        for n in range(1, 1001):
            show(Step(step=n, progress=n / 1000))
    lines = err.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "lrnn: camera: 10 %  step 100  loss 1.23e-04  38.20 dB  10 steps/s  9:00 left"
    assert lines[-1] == "lrnn: camera: 100 %  step 1000  loss 1.23e-04  38.20 dB  10 steps/s"
    assert out.getvalue() == ""


def test_off_a_terminal_progress_is_a_line_each_half_minute() -> None:
    clock = Clock()
    voice, _, err = talk(clock=clock)
    with voice.progress("slow") as show:
        for second in range(0, 100):
            clock.now = second
            show(Step(step=second, progress=0.01, psnr_db=None, steps_per_s=0.0))
    lines = err.getvalue().splitlines()
    assert [line.split("step ")[1].split()[0] for line in lines] == ["30", "60", "90"]
    assert "dB" not in lines[0]
    assert "steps/s" not in lines[0]


def test_a_jump_over_several_tenths_is_one_line() -> None:
    voice, _, err = talk()
    with voice.progress("x") as show:
        show(Step(progress=0.7))
        show(Step(progress=0.75))
    assert len(err.getvalue().splitlines()) == 1


def test_events_are_said_at_once() -> None:
    voice, _, err = talk()
    with voice.progress("x") as show:
        show(Step(progress=0.01, event="lr halved"))
    assert err.getvalue() == "lrnn: lr halved\n"


def test_quiet_shows_no_progress() -> None:
    voice, _, err = talk(quiet=1)
    with voice.progress("x") as show:
        show(Step(progress=1.0, event="e"))
    assert err.getvalue() == ""


def bar(monkeypatch: pytest.MonkeyPatch, **env: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", "COLUMNS": "120", "COLORTERM": "truecolor", **env}.items():
        monkeypatch.setenv(name, value)
    err = Terminal()
    voice = Talk(stderr=err)
    with voice.progress("camera[1]") as show:
        show(Step(progress=0.25))
        voice.note("a note [in brackets]")
        show(Step(progress=1.0, psnr_db=40.0))
    voice.note("after")
    return err.getvalue()


def test_on_a_terminal_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    text = bar(monkeypatch)
    assert "camera[1]" in text
    assert "100 %" in text
    assert "40.00 dB" in text
    assert "lrnn: a note [in brackets]" in text
    assert text.endswith("lrnn: after\n")
    assert "\x1b[38;" in text or "\x1b[3" in text, "colours"


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = bar(monkeypatch, NO_COLOR="1")
    assert "100 %" in text
    assert "\x1b[3" not in text


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text = bar(monkeypatch, TERM="dumb")
    assert "\x1b" not in text
    assert "lrnn: camera[1]: 25 %" in text


def test_figures_and_durations() -> None:
    assert figures(Step(steps_per_s=0.123)) == "step 600  loss 1.23e-04  38.20 dB  0.12 steps/s  1:00 left"
    assert figures(Step(progress=0.0, psnr_db=float("inf"))) == "step 600  loss 1.23e-04  inf dB  10 steps/s"
    assert figures(Step(loss=None, psnr_db=None, progress=0.0)) == "step 600  10 steps/s"
    assert [duration(s) for s in (0, 41.6, 725, 3723)] == ["0:00", "0:42", "12:05", "1:02:03"]


PROGRAM = """
import sys
from lrnn_cli.cli.render import Talk
from tests.cli.test_render import Step
talk = Talk()
with talk.progress("x") as show:
    for n in range(101):
        show(Step(step=n, progress=n / 100))
talk.result("done", {})
"""


def test_on_a_real_terminal_the_bar_is_on_stderr_and_the_result_on_stdout() -> None:
    import pty

    controller, terminal = pty.openpty()
    env = program_env({"TERM": "xterm-256color"})
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=terminal, env=env
    ) as process:
        os.close(terminal)
        seen = b""
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:  # Linux answers so when the other end is closed
                break
            if not part:
                break
            seen += part
        out = process.communicate(timeout=30)[0]
    os.close(controller)
    assert process.returncode == 0
    assert out == b"done\n"
    assert b"100 %" in seen
    assert b"\x1b[" in seen
