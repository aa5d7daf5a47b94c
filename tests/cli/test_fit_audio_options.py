"""`lrnn fit-audio`: measures of speech, presets, and a decoder that would speak for itself."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lrnn_cli.cli.app import main
from tests.cli.conftest import Lrnn

SMALL = ("--rank", 4, "--dbar", 2, "--depth", 1, "--steps", 3)


def sound(rate: int, container: str = "WAV", subtype: str = "PCM_16", seconds: float = 1.0) -> bytes:
    t = np.arange(round(seconds * rate)) / rate
    x = 0.4 * np.sin(2 * np.pi * 310 * t) * np.sin(2 * np.pi * 4 * t)
    stream = io.BytesIO()
    soundfile.write(stream, x, rate, format=container, subtype=subtype)
    return stream.getvalue()


def test_speech_is_measured_when_asked_for(lrnn: Lrnn, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(sound(8000))
    done = lrnn("fit-audio", "a.wav", *SMALL, "--speech-metrics", "-o", "run", "--json")
    assert done.code == 0, done.err
    found = done.json()["metrics"]
    assert -1 <= found["stoi"] <= 1 and -1 <= found["estoi"] <= 1
    assert found["channels"][0]["stoi"] == found["stoi"]
    assert ("no PESQ" in done.err) == ("pesq" not in found)
    plain = lrnn("fit-audio", "a.wav", *SMALL, "-o", "plain", "--json").json()["metrics"]
    assert "stoi" not in plain and "PESQ" not in json.dumps(plain)


def test_speech_at_other_rates_is_refused_before_training(lrnn: Lrnn, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(sound(11025))
    done = lrnn("fit-audio", "a.wav", *SMALL, "--speech-metrics")
    done.refused(2, "STOI and PESQ are for speech at 8000 or 16000 Hz", "11025 Hz", "--speech-metrics")
    assert {p.name for p in tmp_path.iterdir()} == {"a.wav"}


def test_the_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "a.wav").write_bytes(sound(8000))
    monkeypatch.setitem(sys.modules, "pystoi", None)
    monkeypatch.chdir(tmp_path)
    assert main(["fit-audio", "a.wav", *map(str, SMALL), "--speech-metrics"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "lrnn: error: speech_metrics: needs pystoi: pip install 'lrnn[speech]'\n")
    assert {p.name for p in tmp_path.iterdir()} == {"a.wav"}


def test_presets_for_sounds(lrnn: Lrnn, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(sound(8000))
    paper = lrnn("fit-audio", "a.wav", "--preset", "paper", "--dry-run", "--json").json()
    config, fit = paper["model"]["config"], paper["settings"]["fit"]
    assert (config["rank"], config["dbar"], config["sigma"], config["layer_norm"]) == (106, 16, "spder", True)
    assert config["omega_first"] == paper["settings"]["model"]["omega_first"] == 3000
    assert (fit["lr"], fit["steps"], fit["schedule"]) == (1e-3, 1000, "step:100:0.9")
    assert (paper["batch_points"], paper["lstsq"], paper["segments"]) == (8000, [], [])
    spder = lrnn("fit-audio", "a.wav", "-m", "spder", "--preset", "paper", "--dry-run", "--json").json()
    assert spder["model"]["config"]["damping"] == "arctan" and spder["lr"] == 5e-5
    best = lrnn("fit-audio", "a.wav", "--preset", "best", "--dry-run", "--json").json()
    assert best["settings"]["fit"]["time_s"] == 7200
    lrnn("fit-audio", "a.wav", "-m", "kan", "--preset", "paper").refused(
        2, "preset paper: no published setting for sounds is recorded for kan; use fast or best"
    )


def test_a_cut_mp3_is_one_line_of_ours(lrnn: Lrnn, tmp_path: Path) -> None:
    whole = sound(16000, "MP3", "MPEG_LAYER_III", seconds=1.25)
    (tmp_path / "cut.mp3").write_bytes(whole[: len(whole) * 2 // 3 + 7])
    (tmp_path / "hole.mp3").write_bytes(
        whole[: len(whole) // 3] + bytes(300) + whole[len(whole) // 3 + 333 :]
    )
    lrnn("fit-audio", "cut.mp3", *SMALL).refused(3, "cut.mp3: cut short: 20000 samples announced")
    lrnn("fit-audio", "hole.mp3", *SMALL).refused(3, "hole.mp3: cut short: 20000 samples announced")
    assert {p.name for p in tmp_path.iterdir()} == {"cut.mp3", "hole.mp3"}
