"""`lrnn render` and `lrnn info` on a fitted sound."""

import io
import json

import numpy as np
import pytest
import soundfile

from tests.cli.test_fit_audio import RATE, SMALL, read, tones, write


@pytest.fixture(scope="session")
def fitted(program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    write(folder / "a.wav", tones(1600, 2))
    done = program("fit-audio", "a.wav", *SMALL, "--segments", 2, "-o", "run", "-q", cwd=folder)
    assert done.code == 0, done.err
    return folder / "run"


def test_without_options_it_is_the_output_again(lrnn, tmp_path, fitted):
    done = lrnn("render", fitted, "-o", "out.wav", "--json")
    assert done.code == 0, done.err
    assert (tmp_path / "out.wav").read_bytes() == (fitted / "output.wav").read_bytes()
    assert done.json()["beyond_original_nyquist_db"] is None and done.err == ""
    again = lrnn("render", fitted, "-o", "out.wav")
    assert again.code != 0 and "--force overwrites it" in again.err


def test_a_higher_rate_adds_no_detail_and_says_so(lrnn, tmp_path, fitted):
    done = lrnn("render", fitted, "-o", "out.flac", "--rate", "96k", "--json")
    assert done.code == 0, done.err
    info = soundfile.info(tmp_path / "out.flac")
    assert (info.samplerate, info.frames, info.channels, info.subtype) == (96000, 38400, 2, "PCM_16")
    assert "beyond 2000 Hz, the end of the original's band" in done.err and "no detail" in done.err
    assert done.json()["beyond_original_nyquist_db"] < 0
    low, high = read(fitted / "output.wav"), read(tmp_path / "out.flac")
    middle = (high[11::24] + high[12::24]) / 2  # around the middle of each sample of the original
    np.testing.assert_allclose(middle, low, atol=1e-3)


def test_a_part_slowly_to_stdout(lrnn, fitted):
    done = lrnn(
        "render",
        fitted,
        "-o",
        "-",
        "--start",
        "0.1",
        "--duration",
        "0.1s",
        "--speed",
        0.5,
        "--subtype",
        "float",
    )
    assert done.code == 0, done.err
    x, rate = soundfile.read(io.BytesIO(done.raw), always_2d=True)
    assert (rate, x.shape) == (RATE, (800, 2))
    assert lrnn("render", fitted, "--speed", 0.5, "-q").code == 0
    assert (fitted / "render-4000Hz-x0.5.wav").exists()


def test_options_of_pictures_and_bad_numbers(lrnn, fitted):
    lrnn("render", fitted, "--size", "10x10").refused(2, "--size", "'audio'")
    lrnn("render", fitted, "--start", "9").refused(2, "0.4 s that were fitted")
    lrnn("render", fitted, "-o", "a.txt").refused(2, "output suffix")
    lrnn("render", fitted, "-o", "a.flac", "--subtype", "FLOAT").refused(2, "holds no FLOAT")


def test_info_lists_tones(lrnn, fitted):
    done = lrnn("info", fitted)
    assert done.code == 0 and "learned tones" in done.out
    record = lrnn("info", fitted, "--json")
    tones_of = json.loads(record.out)["tones"]
    assert {row["segment"] for row in tones_of} <= {1, 2} and len(tones_of[0]["tones_hz"]) == 2
    f, g = tones_of[0]["tones_hz"]
    assert sorted(tones_of[0]["combinations_hz"]) == pytest.approx(sorted([abs(f - g), f + g]))
