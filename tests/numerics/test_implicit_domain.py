"""Domains given by a function: area, boundary and mask against closed forms."""

import math

import pytest
import torch
from pydantic import ValidationError

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics import implicit_domain
from lrnn_cli.numerics.domains import Disc, Implicit
from lrnn_cli.objectives.poisson import ProblemConfig

ELLIPSE = Implicit(expression="x^2/4 + y^2 - 1", lower=(-2.2, -1.3), upper=(2.2, 1.2))
CIRCLE = Implicit(expression="sqrt(x^2 + y^2) - 1", lower=(-1.5, -1.5), upper=(1.5, 1.5))
RING = Implicit(expression="abs(sqrt(x^2 + y^2) - 1) - 0.25", lower=(-1.5, -1.5), upper=(1.5, 1.5))


def test_area_and_length() -> None:
    assert ELLIPSE.volume == pytest.approx(2 * math.pi, rel=1e-5)
    assert CIRCLE.volume == pytest.approx(math.pi, rel=1e-5)
    assert RING.volume == pytest.approx(math.pi, rel=1e-3)
    assert float(RING.boundary(500).weights.sum()) == pytest.approx(4 * math.pi, rel=2e-2)


@pytest.mark.parametrize("domain", [ELLIPSE, CIRCLE, RING], ids=["ellipse", "circle", "ring"])
def test_boundary(domain: Implicit) -> None:
    where = domain.boundary(200)
    assert 120 < len(where.points) < 320
    torch.testing.assert_close(where.normals.norm(dim=1), torch.ones(len(where.points), dtype=torch.float64))
    size = 1e-6
    assert bool(domain.inside(where.points - size * where.normals).all())
    assert not bool(domain.inside(where.points + size * where.normals).any())
    assert float(where.weights.max()) < 2 * float(where.weights.min())


def test_quadrature() -> None:
    points, weights = ELLIPSE.quadrature(4000)
    assert bool(ELLIPSE.inside(points).all())
    moment = float((weights * points[:, 0] ** 2).sum())
    assert moment == pytest.approx(math.pi * 2**3 / 4, rel=1e-4)


def test_the_mask_vanishes_on_the_boundary_and_needs_a_smooth_function() -> None:
    mask = ELLIPSE.mask(ELLIPSE.boundary(100).points)
    assert mask is not None
    assert float(mask.value.abs().max()) < 1e-12
    inside = ELLIPSE.mask(ELLIPSE.heldout(100, 0))
    assert inside is not None and bool((inside.value > 0).all())
    assert CIRCLE.mask(CIRCLE.heldout(3, 0)) is None
    for rough in ("(x^2 + y^2)^0.5 - 1", "(x^2 + y^2)^(1/2) - 1", "x^2 + y^2 - 1 + (x > 2)"):
        domain = Implicit(lower=(-1.5, -1.5), upper=(1.5, 1.5), expression=rough)
        assert domain.mask(domain.heldout(3, 0)) is None, rough
    flat = Implicit(expression="(x^2 + y^2 - 1)^3", lower=(-1.5, -1.5), upper=(1.5, 1.5))
    assert flat.mask(flat.heldout(3, 0)) is None


def test_it_is_one_of_the_domains_of_a_problem() -> None:
    data = {"kind": "implicit", "expression": "x^2 + y^2 - 1", "lower": (-2, -2), "upper": (2, 2)}
    config = ProblemConfig(domain=data, f="1")
    assert isinstance(config.domain, Implicit)
    assert config.domain.volume == pytest.approx(Disc().volume, rel=1e-5)


@pytest.mark.parametrize(
    ("expression", "upper", "message"),
    [
        ("x^2 + y^2 - 1", (0.5, 2.0), "reaches beyond its bounding box"),
        ("x^2 + y^2 + 1", (2.0, 2.0), "the domain is empty"),
        ("1/0 - x", (2.0, 2.0), "not finite"),
        ("x^2 + q", (2.0, 2.0), "unknown name 'q'"),
        ("x - 1", (-3.0, 2.0), "expected lower < upper"),
    ],
)
def test_what_is_no_domain(expression: str, upper: tuple[float, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Implicit(expression=expression, lower=(-2.0, -2.0), upper=upper)


STRIP = "(x - 0.503)^2*1e6 + y^2*0.3 - 0.1"


def test_a_domain_between_the_grid_lines_is_refused() -> None:
    with pytest.raises(
        ValidationError, match="implicit: too thin, no grid line at 512 steps meets the domain"
    ):
        Implicit(expression=STRIP, lower=(-1.0, -1.0), upper=(1.0, 1.0))
    # every way to look at one says the same
    strip = Implicit.model_construct(expression=STRIP, lower=(-1.0, -1.0), upper=(1.0, 1.0))
    for look in (strip.boundary, strip.quadrature):
        with pytest.raises(ConfigError, match="implicit: too thin, no grid line"):
            look(400)
    # along y lines meet this one, along x they do not
    wider = Implicit.model_construct(
        expression="(x - 0.5058)^2*4e4 + y^2*0.3 - 0.1", lower=(-1.0, -1.0), upper=(1.0, 1.0)
    )
    assert implicit_domain._extent(wider)[0] < -0.5
    with pytest.raises(ConfigError, match="implicit: too thin, no grid line"):
        wider.quadrature(400)
