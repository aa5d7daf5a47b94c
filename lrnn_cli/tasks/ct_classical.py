"""The classical methods of a run, each with what it had to choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.numerics.choice import choose_sart, choose_tv
from lrnn_cli.numerics.fbp import fbp
from lrnn_cli.numerics.projection import Projector
from lrnn_cli.numerics.sart import sart, sirt
from lrnn_cli.numerics.total_variation import tv, weight_scale
from lrnn_cli.tasks.ct_choice import FEWEST, Halted
from lrnn_cli.tasks.ct_scan import Scan
from lrnn_cli.tasks.ct_settings import MethodSettings

# where nothing tells: too few views to hold any out, and no counts
USUAL_TV = 1e-4
USUAL_ITERATIONS = {"sart": 10, "sirt": 100}


@dataclass(frozen=True)
class Classical:
    """An image u, (n, n), and what was chosen for it."""

    image: Tensor
    about: dict[str, Any] = field(default_factory=dict)


class ClassicalRun:
    """The classical methods on one scan.

    Attributes:
        data: sinogram, (views, bins).
        weights: inverse variances where counts are known, else None.
        is_tellable: whether strengths can be chosen by the data: by views held out, or with fewer than six
            views by the noise of the counts.
    """

    def __init__(
        self, scan: Scan, projector: Projector, settings: MethodSettings, should_stop: Callable[[], bool]
    ) -> None:
        """Take scan, operator and settings."""
        self.scan, self.projector, self.settings, self.should_stop = scan, projector, settings, should_stop
        self.data = torch.from_numpy(scan.sinogram).to(projector.device, projector.dtype)
        self.weights = None if scan.weights is None else torch.from_numpy(scan.weights).to(self.data)
        self._few = scan.geometry.n_views < FEWEST
        self.is_tellable = not self._few or self.weights is not None

    def run(self, name: str) -> Classical:
        """Reconstruct by fbp, sart, sirt or tv.

        Returns:
            The image and what was chosen.

        Raises:
            Halted: when asked to stop on the way.
        """
        if name == "fbp":
            image = fbp(self.data, self.scan.geometry, self.settings.filter).clamp_min(0)
            return Classical(image, {"filter": self.settings.filter})
        return self.tv() if name == "tv" else self._iterate(name)

    def _watch(self, _: int, image: Tensor) -> None:
        if self.should_stop():
            raise Halted

    def _iterate(self, name: str) -> Classical:
        asked = self.settings.iterations
        if asked == "auto" and self.is_tellable:
            found = choose_sart(
                self.projector, self.data, self.weights, self._few, method=name, callback=self._watch
            )
            return Classical(found.image, {"iterations": int(found.setting), "chosen_by": found.rule})
        iterations = USUAL_ITERATIONS[name] if asked == "auto" else int(asked)
        method = sart if name == "sart" else sirt
        image = method(self.projector, self.data, iterations, weights=self.weights, callback=self._watch)
        return Classical(image, {"iterations": iterations, "chosen_by": _by(asked)})

    def tv(self) -> Classical:
        """Reconstruct with total variation.

        Returns:
            The image, and the weight with how it was chosen.

        Raises:
            Halted: when asked to stop on the way.
        """
        asked = self.settings.tv
        scale = weight_scale(self.projector, self.data, self.weights)
        if asked == "auto" and self.is_tellable:
            found = choose_tv(self.projector, self.data, self.weights, self._few, callback=self._watch)
            weight, image, by = found.setting, found.image, found.rule
        else:
            weight, by = scale * (USUAL_TV if asked == "auto" else float(asked)), _by(asked)
            image = tv(self.projector, self.data, weight, weights=self.weights, callback=self._watch)
        return Classical(image, {"weight": weight, "weight_relative": weight / scale, "chosen_by": by})


def _by(asked: float | str) -> str:
    return "default" if asked == "auto" else "asked for"
