"""Every metric against closed forms, laws, a slow reference and, for SSIM, scikit-image."""

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from skimage.metrics import structural_similarity

from lrnn_cli.numerics import metrics
from tests import references

LAW = settings(deadline=None, derandomize=True, database=None, max_examples=60)
VALUES = st.floats(-100, 100, width=32)
SIGNALS = arrays(np.float64, st.integers(1, 40), elements=VALUES)
PAIRS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(arrays(np.float64, n, elements=VALUES), arrays(np.float64, n, elements=VALUES))
)
TWO_ARGUMENTS = [
    metrics.mse, metrics.max_error, metrics.rel_l2, metrics.snr, metrics.si_sdr, metrics.rho_ag
]  # fmt: skip
SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"


def noisy(shape, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    target = rng.random(shape)
    return (target + 0.1 * rng.standard_normal(shape)).astype(dtype), target.astype(dtype)


# --- mean squared error, PSNR, largest error


def test_closed_forms():
    target = np.array([[0.0, 0.5], [0.25, 1.0]])
    prediction = target + np.array([[0.1, -0.1], [0.1, -0.1]])
    assert metrics.mse(prediction, target=target) == pytest.approx(0.01, rel=1e-14)
    assert metrics.psnr(prediction, target=target, peak=1.0) == pytest.approx(20.0, rel=1e-13)
    assert metrics.psnr(255 * prediction, target=255 * target, peak=255) == pytest.approx(20.0, rel=1e-13)
    assert metrics.psnr(prediction, target=target, peak=10.0) == pytest.approx(40.0, rel=1e-13)
    assert metrics.max_error(prediction, target=target) == pytest.approx(0.1, rel=1e-14)
    assert metrics.max_error(target - [0, 3], target=target) == 3.0


def test_no_ceiling_on_psnr():
    """One part in 1e12: 240 dB, where an epsilon of 1e-8 in the logarithm would say 80."""
    assert metrics.psnr(np.full(9, 1e-12), target=np.zeros(9), peak=1.0) == pytest.approx(240, rel=1e-13)


def test_unsigned_integers_do_not_wrap_around():
    x, y = np.array([0, 250], dtype=np.uint8), np.array([255, 255], dtype=np.uint8)
    assert metrics.mse(x, target=y) == (255**2 + 5**2) / 2
    assert metrics.max_error(x, target=y) == 255
    assert metrics.snr(x, target=y) == pytest.approx(10 * math.log10(2 * 255**2 / (255**2 + 25)))


def test_float32_signals_are_summed_in_float64():
    """Adding 2^24 ones in float32 stops being exact; the mean of these is 1 to the last digit."""
    x = np.ones(2**24 + 8, dtype=np.float32)
    x[0] = 4096.0
    expected = (4096.0**2 + x.size - 1) / x.size
    assert metrics.mse(x, target=np.zeros_like(x)) == expected


@pytest.mark.parametrize(
    "shape", [(1,), (300,), (17, 23), (4, 5, 3), (metrics.BLOCK + 3,), (3, metrics.BLOCK)]
)
def test_against_the_slow_reference(shape):
    prediction, target = noisy(shape)
    assert metrics.mse(prediction, target=target) == pytest.approx(
        references.mse(prediction, target), rel=1e-12
    )
    assert metrics.psnr(prediction, target=target, peak=2.0) == pytest.approx(
        references.psnr(prediction, target, 2.0), rel=1e-12
    )
    assert metrics.snr(prediction, target=target) == pytest.approx(
        references.snr(prediction, target), rel=1e-12
    )
    assert metrics.max_error(prediction, target=target) == np.abs(prediction - target).max()
    assert metrics.rel_l2(prediction, target=target) == pytest.approx(
        np.linalg.norm((prediction - target).ravel()) / np.linalg.norm(target.ravel()), rel=1e-12
    )
    if target.size > 1:
        assert metrics.si_sdr(prediction, target=target) == pytest.approx(
            references.si_sdr(prediction, target), rel=1e-12
        )


def test_memory_order_and_views_do_not_matter():
    prediction, target = noisy((40, 30, 3))
    expected = metrics.mse(prediction, target=target)
    assert metrics.mse(np.asfortranarray(prediction), target=target) == pytest.approx(expected, rel=1e-12)
    assert metrics.ssim(np.asfortranarray(prediction), target=target, peak=1.0) == pytest.approx(
        metrics.ssim(prediction, target=target, peak=1.0), rel=1e-12
    )


@LAW
@given(PAIRS)
def test_errors_are_symmetric_and_ratios_do_not_see_the_scale(pair):
    x, y = pair
    assert metrics.mse(x, target=y) == metrics.mse(y, target=x)
    assert metrics.max_error(x, target=y) == metrics.max_error(y, target=x)
    for scale in (0.5, -4.0):  # exact powers of two
        assert metrics.mse(scale * x, target=scale * y) == scale**2 * metrics.mse(x, target=y)
        assert metrics.max_error(scale * x, target=scale * y) == abs(scale) * metrics.max_error(x, target=y)
        for metric in (metrics.rel_l2, metrics.snr):
            same = metric(scale * x, target=scale * y)
            assert same == pytest.approx(metric(x, target=y), rel=1e-12, abs=1e-12, nan_ok=True)


@LAW
@given(SIGNALS, st.integers(-8, 8).filter(bool))
def test_a_shift_by_c_gives_mse_c_squared(y, c):
    y = np.round(y)  # so that y + c is exact
    assert metrics.mse(y + c, target=y) == c * c
    assert metrics.psnr(y + c, target=y, peak=100.0) == pytest.approx(
        20 * math.log10(100 / abs(c)), rel=1e-12
    )


@LAW
@given(SIGNALS)
def test_identical_signals(y):
    assert metrics.mse(y, target=y) == 0
    assert metrics.max_error(y, target=y) == 0
    assert metrics.rel_l2(y, target=y) == 0
    assert metrics.psnr(y, target=y, peak=1.0) == math.inf
    assert metrics.snr(y, target=y) == math.inf
    if np.any(y != 0):
        assert metrics.si_sdr(y, target=y) == math.inf
        assert metrics.rho_ag(y, target=y) == pytest.approx(1.0, abs=1e-14)


@LAW
@given(PAIRS)
def test_psnr_and_mse_say_the_same(pair):
    x, y = pair
    error = metrics.mse(x, target=y)
    value = metrics.psnr(x, target=y, peak=3.0)
    assert value == math.inf if error == 0 else 9.0 / error == pytest.approx(10 ** (value / 10), rel=1e-9)


# --- sound


def test_snr_and_si_sdr_by_hand():
    y = np.array([3.0, 4.0, 0.0])
    x = y + np.array([0.0, 0.0, 0.5])  # the error is orthogonal to the target
    assert metrics.snr(x, target=y) == pytest.approx(20.0, rel=1e-13)
    assert metrics.si_sdr(x, target=y) == pytest.approx(20.0, rel=1e-13)
    assert metrics.rel_l2(x, target=y) == pytest.approx(0.1, rel=1e-13)
    assert metrics.si_sdr(7 * x, target=y) == pytest.approx(20.0, rel=1e-13)  # louder is as good
    assert metrics.snr(2 * y, target=y) == 0.0
    assert metrics.si_sdr(2 * y, target=y) == math.inf
    assert metrics.si_sdr(-x, target=y) == pytest.approx(20.0, rel=1e-13)


def test_silence():
    zero, one = np.zeros(4), np.ones(4)
    assert metrics.snr(one, target=zero) == -math.inf
    assert metrics.snr(zero, target=one) == 0.0
    assert metrics.rel_l2(one, target=zero) == math.inf
    assert metrics.si_sdr(zero, target=one) == -math.inf
    assert metrics.si_sdr(np.array([1.0, -1.0]), target=np.ones(2)) == -math.inf
    assert math.isnan(metrics.si_sdr(one, target=zero))
    assert math.isnan(metrics.rho_ag(zero, target=one))


@LAW
@given(PAIRS, st.sampled_from([0.25, 8.0, -2.0]))
def test_si_sdr_does_not_see_the_loudness(pair, scale):
    x, y = pair
    before, after = metrics.si_sdr(x, target=y), metrics.si_sdr(scale * x, target=y)
    assert after == pytest.approx(before, rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("n", [1, 2, 9, 10, 255, 256])
@pytest.mark.parametrize("channels", [None, 1, 2])
def test_rho_ag_is_the_cosine_of_the_full_spectra(n, channels):
    shape = (n,) if channels is None else (n, channels)
    prediction, target = noisy(shape)
    assert metrics.rho_ag(prediction, target=target) == pytest.approx(
        references.rho_ag(prediction, target, axes=(0,)), rel=1e-12
    )


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (7, 10), (8, 9), (7, 10, 3), (1, 1)])
def test_rho_ag_of_images(shape):
    prediction, target = noisy(shape)
    value = metrics.rho_ag(prediction, target=target, n_axes=2)
    assert value == pytest.approx(references.rho_ag(prediction, target, axes=(0, 1)), rel=1e-12)


