"""`lrnn fit-audio` as it is typed: files in and out, parts, channels, segments, resume, batches."""

import io
import json
import signal

import numpy as np
import pytest
import soundfile
import yaml

from lrnn_cli.models.catalog import CATALOG

RATE = 4000
SMALL = ("--rank", 8, "--dbar", 2, "--depth", 2, "--steps", 12)
FILES = {"checkpoint.safetensors", "config.yaml", "metrics.json", "preview.png", "train.jsonl"}


def tones(n=1600, channels=1, scale=0.4):
    t = np.arange(n)[:, None] / RATE
    return scale * np.sin(2 * np.pi * (110.0 + 70.0 * np.arange(channels)) * t + 0.3)


def sound(x, container="WAV", subtype="PCM_16", rate=RATE):
    stream = io.BytesIO()
    soundfile.write(stream, x, rate, format=container, subtype=subtype)
    return stream.getvalue()


def write(path, x, **more):
    path.write_bytes(sound(x, **more))
    return path


def read(path):
    return soundfile.read(path, always_2d=True)[0]


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_a_sound_becomes_a_run_folder(lrnn, tmp_path):
    write(tmp_path / "tone.wav", tones(channels=2))
    done = lrnn("fit-audio", "tone.wav", *SMALL)
    assert done.code == 0, done.err
    folder = tmp_path / "runs" / "tone" / "lrnn-s0"
    assert {p.name for p in folder.iterdir()} == FILES | {"output.wav"}
    assert done.out.startswith("tone.wav: lrnn, ") and "PSNR" in done.out and len(done.out.splitlines()) == 1
    info = soundfile.info(folder / "output.wav")
    assert (info.frames, info.channels, info.samplerate, info.subtype) == (1600, 2, RATE, "PCM_16")
    record = metrics(folder)
    assert record["status"] == "ok" and record["input"]["sample_rate"] == RATE
    assert record["input"]["dtype"] == "PCM_16" and record["input"]["shape"] == [1600, 2]
    found = record["metrics"]
    names = ("mse", "mse_file_scale", "snr_db", "si_sdr_db", "psnr_db", "lsd_db", "mrstft", "rho_ag")
    assert all(isinstance(found[name], float) for name in names)
    assert len(found["channels"]) == 2 and all(name in found["channels"][1] for name in names)
    assert found["mse"] == pytest.approx(np.mean([c["mse"] for c in found["channels"]]))
    assert found["psnr_db"] == pytest.approx(-10 * np.log10(found["mse"]))
    error = read(folder / "output.wav") - read(tmp_path / "tone.wav")
    assert np.square(error).mean() == pytest.approx(found["mse_file_scale"], rel=0.01, abs=1e-9)
    assert found["gain"] == pytest.approx(np.abs(read(tmp_path / "tone.wav")).max())
    # the first frequencies come from the sound: centroid 145 Hz, 0.4 s
    assert record["model"]["config"]["omega_first"] == pytest.approx(np.pi * 145 * 0.4, rel=0.1)
    assert "omega_first" not in yaml.safe_load((folder / "config.yaml").read_text())["model"]


def test_the_written_settings_give_the_same_run_again(lrnn, tmp_path):
    write(tmp_path / "tone.wav", tones())
    assert lrnn("fit-audio", "tone.wav", *SMALL, "--threads", 1).code == 0
    first = tmp_path / "runs" / "tone" / "lrnn-s0"
    assert lrnn("fit-audio", "tone.wav", "--config", first / "config.yaml", "-o", "again").code == 0
    assert (tmp_path / "again" / "output.wav").read_bytes() == (first / "output.wav").read_bytes()


def test_stdin_to_stdout(lrnn):
    done = lrnn("fit-audio", "-", *SMALL, "-o", "-", "--subtype", "float", input=sound(tones(), "FLAC"))
    assert done.code == 0, done.err
    x, rate = soundfile.read(io.BytesIO(done.raw))
    assert (len(x), rate) == (1600, RATE)
    info = soundfile.info(io.BytesIO(done.raw))
    assert (info.format, info.subtype) == ("WAV", "FLOAT")


@pytest.mark.parametrize(
    ("name", "container", "subtype"),
    [("a.flac", "FLAC", "PCM_24"), ("a.ogg", "OGG", "VORBIS")],
)
def test_the_output_is_coded_as_the_input(lrnn, tmp_path, name, container, subtype):
    write(tmp_path / name, tones(4000), container=container, subtype=subtype)
    done = lrnn("fit-audio", name, *SMALL, "--start", "0.25s", "--duration", 0.5, "-o", "run", "--steps", 5)
    assert done.code == 0, done.err
    info = soundfile.info(tmp_path / "run" / f"output{name[1:]}")
    assert (info.format, info.subtype, info.frames) == (container, subtype, 2000)


