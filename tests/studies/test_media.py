"""Pictures and sounds of a report: the right part of the right file, in a form that browsers take."""

import base64
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from lrnn_cli.errors import InputError
from lrnn_cli.studies.collect import RunRecord
from lrnn_cli.studies.jobs import Job
from lrnn_cli.studies.media import LONGEST_PX, exhibits
from tests.cli.conftest import colours, write_png
from tests.studies.job_support import job
from tests.studies.records import record


def run(folder: Path, source: Path, label: str = "lrnn", seed: int = 0, **config) -> tuple[Job, RunRecord]:
    kind = "image" if source.suffix == ".png" else "audio"
    one = dataclasses.replace(job(seed, label=label), path=str(source), input=source.name, config=config)
    made = dataclasses.replace(record(label, source.name, seed, 30.0), folder=folder, kind=kind)
    folder.mkdir(parents=True, exist_ok=True)
    return one, made


def decoded(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2])


def pixels(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(decoded(url))))


def test_pictures_are_those_that_were_fitted(tmp_path: Path) -> None:
    values = colours(20, 30)
    source = write_png(tmp_path / "a.png", values)
    one = run(tmp_path / "run", source, image={"crop": (3, 2, 13, 8)})
    write_png(tmp_path / "run" / "output.png", values[2:8, 3:13] // 2)
    (shown,) = exhibits([one], "psnr_db", 3)
    original, fit = shown.media
    assert (original.label, original.note, fit.label, fit.note) == ("original", "", "lrnn", "PSNR/dB 30.00")
    assert np.array_equal(pixels(original.url), values[2:8, 3:13])
    assert np.array_equal(pixels(fit.url), values[2:8, 3:13] // 2)
    assert not shown.is_sound


def test_pictures_of_16_bits_grey_or_large_become_8_bits_of_a_size_to_look_at(tmp_path: Path) -> None:
    grey = np.full((4, LONGEST_PX * 2), 30000, dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    one = run(tmp_path / "run", tmp_path / "a.png")
    Image.fromarray(grey).save(tmp_path / "run" / "output.png")
    (shown,) = exhibits([one], "psnr_db", 3)
    assert shown.note == f"scaled down from {2 * LONGEST_PX}x4 for this page"
    assert {one.width for one in shown.media} == {LONGEST_PX}
    assert pixels(shown.media[0].url).shape == (2, LONGEST_PX)
    assert set(pixels(shown.media[0].url).ravel()) == {round(30000 / 65535 * 255)}


def test_each_row_shows_its_smallest_seed_that_ended_well(tmp_path: Path) -> None:
    source = write_png(tmp_path / "a.png", colours(4, 4))
    runs = [run(tmp_path / str(seed), source, seed=seed) for seed in (2, 1, 0)]
    runs[2] = (runs[2][0], dataclasses.replace(runs[2][1], status="crashed"))
    for seed in (1, 2):
        write_png(tmp_path / str(seed) / "output.png", np.full((4, 4, 1), seed, dtype=np.uint8))
    (shown,) = exhibits(runs, "psnr_db", 3)
    assert pixels(shown.media[1].url)[0, 0] == 1


def test_so_many_inputs_and_no_more(tmp_path: Path) -> None:
    runs = []
    for k in range(3):
        source = write_png(tmp_path / f"{k}.png", colours(4, 4))
        one, made = run(tmp_path / f"run{k}", source)
        write_png(tmp_path / f"run{k}" / "output.png", colours(4, 4))
        runs.append((dataclasses.replace(one, sha256=str(k)), made))
    assert [len(exhibits(runs, "psnr_db", n)) for n in (0, 2, 9)] == [0, 2, 3]


def test_sounds_are_the_part_that_was_fitted(tmp_path: Path) -> None:
    samples = 0.5 * np.sin(np.arange(8000) / 20)
    soundfile.write(tmp_path / "a.wav", samples, 4000, "FLOAT")
    one = run(tmp_path / "run", tmp_path / "a.wav", audio={"start_s": 0.5, "duration_s": 1.0})
    soundfile.write(tmp_path / "run" / "output.flac", samples[2000:6000], 4000)
    (shown,) = exhibits([one], "psnr_db", 3)
    assert shown.is_sound
    for medium in shown.media:
        assert medium.url.startswith("data:audio/wav;base64,")
        heard, rate = soundfile.read(io.BytesIO(decoded(medium.url)))
        assert rate == 4000
        assert np.abs(heard - samples[2000:6000]).max() < 1e-4


def test_a_sound_that_was_mixed_stands_beside_its_mix(tmp_path: Path) -> None:
    left = 0.5 * np.sin(np.arange(4000) / 20)
    soundfile.write(tmp_path / "a.wav", np.stack([left, 0 * left], 1), 4000, "FLOAT")
    one = run(tmp_path / "run", tmp_path / "a.wav", audio={"mono": True})
    soundfile.write(tmp_path / "run" / "output.wav", left / 2, 4000)
    (shown,) = exhibits([one], "psnr_db", 3)
    original, _ = soundfile.read(io.BytesIO(decoded(shown.media[0].url)))
    assert original.shape == (4000,) and np.abs(original - left / 2).max() < 1e-4


def test_a_slice_stands_beside_its_reconstruction_in_the_same_window(tmp_path: Path) -> None:
    values = np.zeros((12, 12), np.uint16)
    values[4:8, 4:8] = 65535
    Image.fromarray(values).save(tmp_path / "a.png")
    one, made = run(tmp_path / "run", tmp_path / "a.png")
    made = dataclasses.replace(made, kind="slice")
    Image.fromarray(values // 2).save(tmp_path / "run" / "output.u16.png")
    write_png(tmp_path / "run" / "output.window.png", colours(5, 6))
    (shown,) = exhibits([(one, made)], "psnr_db", 3)
    assert [medium.label for medium in shown.media] == ["original", "lrnn"]
    assert np.array_equal(pixels(shown.media[0].url), np.where(values > 0, 255, 0))
    assert np.array_equal(pixels(shown.media[1].url), np.where(values > 0, 127, 0))


def test_long_sounds_are_cut_and_it_is_said(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(2000), 100)
    one = run(tmp_path / "run", tmp_path / "a.wav")
    soundfile.write(tmp_path / "run" / "output.wav", np.zeros(2000), 100)
    (shown,) = exhibits([one], "psnr_db", 3)
    assert shown.note == "the first 15 s"
    assert soundfile.info(io.BytesIO(decoded(shown.media[1].url))).frames == 1500


def test_other_kinds_show_their_preview(tmp_path: Path) -> None:
    one, made = run(tmp_path / "run", tmp_path / "a.png")
    made = dataclasses.replace(made, kind="poisson")
    write_png(tmp_path / "run" / "preview.png", colours(5, 6))
    (shown,) = exhibits([(one, made)], "rel_l2", 3)
    assert [medium.label for medium in shown.media] == ["lrnn"]
    assert shown.media[0].note == "rel. L2 –"
    (tmp_path / "run" / "preview.png").unlink()
    assert exhibits([(one, made)], "rel_l2", 3) == []


def test_a_sound_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.wav: "):
        exhibits([run(tmp_path / "run", tmp_path / "a.wav")], "psnr_db", 3)
