"""Finite elements on every kind of plane domain: third order, Neumann sides, values between the nodes."""

import numpy as np
import pytest

from lrnn_cli.numerics import finite_elements as fem
from lrnn_cli.numerics.domains import Annulus, Box, Disc, Domain, Polygon
from lrnn_cli.numerics.implicit_domain import Implicit
from lrnn_cli.numerics.triangle_meshes import quadratic_mesh

DOMAINS: dict[str, Domain] = {
    "box": Box(lower=(0.0, 1.0), upper=(2.0, 2.0)),
    "disc": Disc(centre=(1.0, 0.5), radius=0.7),
    "annulus": Annulus(inner=0.4, outer=1.0),
    "l-shape": Polygon(),
    "triangle": Polygon(vertices=((0.0, 0.0), (2.0, 0.0), (1.0, 1.0))),
    "ellipse": Implicit(expression="x^2/4+y^2-1", lower=(-2.2, -1.3), upper=(2.2, 1.3)),
}


def exact(p: np.ndarray) -> np.ndarray:
    return np.sin(2 * p[:, 0]) * np.exp(p[:, 1])


def gradient(p: np.ndarray) -> np.ndarray:
    return np.stack([2 * np.cos(2 * p[:, 0]), np.sin(2 * p[:, 0])], 1) * np.exp(p[:, 1:])


def ones(p: np.ndarray) -> np.ndarray:
    return np.ones(len(p))


DIRICHLET = fem.Conditions(lambda p: np.ones(len(p), bool), exact, lambda p, n: np.zeros(len(p)))


def error(domain: Domain, n: int, conditions: fem.Conditions, c: float = 0.0) -> float:
    def f(p: np.ndarray) -> np.ndarray:
        return (3 + c) * exact(p)

    found = fem.solve(domain, n, f, ones, lambda p: c * ones(p), conditions)
    points = domain.heldout(500, 3).numpy()
    gap = found.at(points) - exact(points)
    return float(np.linalg.norm(gap) / np.linalg.norm(exact(points)))


@pytest.mark.parametrize("name", DOMAINS)
def test_the_error_falls_with_the_third_power_of_the_mesh_width(name: str) -> None:
    domain = DOMAINS[name]
    coarse, fine = error(domain, 100, DIRICHLET), error(domain, 1600, DIRICHLET)
    assert fine < 1e-4
    assert fine < coarse / 25  # the mesh width falls to a quarter: 64 times where all is smooth


def test_slopes_on_one_circle() -> None:
    domain = Annulus(inner=0.4, outer=1.0)
    conditions = fem.Conditions(lambda p: np.hypot(*p.T) > 0.7, exact, lambda p, n: (gradient(p) * n).sum(1))
    assert error(domain, 1000, conditions) < 1e-4
    wrong = fem.Conditions(conditions.is_dirichlet, exact, lambda p, n: -(gradient(p) * n).sum(1))
    assert error(domain, 1000, wrong) > 1e-2


def test_a_free_constant_is_fixed_by_the_mean() -> None:
    def wave(p: np.ndarray) -> np.ndarray:
        return np.cos(np.pi * p[:, 0])

    conditions = fem.Conditions(lambda p: np.zeros(len(p), bool), wave, lambda p, n: 0 * ones(p), mean=5.0)
    found = fem.solve(Box(), 300, lambda p: np.pi**2 * wave(p), ones, lambda p: 0 * ones(p), conditions)
    points = Box().heldout(100, 1).numpy()
    np.testing.assert_allclose(found.at(points), wave(points) + 5.0, atol=1e-4)


def test_midpoints_of_outer_edges_lie_on_the_boundary() -> None:
    mesh = quadratic_mesh(Disc(), 100)
    outer = mesh.dofs.get_facet_dofs(mesh.boundary_facets()).flatten()
    np.testing.assert_allclose(np.hypot(*mesh.doflocs[:, outer]), 1.0, rtol=1e-14)


def test_points_far_from_the_mesh_have_no_value() -> None:
    found = fem.solve(Disc(), 100, exact, ones, lambda p: 0 * ones(p), DIRICHLET)
    assert np.isnan(found.at(np.array([[9.0, 9.0]]))).all()
    assert found.at(np.zeros((0, 2))).shape == (0,)


def test_what_cannot_be_meshed_is_refused() -> None:
    flower = Implicit(expression="r-0.6-0.3*sin(5*theta)", lower=(-1.0, -1.0), upper=(1.0, 1.0))
    with pytest.raises(ValueError, match="expected a domain in the plane"):
        quadratic_mesh(Box(lower=(0.0,), upper=(1.0,)), 100)
    with pytest.raises(ValueError, match="the boundary is too fine for"):
        quadratic_mesh(flower, 12)


def test_a_singular_system_is_refused() -> None:
    with pytest.raises(ValueError, match="the system is singular"):
        fem.solve(Disc(), 50, exact, lambda p: 0 * ones(p), lambda p: 0 * ones(p), DIRICHLET)
