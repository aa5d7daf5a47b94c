"""`reconstruct-ct`: few views become a slice, by several methods, each with the figures that judge it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.device import resolve_device, resolve_threads
from lrnn_cli.fitting.loop import Step
from lrnn_cli.fitting.outcome import Outcome
from lrnn_cli.fitting.tomography import coupling_for
from lrnn_cli.numerics.projection import Projector
from lrnn_cli.objectives.projection import ProjectionObjective
from lrnn_cli.signals.sinogram import Sinogram
from lrnn_cli.signals.slices import Slice
from lrnn_cli.tasks.ct_choice import FEWEST, PRIORS, Halted, choose_prior
from lrnn_cli.tasks.ct_classical import Classical, ClassicalRun
from lrnn_cli.tasks.ct_network import NetworkPlan, NetworkRun, Start, make_prior, plan_network, render
from lrnn_cli.tasks.ct_output import Reconstruction, measure
from lrnn_cli.tasks.ct_scan import Scan, measured, simulate
from lrnn_cli.tasks.ct_settings import CLASSICAL, CtSettings
from lrnn_cli.tasks.render import make_machine


@dataclass(frozen=True)
class CtStep:
    """A record of progress for whoever shows it; classical methods have no steps, their end has no loss."""

    step: int
    loss: float | None
    psnr_db: float | None
    seconds: float
    steps_per_s: float
    progress: float
    method: str
    event: str | None = None


@dataclass
class Done:
    """What is finished so far, by method, and what the networks begin with."""

    images: dict[str, torch.Tensor] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    networks: dict[str, Fitted] = field(default_factory=dict)
    start: Start | None = None


class CtTask:
    """One scan and the methods asked for.

    Attributes:
        input_digest: of all numbers that were read.
        scan: what is reconstructed.
        plans: of the networks among the methods.
        done: what is finished.
        current: the network in work, its training not at its end; None between networks.
        is_halted: whether the run was stopped before its end.
    """

    def __init__(self, found: Slice | Sinogram, settings: CtSettings) -> None:
        """Prepare the scan; nothing is reconstructed yet.

        Raises:
            ConfigError: when the settings of the scan or of a network make no sense together.
        """
        self.settings = settings
        self.input_digest = input_digest(found)
        self.scan: Scan = (
            simulate(found, settings.scan, settings.fit.seed)
            if isinstance(found, Slice)
            else measured(found, settings.scan)
        )
        self.device = resolve_device(settings.fit.device)
        self.threads = resolve_threads(settings.fit.threads)
        self.plans: dict[str, NetworkPlan] = {
            name: plan_network(name, self.scan, settings) for name in settings.method.networks
        }
        self.done = Done()
        self.current: NetworkRun | None = None
        self.is_halted = False
        self._projectors: dict[torch.dtype, Projector] = {}

    def projector(self, dtype: torch.dtype = torch.float32) -> Projector:
        """Return the operator that reconstructs, built once per precision."""
        if dtype not in self._projectors:
            scan = self.scan
            self._projectors[dtype] = Projector(
                scan.geometry, scan.operator, dtype, self.device, scan.memory_limit_mb
            )
        return self._projectors[dtype]

    def steps(self, should_stop: Callable[[], bool]) -> Iterator[CtStep]:
        """Reconstruct by one method after the other, classical ones first, yielding records.

        What is done already, for a run that was taken up again, is not done anew. A classical method that is
        stopped on its way is dropped; a network keeps what it has.

        Args:
            should_stop: asked before every step.

        Yields:
            the records of the networks' training, and one with an event after every method.
        """
        classical = ClassicalRun(self.scan, self.projector(), self.settings.method, should_stop)
        began = time.perf_counter()
        try:
            for name in self.settings.method.methods:
                if name in CLASSICAL and name not in self.done.images:
                    self._classical(name, classical)
                    yield self._said(name, began)
            if self.plans and self.done.start is None:
                self.done.start = self._start(classical)
            for name in self.plans:
                if name not in self.done.networks:
                    yield from self._train(name, should_stop)
                    yield self._said(name, began)
        except Halted:
            self.is_halted = True

    def _classical(self, name: str, classical: ClassicalRun) -> None:
        torch.set_num_threads(self.threads)  # networks set it to 1: their blocks bring threads of their own
        began = time.perf_counter()
        if classical.should_stop():
            raise Halted
        found = classical.run(name)
        self.done.seconds[name] = time.perf_counter() - began
        self.done.images[name], self.done.about[name] = found.image, found.about

    def _start(self, classical: ClassicalRun) -> Start:
        """Find the classical image and the strength of the prior, from the data alone."""
        torch.set_num_threads(self.threads)
        began = time.perf_counter()
        done = self.done
        found = Classical(done.images["tv"], done.about["tv"]) if "tv" in done.images else classical.tv()
        step, bandwidth = self._strengths(classical, found.about["weight"])
        coupling = coupling_for(self._objective(), found.about["weight"], step)
        seconds = done.seconds.get("tv", 0.0) + time.perf_counter() - began
        return Start(found.image, {"method": "tv", **found.about}, step, bandwidth, coupling, seconds)

    def _strengths(self, classical: ClassicalRun, tv_weight: float) -> tuple[float, float]:
        """TV's proximal weight and the bandwidth of the networks' prior, in u, chosen by views held out."""
        method, scan = self.settings.method, self.scan
        if method.bandwidth != "auto":
            return 0.5 * float(method.bandwidth), float(method.bandwidth)
        if scan.geometry.n_views < FEWEST or method.prior == "none":
            return PRIORS[1]
        found, _ = choose_prior(
            classical.projector, classical.data, classical.weights, tv_weight,
            lambda *strengths: make_prior(method.prior, *strengths), should_stop=classical.should_stop,
        )  # fmt: skip
        return found

    def _objective(self) -> ProjectionObjective:
        """The data term of the networks."""
        projector, scan = self.projector(), self.scan
        data = torch.from_numpy(scan.sinogram).to(projector.device, projector.dtype)
        weights = None if scan.weights is None else torch.from_numpy(scan.weights).to(data)
        return ProjectionObjective(projector, data, weights, ramp=self.settings.method.ramp)

    def begin(self, name: str) -> NetworkRun:
        """Set up a network at its first step, from the start that must have been found."""
        start, method = self.done.start, self.settings.method
        if start is None:
            raise ValueError("start: expected one before a network begins")
        prior = make_prior(method.prior, start.step, start.bandwidth)
        return NetworkRun(self.plans[name], self.scan, self._objective(), start, prior)

    def _train(self, name: str, should_stop: Callable[[], bool]) -> Iterator[CtStep]:
        """Train a network, from where it was where it has begun."""
        if should_stop():
            raise Halted
        began = time.perf_counter() - self.done.seconds.get(name, 0.0)
        if self.current is None:
            self.current = self.begin(name)
            began -= self.done.start.seconds if self.done.start else 0.0
        run = self.current
        try:
            for record in run.steps(should_stop):
                self.done.seconds[name] = time.perf_counter() - began
                yield self._record(name, record)
        finally:
            run.close()
        self.done.seconds[name] = time.perf_counter() - began
        if run.is_interrupted:
            if not run.fit.trainer.step:  # nothing to go on from
                self.current = None
            raise Halted
        self.done.networks[name], self.done.about[name] = run.fitted(), run.about()
        self.current = None

    def _record(self, name: str, step: Step) -> CtStep:
        """A record of the training; its progress counts all networks."""
        progress = (list(self.plans).index(name) + min(step.progress, 1.0)) / len(self.plans)
        event = f"{name}: {step.event}" if step.event else None
        # without the PSNR, which here is one against a moving target
        return CtStep(step.step, step.loss, None, step.seconds, step.steps_per_s, progress, name, event)

    def _said(self, name: str, began: float) -> CtStep:
        """A record of the end of a method."""
        event = f"{name}: {self.done.seconds[name]:.1f} s"
        networks = list(self.plans)
        steps, ended = 0, 0
        if name in self.plans:
            steps, ended = int(self.done.about[name]["steps"]), networks.index(name) + 1
        progress = ended / max(1, len(networks))
        return CtStep(steps, None, None, time.perf_counter() - began, 0.0, progress, name, event)

    @property
    def outcome(self) -> Outcome:
        """How the run ended: interrupted, diverged where a network has, else with its budget used up."""
        if self.is_halted:
            return Outcome.INTERRUPTED
        ends = {self.done.about[name]["outcome"] for name in self.done.networks}
        return Outcome.DIVERGED if str(Outcome.DIVERGED) in ends else Outcome.BUDGET

    def networks(self) -> dict[str, Fitted]:
        """Return the networks as they are now, the one in work among them."""
        found = dict(self.done.networks)
        if self.current is not None:
            found[self.current.name] = self.current.fitted()
        return found

    def about(self, name: str) -> dict[str, Any]:
        """Return what a method, finished or in work, chose and did."""
        if self.current is not None and self.current.name == name:
            return self.current.about()
        return self.done.about[name]

    def _render(self, fitted: Fitted) -> np.ndarray:
        """Evaluate a network as `lrnn render` does, in the blocks that its checkpoint names."""
        machine = make_machine(fitted, device=str(self.device), threads=self.threads, engine="auto")
        try:
            return render(fitted, self.scan, machine.runner)
        finally:
            machine.runner.close()

    def reconstructions(self, networks: dict[str, Fitted]) -> dict[str, Reconstruction]:
        """Measure every method that is finished or has begun.

        Args:
            networks: as read back from their checkpoints.

        Returns:
            image and measures by method, in the order asked for.
        """
        torch.set_num_threads(self.threads)
        found = {}
        for name in self.settings.method.methods:
            if name in networks:
                u = self._render(networks[name])
            elif name in self.done.images:
                u = self.done.images[name].cpu().double().numpy()
            else:
                continue
            seconds, about = self.done.seconds[name], self.about(name)
            found[name] = measure(u, self.scan, self.projector(torch.float64), seconds, about)
        return found


def input_digest(found: Slice | Sinogram) -> str:
    """Return the digest of all numbers that were read: slice, or sinogram with angles and weights."""
    arrays = (found.u,) if isinstance(found, Slice) else (found.values, found.angles, found.weights)
    digest = hashlib.sha256()
    for array in arrays:
        if array is not None:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
