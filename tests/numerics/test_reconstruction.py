"""FBP, SART, SIRT and total variation: scale, oracles, laws."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from skimage.transform import iradon_sart

from lrnn_cli.numerics.fbp import FILTERS, fbp, filtered, frequency_response, view_weights
from lrnn_cli.numerics.phantoms import BLOBS, SHEPP_LOGAN, Ellipse, bin_sinogram, raster, sinogram
from lrnn_cli.numerics.projection import Geometry, Projector, default_bins
from lrnn_cli.numerics.sart import sart, sirt
from lrnn_cli.numerics.total_variation import gradient, gradient_adjoint, objective, tv, weight_scale

FAN = {"source_distance": 150.0, "detector_distance": 100.0}


def half_turn(n_views: int) -> np.ndarray:
    return np.arange(n_views) * math.pi / n_views


def rms(error: torch.Tensor | np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(error)))))


def block(size: int = 48) -> torch.Tensor:
    image = torch.zeros(size, size)
    image[16:36, 12:32] = 1
    return image


@pytest.mark.parametrize("pixel_size", [0.8, 1.0, 1.25])
@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("method", ["fbp", "sart", "sirt", "tv"])
def test_a_block_of_ones_comes_back_as_ones(pixel_size: float, fan: bool, method: str) -> None:
    beam = FAN if fan else {}
    n_bins = default_bins(48, pixel_size, 1.0, **beam)
    geometry = Geometry(48, half_turn(40) * (2 if fan else 1), n_bins, pixel_size, **beam)
    projector = Projector(geometry)
    data = Projector(geometry, "strip").forward(block())
    match method:
        case "fbp":
            image = fbp(data, geometry)
        case "sart":
            image = sart(projector, data, 5)
        case "sirt":
            image = sirt(projector, data, 60)
        case "tv":
            image = tv(projector, data, 1e-3 * weight_scale(projector, data), 60)
    assert float(image[20:32, 16:28].mean()) == pytest.approx(1, abs=0.05)
    assert float(image[2:10, 2:10].mean()) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("size", [127, 128])
@pytest.mark.parametrize("odd", [0, 1])
@pytest.mark.parametrize("center", [None, 87.3])
def test_fbp_of_smooth_blobs(size: int, odd: int, center: float | None) -> None:
    geometry = Geometry(size, half_turn(180), default_bins(size) + odd, center=center)
    image = fbp(torch.as_tensor(sinogram(BLOBS, geometry)), geometry).numpy()
    assert rms(image - raster(BLOBS, size)) < 3e-3


def test_fbp_does_not_mind_the_list_of_angles() -> None:
    even = half_turn(90)
    generator = np.random.default_rng(0)
    lists = [
        generator.permutation(even),
        np.concatenate([even, even[:30]]),  # some twice
        np.concatenate([even, even + math.pi]),  # a full turn: every line twice
        even + generator.uniform(-0.3, 0.3, 90) * even[1],
        -even + 4 * math.pi,
    ]
    for angles in lists:
        geometry = Geometry(64, angles, 91)
        image = fbp(torch.as_tensor(sinogram(BLOBS, geometry)), geometry, "hann").numpy()
        assert rms(image - raster(BLOBS, 64)) < 1.2e-2
        assert view_weights(geometry.theta).sum() == pytest.approx(math.pi)
    # of a missing wedge no view is made to stand for all of it
    assert view_weights(np.radians(np.arange(120.0))).max() == pytest.approx(math.radians(1))
    assert view_weights(np.array([0.3])) == pytest.approx([math.pi])


@pytest.mark.parametrize("turn", [1.0, 0.65, 0.8])
def test_fan_fbp_with_full_and_short_scans(turn: float) -> None:
    angles = 0.4 + np.arange(round(240 * turn)) * 2 * math.pi / 240
    geometry = Geometry(64, angles, default_bins(64, **FAN), **FAN)
    image = fbp(torch.as_tensor(sinogram(BLOBS, geometry)), geometry).numpy()
    assert rms(image - raster(BLOBS, 64)) < 1.2e-2


def test_filters() -> None:
    for name in FILTERS:
        response = frequency_response(512, name)
        assert response[1] == pytest.approx(1 / 512, rel=0.05)
        assert 0 < response[0] < 1e-3
    last = [frequency_response(512, name)[-1] for name in FILTERS]
    np.testing.assert_allclose(last, [0.5, 0.5 * np.sinc(0.5), 0, 0.04, 0], atol=1e-3)
    impulse = torch.zeros(31, dtype=torch.float64)
    impulse[15] = 1
    q = filtered(impulse, 2.0)
    m = np.arange(31) - 15
    exact = np.where(m == 0, 1 / 8, np.where(m % 2 == 0, 0, -1 / (2 * (math.pi * np.where(m, m, 1)) ** 2)))
    np.testing.assert_allclose(q.numpy(), exact, atol=1e-12)
    with pytest.raises(ValueError, match="filter: expected ramp, shepp-logan, cosine, hamming, hann, got x"):
        frequency_response(8, "x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sinogram: expected shape"):
        fbp(torch.zeros(3, 3), Geometry(8, [0.0], 12))


def test_fbp_and_sart_are_at_least_as_good_as_scikit_image() -> None:
    from skimage.transform import iradon

    n, n_views = 65, 60  # odd: scikit-image turns about pixel n // 2, which is then the middle
    truth = raster([Ellipse(1.0, 0.5, 0.7, 0.1, 0.0, 0.3), Ellipse(-0.4, 0.2, 0.1, 0.1, 0.2)], n)
    geometry = Geometry(n, half_turn(n_views), n)
    ellipses = [Ellipse(1.0, 0.5, 0.7, 0.1, 0.0, 0.3), Ellipse(-0.4, 0.2, 0.1, 0.1, 0.2)]
    data = bin_sinogram(ellipses, geometry)
    degrees = np.degrees(geometry.theta)
    for name in FILTERS:
        theirs = iradon(data.T, degrees, filter_name=name, circle=True)
        ours = fbp(torch.as_tensor(data), geometry, name).numpy()
        inside = np.hypot(*np.mgrid[-32:33, -32:33]) < 30
        np.testing.assert_allclose(ours[inside], theirs[inside], atol=0.03)
        assert rms(ours[inside] - truth[inside]) <= 1.02 * rms(theirs[inside] - truth[inside])
    theirs_error, ours_error = [], []
    for relaxation in (0.15, 0.3, 0.5):
        theirs = None
        for _ in range(5):
            theirs = iradon_sart(data.T, degrees, image=theirs, relaxation=relaxation, clip=(0, 10))
        theirs_error.append(rms(theirs - truth))
    for relaxation in (0.3, 0.5, 1.0):
        ours = sart(Projector(geometry, dtype=torch.float64), torch.as_tensor(data), 5, relaxation)
        ours_error.append(rms(ours.numpy() - truth))
    assert min(ours_error) <= 1.02 * min(theirs_error)


def test_sart_and_sirt_solve_consistent_systems_and_obey_their_arguments() -> None:
    geometry = Geometry(12, half_turn(30), 17)
    projector = Projector(geometry, dtype=torch.float64)
    truth = torch.rand(12, 12, dtype=torch.float64)
    data = projector.forward(truth)
    assert rms(sart(projector, data, 100) - truth) < 0.06
    assert rms(sirt(projector, data, 200) - truth) < 0.1
    assert float(sart(projector, -data, 2).max()) == 0
    assert float(sirt(projector, -data, 2, nonnegative=False).max()) < 0
    torch.testing.assert_close(sirt(projector, data, 3, start=truth), truth)
    seen: list[int] = []
    sart(projector, data, 9, callback=lambda k, _: seen.append(k) or k == 4)
    assert seen == [1, 2, 3, 4]
    # a factor of the weights changes nothing, a ray of no weight is not listened to
    weights = torch.rand(data.shape, dtype=torch.float64) + 0.1
    for method in (sart, sirt):
        one, other = (method(projector, data, 5, weights=w) for w in (weights, 7 * weights))
        torch.testing.assert_close(one, other)
        broken = data.clone()
        broken[:, ::5] = 1e3
        mended = torch.ones_like(data)
        mended[:, ::5] = 0
        assert rms(method(projector, broken, 100, weights=mended) - truth) < 0.15
    with pytest.raises(ValueError, match="iterations: expected at least 1, got 0"):
        sart(projector, data, 0)
    with pytest.raises(ValueError, match="relaxation: expected a number between 0 and 2, got 2"):
        sirt(projector, data, 1, 2.0)
    with pytest.raises(ValueError, match="start: expected shape"):
        sirt(projector, data, 1, start=torch.zeros(3, 3))


def test_gradient_and_its_adjoint() -> None:
    x, q = torch.rand(7, 7, dtype=torch.float64), torch.rand(2, 7, 7, dtype=torch.float64)
    assert float((gradient(x) * q).sum()) == pytest.approx(float((x * gradient_adjoint(q)).sum()), abs=1e-12)
    assert not gradient(torch.ones(3, 3)).any()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("lam", [0.05, 1.0])
def test_tv_against_an_independent_solver(weighted: bool, lam: float) -> None:
    # smoothed total variation by a quasi-Newton method with bounds, on numpy arrays
    n, generator = 8, np.random.default_rng(0)
    geometry = Geometry(n, half_turn(5), 12)
    projector = Projector(geometry, dtype=torch.float64)
    matrix = projector.matrix().toarray()
    truth = np.zeros((n, n))
    truth[2:6, 1:5] = 1
    b = matrix @ truth.ravel() + generator.normal(0, 0.1, len(matrix))
    w = generator.uniform(0.01, 3, len(b)) if weighted else np.ones(len(b))
    smooth = 3e-5

    def energy(x: np.ndarray) -> tuple[float, np.ndarray]:
        image, r = x.reshape(n, n), matrix @ x - b
        down, right = np.zeros((n, n)), np.zeros((n, n))
        down[:-1], right[:, :-1] = np.diff(image, axis=0), np.diff(image, axis=1)
        length = np.sqrt(down**2 + right**2 + smooth**2)
        slope = np.zeros((n, n))
        for part, axis in ((down / length, 0), (right / length, 1)):
            slope -= part
            slope += np.roll(part, 1, axis)  # the last row and column of a part are 0
        value = 0.5 * np.sum(w * r**2) + lam * length.sum()
        return float(value), matrix.T @ (w * r) + lam * slope.ravel()

    slow = minimize(
        energy,
        np.full(n * n, 0.2),
        jac=True,
        bounds=[(0, None)] * (n * n),
        method="L-BFGS-B",
        options={"maxiter": 6000, "maxfun": 12000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 50},
    )
    data, weights = torch.as_tensor(b.reshape(5, 12)), torch.as_tensor(w.reshape(5, 12))
    fast = tv(projector, data, lam, 1500, weights=weights if weighted else None)
    value = objective(projector, fast, data, lam, weights if weighted else None)
    assert value <= slow.fun * (1 + 1e-4)
    np.testing.assert_allclose(fast.numpy().ravel(), slow.x, atol=5e-3)


def test_tv_limits_and_arguments() -> None:
    geometry = Geometry(24, half_turn(30), 34, pixel_size=0.1, detector_spacing=0.1)
    projector = Projector(geometry)
    data = projector.forward(10 * torch.rand(24, 24))
    scale = weight_scale(projector, data)
    flat = tv(projector, data, 10 * scale, 300)
    assert float(flat.std()) < 0.03 * float(flat.mean())
    assert float(tv(projector, -data, 0.01 * scale, 20).max()) == 0
    assert float(tv(projector, -data, 0.01 * scale, 20, nonnegative=False).max()) < 0
    # neither the unit of length nor that of the data matters, if λ is stated relative to the scale
    other = Projector(Geometry(24, half_turn(30), 34))
    image = tv(projector, data, 1e-3 * scale, 30)
    twin = tv(other, 3 * data, 1e-3 * weight_scale(other, 3 * data), 30)
    torch.testing.assert_close(10 * twin / 3, image, rtol=1e-3, atol=1e-2)
    seen: list[int] = []
    tv(projector, data, 1e-3 * scale, 9, callback=lambda k, _: seen.append(k) or k == 4)
    assert seen == [1, 2, 3, 4]
    assert not tv(projector, torch.zeros_like(data), 1.0, 3).any()
    assert not tv(projector, data, 1.0, 3, weights=torch.zeros_like(data), start=torch.zeros(24, 24)).any()
    with pytest.raises(ValueError, match="weight: expected a positive number, got 0"):
        tv(projector, data, 0.0)
    with pytest.raises(ValueError, match="iterations: expected at least 1, got 0"):
        tv(projector, data, 1.0, 0)
    with pytest.raises(ValueError, match="weights: expected shape"):
        tv(projector, data, 1.0, weights=torch.ones(3))


def test_fbp_start_is_sharp_enough_for_few_steps() -> None:
    """Fifty filtered steps are within 2 % of the objective of six hundred."""
    geometry = Geometry(64, half_turn(20), 91)
    projector = Projector(geometry)
    data = projector.forward(torch.as_tensor(raster(SHEPP_LOGAN, 64), dtype=torch.float32))
    lam = 1e-3 * weight_scale(projector, data)
    values = [objective(projector, tv(projector, data, lam, k), data, lam) for k in (50, 600)]
    assert values[0] < 1.02 * values[1]