def test_mono_is_asked_for_and_said(lrnn, tmp_path):
    write(tmp_path / "a.wav", tones(channels=3))
    done = lrnn("fit-audio", "a.wav", *SMALL, "--mono", "-o", "run")
    assert done.code == 0 and "3 channels mixed to mono, their mean" in done.err
    assert soundfile.info(tmp_path / "run" / "output.wav").channels == 1


@pytest.mark.parametrize(("level", "subtype"), [(0.0, "PCM_16"), (0.25, "FLOAT")])
def test_silence_and_constants(lrnn, tmp_path, level, subtype):
    write(tmp_path / "a.wav", np.full((300, 1), level), subtype=subtype)
    done = lrnn("fit-audio", "a.wav", *SMALL, "-o", "run", "--json")
    assert done.code == 0, done.err
    found = done.json()["metrics"]
    assert found["mse"] < 1e-6 and found["gain"] == (level or 1.0)
    assert np.abs(read(tmp_path / "run" / "output.wav") - level).max() < 1e-3
    assert found["psnr_infinite"] or found["psnr_db"] > 60
    assert found["lsd_db"] is None or found["lsd_db"] < 1


def test_a_tone_through_the_seams(lrnn, tmp_path):
    n = 3000
    sine = 0.8 * np.sin(2 * np.pi * 152.0 / 4000 * np.arange(n)[:, None])
    write(tmp_path / "a.wav", sine, subtype="FLOAT")
    flags = "--rank 32 --dbar 2 --depth 2 --lr 1e-3 --segments 3 --steps 600 -o run --json".split()
    done = lrnn("fit-audio", "a.wav", *flags)
    assert done.code == 0, done.err
    assert "3 segments of 0.27 s" in done.err
    record = done.json()
    segments = record["train"]["segments"]
    assert [s["samples"] for s in segments] == [[0, 1040], [960, 2040], [1960, 3000]]
    assert sum(s["steps"] for s in segments) == record["train"]["steps"] == 600
    x, y = read(tmp_path / "a.wav")[:, 0], read(tmp_path / "run" / "output.wav")[:, 0]
    assert len(y) == n and record["metrics"]["psnr_db"] > 35
    step = np.abs(np.diff(y - x))
    seams = np.zeros(len(step), bool)
    for seam in (1000, 2000):
        seams[seam - 45 : seam + 45] = True
    assert step[seams].max() <= 1.2 * step[~seams].max()  # no click: the error jumps there no more
    assert record["model"]["params"] == 3 * 2785


@pytest.mark.parametrize(
    ("seen", "options"),
    [
        ("segment 1 of 3: output layer", ("--segments", 3, "--steps", 600, "-v")),
        ("20 %", ("--segments", 1, "--steps", 400, "--batch-points", 400)),
    ],
    ids=["segments", "one network"],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(lrnn, tmp_path, seen, options):
    write(tmp_path / "a.wav", tones(3000, channels=2))
    words = ("fit-audio", "a.wav", *SMALL, *options, "--threads", 1)
    assert lrnn(*words, "-o", "whole").code == 0
    running = lrnn.start(*words, "-o", "run")
    running.wait_for(seen)
    running.send(signal.SIGINT)
    assert running.finish().code == 130
    assert metrics(tmp_path / "run")["status"] == "interrupted"
    done = lrnn(*words, "-o", "run", "--resume")
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "output.wav").read_bytes() == (tmp_path / "whole" / "output.wav").read_bytes()
    assert metrics(tmp_path / "run")["train"]["steps"] == options[3]


@pytest.mark.parametrize("model", CATALOG)
def test_the_written_settings_give_the_same_plan_again(lrnn, tmp_path, model):
    """What a sound decides by itself is left out of the settings written, and decided again."""
    write(tmp_path / "a.wav", tones())
    plan = lrnn("fit-audio", "a.wav", "--model", model, "--params", "3k", "--dry-run", "--json").json()
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(plan["settings"]))
    again = lrnn("fit-audio", "a.wav", "-c", "c.yaml", "--dry-run", "--json").json()
    assert (again["model"], again["lr"], again["optimizer"]) == (plan["model"], plan["lr"], plan["optimizer"])


