"""What a sound decides about its fit, how it is measured, and what is heard of it afterwards."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lrnn_cli.errors import CheckpointError, ConfigError
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.checkpoint import Fitted, encode_fitted, load
from lrnn_cli.fitting.predict import predict
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.budget import parameters_of
from lrnn_cli.models.catalog import CATALOG, build, config_class
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.models.segments import Segments
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.signals.audio import AudioOptions
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.audio_defaults import LARGEST_SEGMENT, LOWEST, plan_sound
from lrnn_cli.tasks.fit_audio import AudioTask, measure
from lrnn_cli.tasks.regression import ModelChoice
from lrnn_cli.tasks.render_audio import choose_coding, decimate, guessed_db, make_extract, play
from lrnn_cli.tasks.segments import cut, share
from lrnn_cli.tasks.settings import preset
from lrnn_cli.tasks.tones import combination_tones, learned_tones

FIT = FitSettings(steps=200, device="cpu", threads=1, engine="fused")
SMALL = ModelChoice(options={"rank": 4, "dbar": 2, "depth": 1})


def sound(values, rate=8000, gain=0.5):
    values = np.asarray(values, np.float32).reshape(len(values), -1)
    fmt = {
        "container": "WAV", "dtype": "PCM_16", "sample_rate": rate, "channels": values.shape[1], "gain": gain,
        "start_s": 0.0,
    }  # fmt: skip
    return Signal(values, "audio", 1.0, "a", "a.wav", "0" * 64, (), fmt)


def tone(hertz, seconds, rate=8000):
    return sound(np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate), rate)


class Sine(CoordinateModel):
    """y = sin(omega t), a known sound."""

    def __init__(self, hertz, seconds):
        super().__init__()
        self.omega = torch.nn.Parameter(torch.tensor(math.pi * hertz * seconds, dtype=torch.float64))

    def forward(self, coords):
        return torch.sin(self.omega * coords)


def fitted_sine(hertz=440.0, seconds=0.5, rate=8000, **signal):
    config = config_class("siren")()
    fmt = {**sound([0.0, 0.0], rate).format, **signal}
    return Fitted(
        "siren", config, Sine(hertz, seconds), 1, 1, 0.0, 1.0, 1.0, (round(seconds * rate),), "audio", fmt
    )


@pytest.fixture
def runner():
    made = BlockRunner(torch.device("cpu"), block_points=1000)
    yield made
    made.close()


# --- the rule


@pytest.mark.parametrize(("seconds", "rate"), [(0.1, 8000), (1.0, 44100), (60.0, 96000)])
def test_the_first_frequencies_follow_the_sound_whatever_its_length_and_rate(seconds, rate):
    plan = plan_sound(tone(440, seconds, rate), SMALL, FIT)
    spans = plan.segments or ((0, round(seconds * rate)),)
    span_s = max(b - a for a, b in spans) / rate
    assert plan.config.omega_first == pytest.approx(max(LOWEST, math.pi * 440 * span_s), rel=1e-3)
    others = [
        plan_sound(tone(440, seconds, rate), ModelChoice(name=n), FIT, 1) for n in ("wire", "siren", "finer")
    ]
    omega = 2 * math.pi * 440 * seconds
    assert others[0].config.omega_first == pytest.approx(min(omega, 1e5), rel=1e-3)
    assert others[1].config.omega_first == pytest.approx(min(omega, 4000), rel=1e-3)
    assert others[2].config.omega_first == pytest.approx(0.34 * min(omega, 1e5), rel=1e-3)
    assert plan.lstsq == ("end",)


@pytest.mark.parametrize("name", ["lrnn", "siren", "spder", "finer", "wire", "fourier", "gauss", "relu-pe"])
def test_one_network_over_ten_minutes_gets_a_frequency_that_it_takes(name):
    """π T · centroid is 829,000 there."""
    plan = plan_sound(tone(440, 600, 8000), ModelChoice(name=name, params=2000), FIT, 1)
    assert plan.segments == ()
    assert getattr(plan.config, "omega_first", 0.0) in (0.0, 4000.0, 16e3, 34e3, 1e5)


def test_a_rate_falls_where_a_sound_oscillates_more_than_its_frequency_may():
    rates = [plan_sound(tone(440, seconds), ModelChoice(params=2000), FIT, 1).lr for seconds in (1, 10, 30)]
    assert rates[:2] == [5e-4, 5e-4]  # 13,800 rad
    assert rates[2] == pytest.approx(5e-4 * 16_000 / (math.pi * 440 * 30), rel=1e-2)
    given = FIT.model_copy(update={"lr": 4e-4})
    assert plan_sound(tone(440, 30), ModelChoice(params=2000), given, 1).lr == 4e-4
    assert plan_sound(tone(440, 30), ModelChoice(name="siren", params=2000), FIT, 1).lr == 2e-4


def test_what_the_user_gives_stays():
    choice = ModelChoice(options={**SMALL.options, "omega_first": 12.0})
    plan = plan_sound(tone(440, 0.1), choice, FIT.model_copy(update={"lstsq": ("start",)}))
    assert plan.config.omega_first == 12 and plan.lstsq == ("start",)
    fourier = plan_sound(tone(440, 0.1), ModelChoice(name="fourier"), FIT)
    assert fourier.config.scale == pytest.approx(0.34 * 440 * 0.1, rel=1e-3)
    assert (fourier.lr, fourier.n_points) == (1.2e-2, 800)
    rate = FIT.model_copy(update={"lr": 1e-4})
    assert plan_sound(tone(440, 0.1), ModelChoice(name="fourier"), rate).lr == 1e-4
    assert plan_sound(tone(440, 0.1), ModelChoice(name="mlp-relu"), FIT).model_name == "mlp-relu"


def test_silence_has_a_rule_too():
    for level in (0.0, 0.3):
        plan = plan_sound(sound(np.full(100, level)), SMALL, FIT)
        assert plan.config.omega_first == LOWEST and plan.segments == ()


@pytest.mark.parametrize(("steps", "count"), [(100, 3), (7, 7), (30, 12)])
def test_segments_share_all_steps(steps, count):
    parts = [share(steps, k, count) for k in range(count)]
    assert sum(parts) == steps and set(parts) <= {steps // count, -(-steps // count)}
    assert share(None, 0, count) is None


def test_segments_come_with_length_and_with_what_there_is_to_follow():
    assert plan_sound(tone(440, 1.0), SMALL, FIT).segments == ()
    noise = sound(np.random.default_rng(0).uniform(-1, 1, 8000))
    plan = plan_sound(noise, ModelChoice(params=1000), FIT)
    assert 0.6 * 8000 < plan.n_params <= 8100
    assert plan.segments == cut(8000, len(plan.segments), 160) and "segments of" in plan.notes[-1]
    long = plan_sound(sound(np.ones(2 * LARGEST_SEGMENT + 5)), SMALL, FIT)
    assert len(long.segments) == 3
    double = sound(np.ones(2 * LARGEST_SEGMENT))
    twice = plan_sound(double, SMALL, FIT)  # in two, each would be longer by its fade
    assert max(b - a for a, b in twice.segments) <= LARGEST_SEGMENT and "off by" not in str(twice.notes)
    alone = plan_sound(double, SMALL, FIT, 1)
    assert alone.segments == () and "off by up to 0.031 samples" in alone.notes[-1]
    tiny = plan_sound(noise, SMALL, FIT)  # it would take 100 networks
    assert len(tiny.segments) == 10
    with pytest.raises(ConfigError, match="steps 200: 201 segments want at least one each"):
        plan_sound(tone(440, 10.0), SMALL, FIT, 201)
    with pytest.raises(ConfigError, match="segments 30: count"):
        plan_sound(sound(np.ones(100)), SMALL, FIT, 30)


# --- measures


def test_measures_of_all_channels_and_of_each():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-1, 1, (2, 4000, 2))
    record = measure(x, target=y, gain=0.5)
    assert record["mse"] == pytest.approx(np.square(x - y).mean())
    assert record["mse_file_scale"] == pytest.approx(record["mse"] / 4)
    assert record["psnr_db"] == pytest.approx(-10 * math.log10(record["mse"]))
    assert record["snr_db"] == pytest.approx(10 * math.log10(np.square(y).sum() / np.square(x - y).sum()))
    assert [c["mse"] for c in record["channels"]] == pytest.approx(np.square(x - y).mean(0).tolist())
    assert {*record["channels"][0]} == {*record} - {"channels"}


def test_measures_of_silence_are_defined():
    zero, some = np.zeros((100, 1)), np.full((100, 1), 0.1)
    same = measure(zero, target=zero, gain=1.0)
    assert (same["mse"], same["psnr_infinite"], same["lsd_db"], same["mrstft"]) == (0, True, 0, 0)
    assert same["snr_db"] == math.inf and math.isnan(same["si_sdr_db"]) and math.isnan(same["rho_ag"])
    off = measure(some, target=zero, gain=1.0)
    assert off["psnr_db"] == pytest.approx(20) and off["snr_db"] == -math.inf and off["lsd_db"] == math.inf


def test_targets_have_mean_zero_and_variance_one():
    signal = tone(440, 0.1)
    shift, scale = AudioTask(signal, AudioOptions()).transform()
    t = (signal.values.astype(float) - shift) / scale
    assert abs(t.mean()) < 1e-6 and t.var() == pytest.approx(1)
    assert AudioTask(sound(np.full(9, 0.25)), AudioOptions()).transform() == (0.25, 1.0)


def test_another_coding_than_the_input_is_said():
    adpcm = replace(tone(440, 0.1), format=tone(440, 0.1).format | {"dtype": "IMA_ADPCM"})
    plan = AudioTask(adpcm, AudioOptions()).plan(SMALL, FIT)
    assert plan.notes[-1] == "the output is WAV PCM_16: WAV IMA_ADPCM cannot be written here"
    au = replace(tone(440, 0.1), format=tone(440, 0.1).format | {"container": "AU"})
    plan = AudioTask(au, AudioOptions()).plan(SMALL, FIT)
    assert plan.notes[-1] == "the output is WAV PCM_16: AU PCM_16 cannot be written here"
    flac = replace(tone(440, 0.1), format=tone(440, 0.1).format | {"container": "FLAC"})
    plan = AudioTask(flac, AudioOptions(subtype="FLOAT")).plan(SMALL, FIT)
    assert plan.notes[-1] == "the output is WAV FLOAT: FLAC FLOAT cannot be written here"
    assert AudioTask(tone(440, 0.1), AudioOptions()).plan(SMALL, FIT).notes == ()
    assert AudioTask(tone(440, 0.1), AudioOptions(subtype="FLOAT")).plan(SMALL, FIT).notes == ()


def test_clipping_is_counted_and_said(runner):
    loud = replace(fitted_sine(), scale=1.5)
    task = AudioTask(replace(tone(440, 0.5), format=fitted_sine().signal | {"gain": 1.0}), AudioOptions())
    done = task.evaluate(loud, runner)
    assert done.metrics["clipped_samples"] == pytest.approx(4000 * 2 * math.acos(1 / 1.5) / math.pi, abs=20)
    assert done.summary.endswith(f", {done.metrics['clipped_samples']} samples clipped")
    assert task.evaluate(fitted_sine(), runner).metrics["clipped_samples"] <= 10


# --- afterwards


@pytest.mark.parametrize("rate", [8000, 44100, 16000])
def test_playing_at_another_rate_is_the_same_function(runner, rate):
    fitted = fitted_sine()
    extract = make_extract(fitted, rate_hz=rate)
    values = play(fitted, extract, runner)
    assert len(values) == rate // 2
    moments = (np.arange(len(values)) + 0.5) / rate
    np.testing.assert_allclose(values[:, 0], np.sin(2 * np.pi * 440 * (moments - 0.25)), atol=1e-5)
    if rate == 8000:
        assert extract.grid == Grid((4000,)) and guessed_db(values, extract) is None
        np.testing.assert_array_equal(values, predict(fitted, Grid((4000,)), runner).numpy())
    else:
        broken = play(fitted_sine(441.3), extract, runner)  # it jumps from the end to the beginning
        assert guessed_db(broken, extract) < -90


def test_parts_and_speeds(runner):
    fitted = fitted_sine()
    extract = make_extract(fitted, start_s=0.1, duration_s=0.2, speed=0.5)
    values = play(fitted, extract, runner)
    assert len(values) == 3200
    moments = 0.1 + 0.5 * (np.arange(3200) + 0.5) / 8000
    np.testing.assert_allclose(values[:, 0], np.sin(2 * np.pi * 440 * (moments - 0.25)), atol=1e-5)
    assert extract.nyquist_hz == 2000


@pytest.mark.parametrize("rate", [4000, 3000, 2000])
def test_lower_rates_keep_low_tones_in_place_and_lose_high_ones(runner, rate):
    low = play(fitted_sine(200.0), make_extract(fitted_sine(200.0), rate_hz=rate), runner)[:, 0]
    moments = (np.arange(rate // 2) + 0.5) / rate
    inner = slice(40, -40)
    np.testing.assert_allclose(low[inner], np.sin(2 * np.pi * 200 * (moments - 0.25))[inner], atol=5e-3)
    high = play(fitted_sine(3400.0), make_extract(fitted_sine(3400.0), rate_hz=rate), runner)[:, 0]
    assert np.abs(high[inner]).max() < 5e-3


def test_a_part_at_a_lower_rate_is_a_part_of_the_whole(runner):
    """The filter looks beyond the part, as far as the sound goes."""
    fitted = fitted_sine(200.0)
    whole = play(fitted, make_extract(fitted, rate_hz=2000), runner)
    part = play(fitted, make_extract(fitted, rate_hz=2000, start_s=0.1, duration_s=0.2), runner)
    np.testing.assert_allclose(part, whole[200:600], atol=1e-5)
    first = play(fitted, make_extract(fitted, rate_hz=2000, duration_s=0.1), runner)
    np.testing.assert_allclose(first, whole[:200], atol=1e-5)
    fast = play(fitted, make_extract(fitted, rate_hz=3000, start_s=0.1003, duration_s=0.2, speed=2.0), runner)
    moments = 0.1003 + 2 * (np.arange(300) + 0.5) / 3000
    np.testing.assert_allclose(fast[:, 0], np.sin(2 * np.pi * 200 * (moments - 0.25)), atol=5e-3)


def test_thinning_out_keeps_constants():
    for factor in (2, 3, 4, 7):
        np.testing.assert_allclose(decimate(np.ones((factor * 50, 2)), factor), np.ones((50, 2)), atol=2e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"rate_hz": 0},
        {"rate_hz": 10**8},
        {"speed": 0.0},
        {"start_s": 0.5},
        {"duration_s": 0.6},
        {"duration_s": 1e-5},
    ],
)
def test_impossible_extracts(options):
    with pytest.raises(ConfigError):
        make_extract(fitted_sine(), **options)
    with pytest.raises(CheckpointError):
        make_extract(fitted_sine(sample_rate=0))
    with pytest.raises(CheckpointError):
        make_extract(replace(fitted_sine(), signal={}))


def test_codings():
    fitted = fitted_sine()
    extract = make_extract(fitted)
    assert choose_coding(fitted, extract, None, None) == ("WAV", "PCM_16")
    assert choose_coding(fitted, extract, ".flac", None) == ("FLAC", "PCM_16")
    assert choose_coding(fitted, extract, ".OGG", None) == ("OGG", "VORBIS")
    assert choose_coding(fitted, extract, ".opus", None) == ("OGG", "OPUS")
    assert choose_coding(fitted, extract, ".wav", "float") == ("WAV", "FLOAT")
    vorbis = fitted_sine(rate=48000, container="OGG", dtype="VORBIS")
    at48k = make_extract(vorbis)
    assert choose_coding(vorbis, at48k, ".opus", None) == ("OGG", "OPUS")
    assert choose_coding(vorbis, at48k, ".ogg", None) == ("OGG", "VORBIS")
    with pytest.raises(ConfigError, match=r"a \.flac file holds no FLOAT"):
        choose_coding(fitted, extract, ".flac", "FLOAT")
    with pytest.raises(ConfigError, match="output suffix"):
        choose_coding(fitted, extract, ".txt", None)


def test_combination_tones_of_two_and_three_factors():
    two = combination_tones([[(100.0, 1.0)], [(30.0, 0.5)]])
    assert sorted(two) == [(70.0, 0.25), (130.0, 0.25)]
    three = combination_tones([[(100.0, 1.0)], [(30.0, 1.0)], [(7.0, 1.0)]])
    assert len(three) == 3 * 2 + 4 and {t for t, s in three if s == 0.25} == {63, 77, 123, 137}


def test_combination_tones_are_the_spectrum_of_the_product():
    """Two factors of two terms each: every line of the product's spectrum, and nothing else."""
    factors = [[(10.0, 0.5), (23.0, 0.3)], [(4.0, 0.7), (55.0, 0.2)]]
    t = np.arange(1000) / 1000
    product = np.prod([1 + sum(s * np.cos(2 * np.pi * f * t) for f, s in tones) for tones in factors], 0)
    lines = 2 * np.abs(np.fft.rfft(product)) / len(t)
    expected = np.zeros_like(lines)
    expected[0] = 2
    for hertz, strength in [*factors[0], *factors[1], *combination_tones(factors)]:
        expected[round(hertz)] += strength
    np.testing.assert_allclose(lines, expected, atol=1e-12)


