"""Domains: measure, inside, normals, masks; and the polygons that are none."""

import math

import pytest
import torch
from pydantic import ValidationError

from lrnn_cli.numerics.domains import Annulus, Box, Disc, Domain, Polygon
from lrnn_cli.numerics.jets import nested
from lrnn_cli.numerics.polygons import triangles
from lrnn_cli.numerics.shape import Shape

DOMAINS: list[Domain] = [
    Box(lower=(-1.0,), upper=(2.0,)),
    Box(lower=(0.0, 1.0), upper=(2.0, 4.0)),
    Box(lower=(0.0,) * 3, upper=(1.0, 2.0, 3.0)),
    Box(lower=(0.0,) * 5, upper=(2.0,) * 5),
    Disc(centre=(1.0, 2.0), radius=2.0),
    Annulus(centre=(0.5, 0.0), inner=0.5, outer=1.0),
    Polygon(),
    Polygon(vertices=((0, 0), (0, 1), (2, 1))),
]


@pytest.mark.parametrize("domain", DOMAINS, ids=repr)
def test_quadrature_and_boundary(domain: Domain) -> None:
    points, weights = domain.quadrature(900)
    assert float(weights.sum()) == pytest.approx(domain.volume, rel=1e-12)
    assert domain.inside(points).all()
    where = domain.boundary(200)
    d = points.shape[1]
    torch.testing.assert_close(where.normals.norm(dim=1), torch.ones(len(where.points), dtype=torch.float64))
    assert domain.inside(where.points - 1e-6 * where.normals).all()
    assert not domain.inside(where.points + 1e-6 * where.normals).any()
    # divergence theorem for the field x: ∫ div x = d |Ω| = ∮ x·n; Sobol faces of a box are exact, too
    flux = (where.weights * (where.points * where.normals).sum(1)).sum()
    assert float(flux) == pytest.approx(d * domain.volume, rel=1e-9)
    assert set(where.side.tolist()) == set(range(len(domain.sides)))


@pytest.mark.parametrize("domain", DOMAINS, ids=repr)
def test_masks_vanish_on_the_boundary_alone(domain: Domain) -> None:
    points = domain.heldout(100, 3)
    mask = domain.mask(points)
    if mask is None:
        assert points.shape[1] > 3 or domain.kind == "polygon"
        return
    reference = nested(lambda x: domain.mask(x).value, points)  # type: ignore[union-attr]
    torch.testing.assert_close(mask.laplacian, reference.laplacian)
    torch.testing.assert_close(mask.gradient, reference.gradient)
    assert (mask.value > 0).all()
    edge = domain.mask(domain.boundary(100).points)
    assert edge is not None
    assert float(edge.value.abs().max()) < 1e-14


def test_l_shape_has_one_reentrant_corner_and_four_triangles() -> None:
    (corner,) = Polygon().reentrant()
    assert corner.vertex == (0.0, 0.0)
    assert corner.angle == pytest.approx(1.5 * math.pi)
    assert len(triangles(Polygon().vertices)) == 4


def test_orientation_does_not_matter() -> None:
    forward = ((0.0, 0.0), (2.0, 0.0), (1.0, 1.0))
    backward = (forward[0], forward[2], forward[1])
    assert Polygon(vertices=forward) == Polygon(vertices=backward)


