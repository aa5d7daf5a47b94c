"""Sound files to signals and back: nothing is lost but what a coding cannot hold."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.signals.audio import AudioOptions, encode_audio, output_format, output_suffix, read_audio
from lrnn_cli.signals.audio_source import check_container
from lrnn_cli.signals.audio_write import SUBTYPES

RATE = 8000
LOSSLESS = [
    ("WAV", "PCM_U8", 8), ("WAV", "PCM_16", 16), ("WAV", "PCM_24", 24), ("WAV", "PCM_32", 32),
    ("WAV", "FLOAT", 24), ("WAV", "DOUBLE", 24), ("WAVEX", "PCM_24", 24), ("WAVEX", "FLOAT", 24),
    ("FLAC", "PCM_S8", 8), ("FLAC", "PCM_16", 16), ("FLAC", "PCM_24", 24), ("AIFF", "PCM_S8", 8),
    ("AIFF", "PCM_16", 16), ("AIFF", "PCM_24", 24), ("RF64", "PCM_16", 16),
]  # fmt: skip


def noise(n=400, channels=1, scale=0.3):
    return np.random.default_rng(n + channels).uniform(-scale, scale, (n, channels))


def file_of(x, container="WAV", subtype="PCM_16", rate=RATE):
    stream = io.BytesIO()
    soundfile.write(stream, x, rate, format=container, subtype=subtype)
    return stream.getvalue()


@pytest.mark.parametrize(("container", "subtype", "bits"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_values_are_those_of_the_file_but_for_the_gain(container, subtype, bits, channels):
    data = file_of(noise(channels=channels), container, subtype)
    expected = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)[0]
    signal = read_audio("a.wav", data=data)
    assert signal.kind == "audio" and signal.peak == 1.0 and signal.notes == ()
    assert signal.values.shape == expected.shape and np.abs(signal.values).max() == 1
    gain = signal.format["gain"]
    np.testing.assert_allclose(signal.values * gain, expected, rtol=0, atol=2.0 ** -min(bits, 24) / 2)
    assert gain == pytest.approx(np.abs(expected).max(), rel=1e-7)
    assert signal.format == {
        "container": container, "dtype": subtype, "sample_rate": RATE, "channels": channels,
        "gain": gain, "start_s": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(("container", "subtype", "bits"), LOSSLESS)
def test_a_file_survives_reading_and_writing(container, subtype, bits):
    data = file_of(noise(channels=2), container, subtype)
    signal = read_audio("a", data=data)
    kind = output_format(signal.format)
    assert kind == (container, subtype)
    again, clipped = encode_audio(
        signal.values, container=kind[0], subtype=kind[1], sample_rate=RATE, gain=signal.format["gain"]
    )
    assert clipped == 0
    before, after = (soundfile.read(io.BytesIO(d), dtype="int32")[0].astype(np.int64) for d in (data, again))
    if "PCM" in subtype and bits <= 16:
        np.testing.assert_array_equal(after, before)
    else:  # float32 holds 24 bits, and the gain costs one rounding each way
        assert np.abs(after - before).max() <= 2**9
    assert output_suffix(container) in (".wav", ".flac", ".aiff")


@given(
    arrays(
        np.int16, st.tuples(st.integers(2, 40), st.integers(1, 3)), elements=st.integers(-(2**15), 2**15 - 1)
    )
)
def test_sixteen_bits_come_back_exactly(q):
    signal = read_audio("a", data=file_of(q))
    again, clipped = encode_audio(
        signal.values, container="WAV", subtype="PCM_16", sample_rate=RATE, gain=signal.format["gain"]
    )
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(again), dtype="int16", always_2d=True)[0], q)
    assert clipped == 0


@pytest.mark.parametrize(
    ("container", "subtype", "rate"),
    [("OGG", "VORBIS", 44100), ("OGG", "OPUS", 48000), ("MP3", "MPEG_LAYER_III", 44100)],
)
def test_lossy_files_keep_their_length_and_coding(container, subtype, rate):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate // 4) / rate)[:, None]
    signal = read_audio("a.ogg", data=file_of(np.hstack([tone, -tone]), container, subtype, rate))
    assert signal.values.shape == (rate // 4, 2) and signal.format["sample_rate"] == rate
    assert output_format(signal.format) == (container, subtype)
    again, _ = encode_audio(signal.values, container=container, subtype=subtype, sample_rate=rate, gain=0.5)
    assert read_audio("b", data=again).values.shape == signal.values.shape


def test_bytes_that_libsndfile_writes_itself_differ_by_its_factor():
    """Why integers are made here: the library writes full scale - 1 for 0.99997, and this must not be so."""
    q = np.array([[32767], [-32768], [12345], [-1]], np.int16)
    own, _ = encode_audio(q / 32768.0, container="WAV", subtype="PCM_16", sample_rate=RATE)
    assert soundfile.read(io.BytesIO(own), dtype="int16")[0].tolist() == q[:, 0].tolist()


def test_clipping_is_counted():
    x = np.array([[1.5], [-1.5], [1.0], [-1.0], [0.5]], np.float32)
    data, clipped = encode_audio(x, container="WAV", subtype="PCM_16", sample_rate=RATE)
    assert clipped == 3  # +1 is one step more than 16 bits hold, -1 is held
    assert soundfile.read(io.BytesIO(data), dtype="int16")[0].tolist() == [
        32767,
        -32768,
        32767,
        -32768,
        16384,
    ]
    data, clipped = encode_audio(x, container="WAV", subtype="FLOAT", sample_rate=RATE)
    assert clipped == 0 and soundfile.read(io.BytesIO(data))[0].tolist() == x[:, 0].tolist()
    assert encode_audio(x, container="OGG", subtype="VORBIS", sample_rate=RATE)[1] == 2


def test_float_files_may_exceed_one():
    signal = read_audio("a", data=file_of(noise(scale=7.0), "WAV", "FLOAT"))
    assert signal.format["gain"] > 6.9 and np.abs(signal.values).max() == 1


def test_a_part():
    x = noise(RATE, 2)
    signal = read_audio("a", AudioOptions(start_s=0.25, duration_s=0.5), data=file_of(x, "WAV", "DOUBLE"))
    expected = x[RATE // 4 : 3 * RATE // 4]
    np.testing.assert_allclose(signal.values * signal.format["gain"], expected, atol=1e-7)
    assert signal.format["start_s"] == 0.25
    signal = read_audio("a", AudioOptions(start_s=0.75, duration_s=0.5), data=file_of(x))
    assert signal.shape == (RATE // 4,)
    assert signal.notes == ("only 0.25 s are left after the start, not 0.5 s",)


def test_mono_mixes_and_says_so_and_nothing_else_mixes():
    x = noise(100, 2)
    signal = read_audio("a", AudioOptions(mono=True), data=file_of(x, "WAV", "DOUBLE"))
    np.testing.assert_allclose(signal.values * signal.format["gain"], x.mean(1, keepdims=True), atol=1e-7)
    assert signal.notes == ("2 channels mixed to mono, their mean",) and signal.format["channels"] == 1
    assert read_audio("a", AudioOptions(mono=True), data=file_of(noise())).notes == ()


def test_silence():
    signal = read_audio("-", data=file_of(np.zeros((50, 2))))
    assert signal.format["gain"] == 1.0 and signal.notes == ("all samples are zero: silence",)
    assert signal.name == "stdin" and not signal.values.any()


def test_a_file_on_disk(tmp_path):
    (tmp_path / "a b.flac").write_bytes(data := file_of(noise(), "FLAC"))
    signal = read_audio(tmp_path / "a b.flac")
    assert signal.name == "a b" and signal.path.endswith("a b.flac")
    assert signal.sha256 == read_audio("-", data=data).sha256


def test_output_formats():
    def chosen(container, dtype, subtype=None, rate=44100, channels=2):
        fmt = {"container": container, "dtype": dtype, "sample_rate": rate, "channels": channels}
        return output_format(fmt, subtype)

    assert chosen("WAV", "PCM_16", "PCM_24") == ("WAV", "PCM_24")
    assert chosen("FLAC", "PCM_16", "FLOAT") == ("WAV", "FLOAT")
    assert chosen("WAV", "PCM_16", "VORBIS") == ("OGG", "VORBIS")
    assert chosen("WAV", "IMA_ADPCM") == ("WAV", "PCM_16")
    assert chosen("AU", "PCM_24") == ("WAV", "PCM_24")
    assert chosen("CAF", "ALAC_24") == ("WAV", "PCM_24") and chosen("CAF", "ALAC_16") == ("WAV", "PCM_16")
    assert chosen("MP3", "MPEG_LAYER_III", channels=6) == ("WAV", "PCM_16")
    with pytest.raises(ConfigError, match="subtype OPUS: cannot be written at 44100 Hz with 2 channels"):
        chosen("WAV", "PCM_16", "OPUS")


def test_options():
    assert AudioOptions(subtype="pcm_24").subtype == "PCM_24"
    with pytest.raises(ConfigError, match=r"did you mean PCM_24\?"):
        AudioOptions(subtype="PCM24")
    with pytest.raises(ValueError, match="at least 1"):
        AudioOptions(segments=0)
    assert len(set(SUBTYPES)) == len(SUBTYPES)


def test_streams_without_a_length_are_read_to_their_end():
    data = bytearray(file_of(noise()))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    signal = read_audio("-", data=bytes(data))
    assert signal.shape == (400,)
    assert signal.notes == ("its header does not state the length; read to the end of the file",)


def test_whole_files_of_more_than_two_gibibytes_and_cut_ones(tmp_path):
    """Lengths that programs write into pipes are taken for lengths where the file is that long."""
    length, path = 0x80000000, tmp_path / "long.wav"
    with path.open("w+b") as stream:
        stream.write(file_of(noise())[:40] + length.to_bytes(4, "little"))
        stream.truncate(44 + length)  # a hole: no space on the disk
        stream.seek(0)
        assert check_container(stream, "a") == []
        stream.truncate(4096)
    with path.open("r+b") as stream:
        assert "does not state the length" in check_container(stream, "a")[0]
        stream.seek(40)
        stream.write((length + 2).to_bytes(4, "little"))
        stream.seek(0)
        with pytest.raises(InputError, match="cut short: the header announces 2147483694 bytes"):
            check_container(stream, "a")


def test_flac_streams_without_a_length_are_refused():
    data = bytearray(file_of(noise(), "FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    with pytest.raises(InputError, match="a FLAC stream whose header does not state the length; send WAV"):
        read_audio("-", data=bytes(data))


@pytest.mark.parametrize("container", ["WAV", "AIFF"])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_files_do_not_hold_the_time_of_their_writing(container, subtype):
    values = np.full((300, 1), 0.25, np.float32)
    data, _ = encode_audio(values, container=container, subtype=subtype, sample_rate=8000)
    at = data.find(b"PEAK")
    assert 0 < at < 512 and data[at + 12 : at + 16] == bytes(4)
    assert read_audio("a", data=data).format["gain"] == 0.25


def test_limits():
    with pytest.raises(InputError, match="3 channels are more than max_channels=2"):
        read_audio("a.wav", AudioOptions(max_channels=2), data=file_of(noise(channels=3)))
    with pytest.raises(InputError, match="400 x 3 samples are more than max_samples=1000; take a part"):
        read_audio("a.wav", AudioOptions(max_samples=1000), data=file_of(noise(channels=3)))