def lrnn_fit(n_segments=0, **options):
    options = {"rank": 6, "dbar": 2, "depth": 2, "omega_first": math.pi * 500, **options}
    config = config_class("lrnn")(**options)
    spans = cut(8000, n_segments, 20) if n_segments else ()
    members = [build("lrnn", config, n_inputs=1, n_outputs=1, seed=k) for k in range(max(1, n_segments))]
    model = Segments(members, spans, 8000) if spans else members[0]
    return Fitted("lrnn", config, model, 1, 1, 0.0, 1.0, 1.0, (8000,), "audio", tone(1, 1).format, {}, spans)


def test_learned_tones_are_those_of_the_weights():
    fitted = lrnn_fit()
    layer = fitted.model.layers[0]
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, 3, 0] = torch.tensor([0.5, -0.2])  # 250 and 100 Hz
        fitted.model.layers[1].weight[:, :, 3] *= 100
    best = learned_tones(fitted)[0]
    assert best["neuron"] == 4 and sorted(best["tones_hz"]) == pytest.approx([100, 250])
    assert sorted(best["combinations_hz"]) == pytest.approx([150, 350])
    assert len(learned_tones(lrnn_fit(3))) == 5 and learned_tones(fitted_sine()) == []


def test_tones_of_a_quiet_segment_come_last():
    fitted = lrnn_fit(2)
    with torch.no_grad():
        fitted.model.members[0].head.weight *= 1e-3
    assert {row["segment"] for row in learned_tones(fitted)} == {2}