@pytest.mark.parametrize(
    ("vertices", "message"),
    [
        ((), "at least 3"),
        (((0, 0), (1, 1)), "at least 3"),
        (((0, 0), (1, 1), (2, 2)), "on one line"),
        (((0, 0), (1, 1), (1, 0), (0, 1)), "cross or touch"),
        (((0, 0), (1, 0), (0, 0), (1, 1)), "given twice"),
        (((0, 0), (1, 0), (math.nan, 1)), "finite"),
    ],
)
def test_polygons_that_are_none(vertices: tuple[tuple[float, float], ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Polygon(vertices=vertices)


def test_a_polygon_may_lie_anywhere() -> None:
    corners = ((0.0, 0.0), (0.25, 0.0), (0.0, 0.25))
    here, far = (Polygon(vertices=tuple((x + by, y + by) for x, y in corners)) for by in (0.0, 4e5))
    assert far.volume == here.volume == 0.25**2 / 2
    assert far.inside(here.heldout(50, 0) + 4e5).all()
    assert float(far.quadrature(100)[1].sum()) == pytest.approx(far.volume, rel=1e-9)
    with pytest.raises(ValidationError, match="on one line"):
        Polygon(vertices=((4e5, 4e5), (4e5 + 1, 4e5 + 1), (4e5 + 2, 4e5 + 2)))


def test_other_shapes_that_are_none() -> None:
    with pytest.raises(ValidationError, match="lower < upper"):
        Box(lower=(0.0, 0.0), upper=(1.0, 0.0))
    with pytest.raises(ValidationError, match="as many"):
        Box(lower=(0.0,), upper=(1.0, 1.0))
    with pytest.raises(ValidationError, match="inner < outer"):
        Annulus(inner=2.0, outer=1.0)
    with pytest.raises(ValidationError):
        Disc(radius=-1.0)


def test_a_vertex_amid_an_edge_changes_no_mask() -> None:
    """The square of a distance would keep the slope at 0 there."""
    plain = Polygon(vertices=((0, 0), (2, 0), (2, 1), (0, 1)))
    more = Polygon(vertices=((1, 0), (2, 0), (2, 1), (0, 1), (0, 0.5), (0, 0)))
    points = plain.heldout(50, 0)
    one, two = plain.mask(points), more.mask(points)
    assert one is not None and two is not None
    torch.testing.assert_close(two.value, one.value)
    torch.testing.assert_close(two.gradient, one.gradient)


def test_rules_for_measuring_share_no_random_points_with_those_for_solving() -> None:
    high = Box(lower=(0.0,) * 5, upper=(1.0,) * 5)
    trained = {tuple(p) for p in high.quadrature(200)[0].tolist()}
    measured, weights = high.heldout_quadrature(400, 7)
    assert not trained & {tuple(p) for p in measured.tolist()} and float(weights.sum()) == pytest.approx(1)
    edge = {tuple(p) for p in high.boundary(300).points.tolist()}
    assert not edge & {tuple(p) for p in high.heldout_boundary(300, 7).points.tolist()}


@pytest.mark.parametrize("domain", [d for d in DOMAINS if isinstance(d, Box | Disc | Annulus)], ids=repr)
@pytest.mark.parametrize("n", [81, 100])
def test_rules_for_measuring_have_nodes_of_their_own(domain: Box | Disc | Annulus, n: int) -> None:
    solved = {tuple(p) for p in domain.quadrature(n)[0].tolist()}
    points, weights = domain.heldout_quadrature(n, 7)
    assert not solved & {tuple(p) for p in points.tolist()}
    assert domain.inside(points).all()
    assert float(weights.sum()) == pytest.approx(domain.volume)
    middle = [(a + b) / 2 for a, b in zip(*domain.bounds(), strict=True)]
    if points.shape[1] <= 3:  # beyond, points are drawn
        torch.testing.assert_close(
            (weights[:, None] * points).sum(0) / weights.sum(), weights.new_tensor(middle)
        )


def test_a_shape_has_to_define_itself() -> None:
    bare = Shape()
    with pytest.raises(TypeError, match="Shape defines no bounds"):
        bare.bounds()
    with pytest.raises(TypeError, match="Shape defines no inside"):
        bare.inside(torch.zeros(1, 2))
    with pytest.raises(TypeError, match="Shape defines no quadrature"):
        bare.heldout_quadrature(10, 0)
    with pytest.raises(TypeError, match="Shape defines no boundary"):
        bare.heldout_boundary(10, 0)