def test_rho_ag_laws():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((2, 64))
    value = metrics.rho_ag(x, target=y)
    assert 0 < value < 1
    assert metrics.rho_ag(y, target=x) == pytest.approx(value, rel=1e-13)
    assert metrics.rho_ag(-3 * x, target=y) == pytest.approx(value, rel=1e-13)
    assert metrics.rho_ag(np.roll(x, 5), target=y) == pytest.approx(value, rel=1e-13)  # no phases
    assert metrics.rho_ag(x[::-1], target=y) == pytest.approx(value, rel=1e-13)
    # the mean is not removed: it is one more bin, and a large one
    assert metrics.rho_ag(x + 50, target=y + 50) > 0.99 > value
    # two different pure tones have nothing in common
    t = 2 * np.pi * np.arange(64) / 64
    assert metrics.rho_ag(np.sin(3 * t), target=np.sin(5 * t)) == pytest.approx(0.0, abs=1e-12)
    # interior bins count twice: mean 1 (energy n² once) and a tone (its energy in two bins)
    expected = 1 / math.sqrt(1 + 0.5)
    assert metrics.rho_ag(np.ones(64), target=1 + np.cos(3 * t)) == pytest.approx(expected, rel=1e-12)


# --- structural similarity


def oracle(prediction, target, peak):
    return structural_similarity(
        target,
        prediction,
        data_range=peak,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1 if target.ndim == 3 else None,
    )