def test_tones_of_components_of_several_terms_of_many_factors_and_of_no_sines():
    wide = learned_tones(lrnn_fit(component_width=3))[0]
    assert len(wide["tones_hz"]) == 2 * 3 and len(wide["combinations_hz"]) == 8
    many = learned_tones(lrnn_fit(dbar=16))[0]
    assert len(many["tones_hz"]) == 16 and len(many["combinations_hz"]) == 8
    assert learned_tones(lrnn_fit(sigma="tanh")) == []


def test_checkpoints_of_segments(tmp_path, runner):
    fitted = lrnn_fit(3)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(encode_fitted(fitted))
    again = load(path)
    assert again.segments == fitted.segments and isinstance(again.model, Segments)
    grid = Grid((8000,))
    torch.testing.assert_close(predict(again, grid, runner), predict(fitted, grid, runner), rtol=0, atol=0)
    path.write_bytes(encode_fitted(replace(fitted, segments=((0, 5000), (4000, 8000)))))
    with pytest.raises(CheckpointError):
        load(path)
    path.write_bytes(encode_fitted(replace(fitted, segments=((0, 5000), (6000, 7000), (6500, 8000)))))
    with pytest.raises(CheckpointError, match="spans"):
        load(path)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("lrnn", 106 * 16 * (1 + 106 + 2 * 4) + 2 * 2 * 106 + 107),  # two layers, their norms, the head
        ("siren", 2 * 256 + 3 * 256 * 257 + 257),
        ("spder", 2 * 256 + 5 * 256 * 257 + 257),
    ],
)
def test_published_settings_for_sounds(name, count):
    published = preset("paper", name, "audio")
    config = config_class(name)(**published["model"])
    assert parameters_of(name, config, 1, 1) == count
    assert (config.omega_first, config.omega_hidden) == (3000, 30)
    assert FitSettings(**published["fit"]).lstsq == ()
    assert AudioOptions(**published["audio"]).segments == 1


def test_presets_of_time():
    assert preset("best", "lrnn", "audio") == {"fit": {"time_s": 7200, "schedule": "cos:0.02"}}
    assert preset("best", "spder", "audio") == {"fit": {"time_s": 7200}}
    assert preset("best", "lrnn") == {"fit": {"time_s": 600}}
    without = {name for name, row in CATALOG.items() if row.published_sound is None}
    assert "kan" in without and not {"lrnn", "siren", "spder"} & without
