"""What no sound can be read from: one line each, with the file, the fault and the remedy."""

import struct

import numpy as np
import pytest

from lrnn_cli.errors import InputError, OutputError
from lrnn_cli.signals.audio import AudioOptions, encode_audio, read_audio
from tests.signals.test_audio import file_of, noise


def refusal(data=None, source="a.wav", **options):
    with pytest.raises(InputError) as caught:
        read_audio(source, AudioOptions(**options), data=data)
    text = str(caught.value)
    assert "\n" not in text and text.isprintable() and text.startswith(f"{source}: ")
    return text


def wav(rate=None, channels=None, tag=None, **keywords):
    data = bytearray(file_of(noise(), **keywords))
    for value, at, code in ((tag, 20, "<H"), (channels, 22, "<H"), (rate, 24, "<I")):
        if value is not None:
            struct.pack_into(code, data, at, value)
    return bytes(data)


def test_files(tmp_path):
    assert "no such file" in refusal(source=str(tmp_path / "no.wav"))
    assert refusal(source=str(tmp_path)).endswith("is a directory; name one sound file")
    assert refusal(source="/dev/zero").endswith("is a device or a socket; name a sound file")
    assert "the file is empty (0 bytes)" in refusal(b"")


@pytest.mark.parametrize(
    ("container", "subtype"), [("WAV", "PCM_16"), ("WAVEX", "PCM_24"), ("RF64", "FLOAT")]
)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_cut_riff(container, subtype, part):
    data = file_of(noise(4000), container, subtype)
    assert "cut short: the header announces" in refusal(data[: int(len(data) * part)])


def test_cut_headers():
    data = file_of(noise())
    for length in (12, 20, 36, 43):
        assert "cut short: no samples behind the header" in refusal(data[:length])
    assert "cut short" in refusal(file_of(noise(), "AIFF")[:300])


def test_cut_flac():
    data = file_of(noise(20000), "FLAC")
    assert "the file is damaged or cut short" in refusal(data[: len(data) // 2])


def test_cut_ogg():
    data = file_of(noise(20000), "OGG", "VORBIS")
    assert "cut short: the header announces" in refusal(data[: len(data) * 2 // 3])
    assert "cut short" in refusal(data[:40])
    whole_pages = data[: data.rfind(b"OggS")]
    signal = read_audio("a.ogg", data=whole_pages)
    assert signal.notes == ("the Ogg stream has no end mark: it may be cut short",)


def test_no_samples_and_one():
    assert refusal(file_of(np.zeros((0, 1)))).endswith(
        "holds no samples; a sound needs at least 2, record or export it again"
    )
    assert "holds a single sample" in refusal(file_of(np.zeros((1, 1))))


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_not_finite(subtype):
    x = noise(10, 2)
    x[3, 1] = np.nan
    x[4] = np.inf
    text = refusal(file_of(x, "WAV", subtype))
    assert "1 NaN and 2 infinite among 20 values; repair them" in text


def test_absurd_headers():
    assert "sample rate 0 Hz in the header, expected 1 to 10000000" in refusal(wav(rate=0))
    assert "sample rate 4294967295 Hz" in refusal(wav(rate=2**32 - 1))
    assert "sample rate 10000001 Hz" in refusal(file_of(noise(), rate=10_000_001, container="AIFF"))
    assert "no channels according to its header" in refusal(wav(channels=0))
    assert "1000 channels are more than max_channels=64" in refusal(file_of(noise(10, 1000)))
    assert "cannot be decoded as sound" in refusal(wav(tag=0xFF))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"Dear reader, this is a letter.\n" * 20, "holds text, not sound"),
        ("Übel, aber Text".encode(), "holds text, not sound"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "M4A or MP4 is not supported, no decoder for it here"),
        (b"\xff\xf1\x50\x80\0", "AAC is not supported"),
        (b"\x30\x26\xb2\x75\x8e\x66", "WMA is not supported"),
        (b"wvpk\0\0", "WavPack is not supported"),
        (b"\x89PNG\r\n\x1a\n\0", "PNG image is not supported"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a RIFF file of kind 'WEBP', not sound"),
        (bytes(range(256)) * 4, "cannot be decoded as sound"),
    ],
)
def test_foreign(data, what):
    text = refusal(data)
    assert what in text and ("give a WAV" in text or "ffmpeg -i FILE" in text)


def test_parts_outside():
    data = file_of(noise(800), rate=8000)
    assert refusal(data, start_s=0.2).endswith("start 0.2 s is beyond the end, it lasts 0.1 s; start earlier")
    assert "1e-05 s at 8000 Hz is less than 2 samples" in refusal(data, duration_s=1e-5)


def test_impossible_outputs():
    with pytest.raises(OutputError, match="cannot write FLAC FLOAT at 8000 Hz"):
        encode_audio(noise().astype(np.float32), container="FLAC", subtype="FLOAT", sample_rate=8000)
    with pytest.raises(ValueError, match="finite"):
        encode_audio(np.full((3, 1), np.nan), container="WAV", subtype="FLOAT", sample_rate=8000)


@pytest.mark.parametrize("seed", range(60))
def test_damaged_bytes_never_surprise(seed):
    """Any damage gives a signal or an `InputError`, nothing else."""
    rng = np.random.default_rng(seed)
    container, subtype = [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("AIFF", "PCM_24")][
        seed % 4
    ]
    data = bytearray(file_of(noise(600, 2), container, subtype))
    for at in rng.integers(0, min(len(data), 200) if seed % 2 else len(data), 4):
        data[at] = rng.integers(256)
    try:
        assert np.isfinite(read_audio("a", data=bytes(data)).values).all()
    except InputError as error:
        assert "\n" not in str(error)