@pytest.mark.parametrize("peak", [1.0, 255.0])
@pytest.mark.parametrize(
    "shape", [(11, 11), (11, 40), (37, 12), (64, 31, 3), (30, 45, 4), (50, 20, 1), (9000, 15)]
)
def test_ssim_equals_scikit_image(shape, peak):
    prediction, target = noisy(shape)
    prediction, target = peak * prediction, peak * target
    assert metrics.ssim(prediction, target=target, peak=peak) == pytest.approx(
        oracle(prediction, target, peak), rel=1e-11
    )


@pytest.mark.parametrize("name", ["camera256.png", "astronaut256.png"])
def test_ssim_of_photographs_equals_scikit_image(name):
    with Image.open(SAMPLES / name) as image:
        target = np.asarray(image).astype(np.float64)[:200] / 255
    prediction = np.round(8 * target) / 8
    value = metrics.ssim(prediction, target=target, peak=1.0)
    assert 0.5 < value < 1
    assert value == pytest.approx(oracle(prediction, target, 1.0), rel=1e-11)
    coarse = metrics.ssim(np.round(4 * target) / 4, target=target, peak=1.0)
    assert coarse < value


def test_ssim_equals_the_slow_reference():
    prediction, target = noisy((19, 16))
    expected = references.ssim_map(prediction, target, 1.0).mean()
    assert metrics.ssim(prediction, target=target, peak=1.0) == pytest.approx(expected, rel=1e-10)


def test_ssim_closed_forms():
    target = np.full((16, 12), 0.5)
    assert metrics.ssim(target, target=target, peak=1.0) == 1.0
    # constants have neither variance nor covariance: only the luminance term remains
    expected = (2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4)
    assert metrics.ssim(target / 2, target=target, peak=1.0) == pytest.approx(expected, rel=1e-12)
    prediction, target = noisy((20, 15, 3))
    assert metrics.ssim(target, target=target, peak=1.0) == 1.0
    forward, backward = (
        metrics.ssim(a, target=b, peak=1.0) for a, b in [(prediction, target), (target, prediction)]
    )
    assert forward == pytest.approx(backward, rel=1e-12)
    channels = [metrics.ssim(prediction[..., c], target=target[..., c], peak=1.0) for c in range(3)]
    assert forward == pytest.approx(np.mean(channels), rel=1e-13)