def test_a_target_or_a_time_ends_a_fit(lrnn, tmp_path):
    write(tmp_path / "a.wav", tones())
    shape = SMALL[:-2]
    done = lrnn("fit-audio", "a.wav", *shape, "--until", "mse=5e-2", "--steps", 600, "--json", "-o", "mse")
    assert done.code == 0, done.err
    assert done.json()["train"]["outcome"] == "target" and done.json()["metrics"]["mse"] <= 5e-2
    done = lrnn("fit-audio", "a.wav", *shape, "--until", "11dB", "--steps", 600, "--json", "-o", "db")
    assert done.json()["train"]["outcome"] == "target" and done.json()["metrics"]["psnr_db"] >= 11
    done = lrnn("fit-audio", "a.wav", *shape, "--time", "0.3s", "--json", "-o", "time")
    assert done.json()["train"]["outcome"] == "budget" and done.json()["train"]["steps"] > 0


def test_clipping_is_said(lrnn, tmp_path):
    square = np.sign(tones(scale=1.0)) * 0.999
    write(tmp_path / "a.wav", square)
    done = lrnn("fit-audio", "a.wav", *SMALL, "--steps", 60)
    clipped = metrics(tmp_path / "runs" / "a" / "lrnn-s0")["metrics"]["clipped_samples"]
    assert clipped > 0 and f", {clipped} samples clipped" in done.out


def test_a_batch_goes_on_past_a_bad_file(lrnn, tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "a.wav", tones())
    (tmp_path / "in" / "b.wav").write_text("no sound")
    write(tmp_path / "in" / "c.flac", tones(), container="FLAC")
    done = lrnn("fit-audio", "in", *SMALL, "--steps", 5, "--json")
    assert done.code == 6 and "in/b.wav: holds text, not sound" in done.err
    assert [json.loads(line)["status"] for line in done.out.splitlines()] == ["ok", "ok"]


def test_other_models_get_higher_frequencies_and_the_user_has_the_last_word(lrnn, tmp_path):
    write(tmp_path / "a.wav", tones(channels=2))
    plan = lrnn("fit-audio", "a.wav", "--model", "siren", "--params", "2k", "--dry-run", "--json").json()
    assert plan["model"]["config"]["omega_first"] == pytest.approx(np.pi * 2 * 145 * 0.4, rel=0.02)
    plan = lrnn("fit-audio", "a.wav", "--omega-first", 77, "--dry-run", "--json").json()
    assert plan["model"]["config"]["omega_first"] == 77


def bad_files():
    good = sound(tones())
    nan = tones()
    nan[5] = np.nan
    return {
        "cut.wav": good[: len(good) // 2],
        "none.wav": sound(np.zeros((0, 1))),
        "one.wav": sound(np.zeros((1, 1))),
        "nan.wav": sound(nan, subtype="FLOAT"),
        "rate0.wav": good[:24] + bytes(4) + good[28:],
        "rate.wav": good[:24] + b"\xff" * 4 + good[28:],
        "wide.wav": sound(np.zeros((9, 1000))),
        "text.wav": b"This is a letter, and no sound.\n",
        "codec.wav": good[:20] + b"\xff\0" + good[22:],
        "song.m4a": b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom",
        "empty.wav": b"",
        "inf.wav": sound(np.where(tones() == tones().max(), np.inf, tones()), subtype="FLOAT"),
    }


SAID = {
    "cut.wav": "cut short: the header announces",
    "none.wav": "holds no samples",
    "one.wav": "holds a single sample; a sound needs at least 2",
    "nan.wav": "1 NaN among",
    "inf.wav": "infinite among",
    "rate0.wav": "sample rate 0 Hz in the header",
    "rate.wav": "sample rate 4294967295 Hz in the header",
    "wide.wav": "1000 channels are more than max_channels=64",
    "text.wav": "holds text, not sound",
    "codec.wav": "cannot be decoded as sound",
    "song.m4a": "M4A or MP4 is not supported",
    "empty.wav": "the file is empty",
}


@pytest.mark.parametrize("name", sorted(bad_files()))
def test_bad_input(lrnn, tmp_path, name):
    (tmp_path / name).write_bytes(bad_files()[name])
    lrnn("fit-audio", name, *SMALL).refused(3, name, SAID[name])
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_bad_options(lrnn, tmp_path):
    write(tmp_path / "a.wav", tones())
    lrnn("fit-audio", "a.wav", "--segments", "many").refused(2, "--segments", "auto")
    lrnn("fit-audio", "a.wav", "--segments", "900").refused(2, "segments 900", "400 parts")
    lrnn("fit-audio", "a.wav", "--subtype", "PCM24").refused(2, "did you mean PCM_24?")
    lrnn("fit-audio", "a.wav", "--start", "soon").refused(2, "--start")
    lrnn("fit-audio", "a.wav", "--start", "9s").refused(3, "start 9 s is beyond the end")
    assert not (tmp_path / "runs").exists()