@pytest.mark.parametrize("shape", [(10, 50), (50, 10), (1, 50), (10, 50, 3)])
def test_ssim_is_not_defined_below_eleven_pixels(shape):
    prediction, target = noisy(shape)
    assert math.isnan(metrics.ssim(prediction, target=target, peak=1.0))


def test_memory_stays_near_that_of_the_images():
    """1500 x 1500 x 3 in float32 is 27 MB; all of it in float64, several times over, would be hundreds."""
    prediction, target = noisy((1500, 1500, 3), dtype=np.float32)
    tracemalloc.start()
    try:
        for call in (
            lambda: metrics.ssim(prediction, target=target, peak=1.0),
            lambda: metrics.psnr(prediction, target=target, peak=1.0),
            lambda: metrics.rel_l2(prediction, target=target),
        ):
            tracemalloc.reset_peak()
            call()
            assert tracemalloc.get_traced_memory()[1] < target.nbytes
    finally:
        tracemalloc.stop()


# --- what cannot be measured


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["prediction", "target"])
@pytest.mark.parametrize("metric", TWO_ARGUMENTS)
def test_nonfinite_values_come_through_without_a_warning(metric, where, bad):
    pair = {"prediction": np.ones(20), "target": np.ones(20)}
    pair[where][3] = bad
    assert not math.isfinite(metric(pair["prediction"], target=pair["target"]))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nonfinite_images(bad):
    target = np.ones((12, 12))
    prediction = target.copy()
    prediction[4, 4] = bad
    assert math.isnan(metrics.ssim(prediction, target=target, peak=1.0))
    assert not math.isfinite(metrics.psnr(prediction, target=target, peak=1.0))
    nothing = np.zeros((12, 12))
    assert math.isnan(metrics.snr(np.full((12, 12), math.nan), target=nothing))
    assert math.isnan(metrics.rel_l2(np.full((12, 12), math.nan), target=nothing))


@pytest.mark.parametrize("metric", TWO_ARGUMENTS)
@pytest.mark.parametrize(
    ("prediction", "target", "text"),
    [
        (np.zeros(3), np.zeros(4), r"expected equal shapes, got \(3,\) and \(4,\)"),
        (np.zeros((3, 1)), np.zeros(3), r"expected equal shapes, got \(3, 1\) and \(3,\)"),
        (np.zeros(0), np.zeros(0), r"prediction: expected at least one value, got shape \(0,\)"),
        (np.zeros(3), np.zeros(3, dtype=complex), "target: expected real numbers, got dtype complex128"),
    ],
)
def test_what_is_no_pair_of_signals_is_refused(metric, prediction, target, text):
    with pytest.raises(ValueError, match=text):
        metric(prediction, target=target)


@pytest.mark.parametrize("peak", [0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim])
def test_a_peak_is_positive(metric, peak):
    with pytest.raises(ValueError, match=f"^peak: expected a positive finite number, got {peak}$"):
        metric(np.zeros((12, 12)), target=np.zeros((12, 12)), peak=peak)


def test_axes_must_fit_the_metric():
    with pytest.raises(ValueError, match=r"expected shape \(h, w\) or \(h, w, c\), got \(12,\)"):
        metrics.ssim(np.zeros(12), target=np.zeros(12), peak=1.0)
    with pytest.raises(ValueError, match=r"expected n_axes \(1\) axes or one more, got shape \(2, 3, 4\)"):
        metrics.rho_ag(np.zeros((2, 3, 4)), target=np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match=r"expected n_axes \(0\) axes or one more, got shape \(2,\)"):
        metrics.rho_ag(np.zeros(2), target=np.zeros(2), n_axes=0)


def test_arguments_cannot_be_swapped_by_accident():
    with pytest.raises(TypeError):
        metrics.psnr(np.zeros(3), np.ones(3), 1.0)
