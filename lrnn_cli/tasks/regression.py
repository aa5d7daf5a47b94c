"""Fitting a network to the samples of a signal: what pictures and sounds have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field

from lrnn_cli.errors import ConfigError, DeviceError
from lrnn_cli.fitting.blocks import BlockRunner, auto_block
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.device import machine_memory_mb, resolve_device, resolve_threads
from lrnn_cli.fitting.group import ALONE, Group
from lrnn_cli.fitting.launch import place
from lrnn_cli.fitting.least_squares import RIDGE
from lrnn_cli.fitting.loop import Step, Trainer
from lrnn_cli.fitting.optimizers import DEFAULT
from lrnn_cli.fitting.resume import encode_state, restore_state
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.kernels.dispatch import Engine, choose_engine
from lrnn_cli.kernels.precision import Backward, choose_backward
from lrnn_cli.models.budget import fit_budget, missed, parameters_of
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.models.contract import CoordinateModel, ModelConfig, use_engine
from lrnn_cli.objectives.samples import Samples
from lrnn_cli.signals.signal import Signal

LONG_RUN_S = 20.0  # training time from which compiling a kernel, a few seconds once per machine, pays
LONG_RUN_WORK = 2e11  # the same in points x parameters, for runs limited by steps


class ModelChoice(BaseModel):
    """Which network, and how large."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "lrnn"
    options: dict[str, Any] = Field(default_factory=dict)
    params: int | None = Field(None, ge=1, description="parameter budget; the width is solved for")


@dataclass(frozen=True)
class Plan:
    """Everything decided before training starts; `--dry-run` shows it."""

    model_name: str
    config: ModelConfig
    n_params: int
    n_inputs: int
    n_outputs: int
    n_points: int
    optimizer: str
    lr: float
    lstsq: tuple[str, ...]
    batch_points: int
    block_points: int
    device: torch.device
    threads: int
    engine: Engine
    backward: Backward
    memory_mb: float
    notes: tuple[str, ...]
    segments: tuple[tuple[int, int], ...] = ()  # spans of samples, one network each; empty for a single one
    start_ridge: float = RIDGE  # of the output layer solved before step 1

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-able values."""
        return {
            "model": {"name": self.model_name, "config": self.config.model_dump(), "params": self.n_params},
            "points": self.n_points,
            "channels": self.n_outputs,
            "optimizer": self.optimizer,
            "lr": self.lr,
            "lstsq": list(self.lstsq),
            "batch_points": self.batch_points,
            "block_points": min(self.block_points, self.batch_points),
            "device": str(self.device),
            "threads": self.threads,
            "engine": self.engine.name,
            "engine_reason": self.engine.reason,
            "backward": self.backward.name,
            "backward_reason": self.backward.reason,
            "memory_mb": round(self.memory_mb, 1),
            "segments": [list(span) for span in self.segments],
            "notes": list(self.notes),
        }


def auto_batch(n_points: int, device: torch.device) -> int:
    """Return the points per step of `--batch-points auto`.

    On the CPU a 32nd of the signal, from 1024 to 8192. On a GPU an eighth, from 1024 to 65,536: a step of
    8192 points takes less than twice as long as one of 2048, and gets further (docs/performance.md).
    """
    part, largest = (8, 2**16) if device.type == "cuda" else (32, 2**13)
    return min(n_points, max(1024, min(largest, n_points // part)))


def make_plan(signal: Signal, choice: ModelChoice, fit: FitSettings) -> Plan:
    """Resolve model, width, device, engine, batch and memory.

    Returns:
        all that is decided before training starts.

    Raises:
        ConfigError: when options do not fit the model.
        DeviceError: when the device is absent, or the machine's memory too small.
    """
    places, n_outputs = signal.places, signal.n_channels
    n_points, n_inputs = places.size, places.ndim
    notes = []
    given = config_class(choice.name)(**choice.options)
    options = given.for_signal(signal.resolution).model_dump(exclude_unset=True)
    width_key = config_class(choice.name).width_key
    if choice.params is not None:
        if width_key in options:
            raise ConfigError(
                f"params and {width_key} exclude each other: the budget decides the {width_key}"
            )
        config, n_params = fit_budget(
            choice.name, options, choice.params, n_inputs=n_inputs, n_outputs=n_outputs
        )
        if note := missed(choice.name, n_params, choice.params):
            notes.append(note)
    else:
        config = config_class(choice.name)(**options)
        n_params = parameters_of(choice.name, config, n_inputs, n_outputs)
    device = resolve_device(fit.device)
    threads = resolve_threads(fit.threads)
    dtype = getattr(torch, fit.precision)
    batch = {"full": n_points, "auto": auto_batch(n_points, device)}.get(str(fit.batch_points)) or int(
        fit.batch_points
    )
    batch = min(batch, n_points)
    block = (
        auto_block(-(-batch // place().size), device, resolve_threads(None))
        if fit.block_points == "auto"
        else int(fit.block_points)
    )
    work = (fit.steps or 0) * batch * n_params
    long_run = (fit.time_s or 0) >= LONG_RUN_S or work >= LONG_RUN_WORK
    family = config.kernel_family
    engine = (
        choose_engine(fit.engine, family=family, dtype=dtype, device=device, long_run=long_run)
        if family is not None
        else Engine("torch", "the model has no product layer")
    )
    if device.type == "cuda" and fit.engine == "auto" and engine.name == "fused":
        notes.append(f"engine fused in place of triton: {engine.reason}")
    working = threads if device.type == "cpu" else 1
    memory_mb = _memory_mb(
        choice.name, config, engine, n_params, n_points, n_inputs, n_outputs, block * working
    )
    here = machine_memory_mb() if device.type == "cpu" else None
    if here is not None and memory_mb > here:
        raise DeviceError(
            f"{n_params} parameters would take about {memory_mb:.0f} MB, this machine has {here} MB; "
            "use a smaller model (--params)"
        )
    backward = choose_backward(fit.backward, engine=engine.name, dtype=dtype, device=device)
    return Plan(
        model_name=choice.name,
        config=config,
        n_params=n_params,
        n_inputs=n_inputs,
        n_outputs=n_outputs,
        n_points=n_points,
        optimizer=fit.optimizer or DEFAULT,
        lr=fit.lr or type(config).default_lr,
        lstsq=type(config).default_lstsq if fit.lstsq is None else fit.lstsq,
        batch_points=batch,
        block_points=block,
        device=device,
        threads=threads,
        engine=engine,
        backward=backward,
        memory_mb=memory_mb,
        notes=tuple(notes),
    )


def _memory_mb(
    name: str,
    config: ModelConfig,
    engine: Engine,
    n_params: int,
    n_points: int,
    n_inputs: int,
    n_outputs: int,
    at_once: int,
) -> float:
    """Return the estimated MiB of signal, weights with optimiser and copies, and of points worked on at once.

    The interpreter comes on top. Bytes per point and block are counted by differentiating a few points and
    adding up what autograd saves.
    """
    probe = 8
    kept = 0
    largest = 2**28  # parameters; beyond, do not build the model only to estimate

    def count(t: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += t.numel() * t.element_size() if t.dim() and t.shape[0] == probe else 0
        return t

    if n_params <= largest:
        model = build(name, config, n_inputs=n_inputs, n_outputs=n_outputs, seed=0)
        use_engine(model, "reference" if engine.name == "reference" else "fused")
        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            model(torch.zeros(probe, n_inputs))
    blocks = 2.0 * kept / probe * min(at_once, n_points)
    weights = 4.0 * n_params * 8  # weights, gradient, two moments, the same four in the copy to go back to
    signal = 4.0 * n_points * n_outputs * 4 + 16.0 * n_points
    return (blocks + weights + signal) / 2**20


class SignalTask(Protocol):
    """What a task adds to the common part: measures, files and a picture of its kind of signal."""

    @property
    def signal(self) -> Signal:
        """What is fitted."""

    def plan(self, choice: ModelChoice, fit: FitSettings) -> Plan:
        """Return the plan, with what the content of the signal decides, and the user did not, filled in."""

    def transform(self) -> tuple[float, float]:
        """Return shift and scale of the normalised targets."""

    def evaluate(self, fitted: Fitted, runner: BlockRunner) -> Evaluation:
        """Measure a fit read back from its checkpoint, and encode what is written."""

    def picture(self, evaluation: Evaluation, history: list[dict[str, Any]]) -> bytes:
        """Return the preview as PNG."""


@dataclass(frozen=True)
class Evaluation:
    """Measures, the values they belong to, and the output file."""

    metrics: dict[str, Any]
    values: Any
    output: bytes
    suffix: str
    summary: str


class Regression:
    """One training run: signal and plan in, a fitted network out."""

    def __init__(
        self,
        signal: Signal,
        transform: tuple[float, float],
        plan: Plan,
        fit: FitSettings,
        group: Group = ALONE,
    ) -> None:
        """Build model, samples and trainer on the planned device; `group` are the processes that share it."""
        self.signal, self.plan, self.fit, self.transform = signal, plan, fit, transform
        self.engine = plan.engine
        self.stack = 1  # networks fitted together
        dtype = getattr(torch, fit.precision)
        torch.set_num_threads(1)  # the block runner spreads the work
        self.runner = BlockRunner(
            plan.device,
            threads=plan.threads,
            block_points=plan.block_points,
            group=group,
        )
        values = torch.from_numpy(signal.values).reshape(-1, plan.n_outputs).to(plan.device, dtype)
        places = signal.places
        samples = Samples(places, values, shift=transform[0], scale=transform[1], peak=signal.peak)
        self.model = self._build(0)
        self.trainer = Trainer(
            self.model,
            samples,
            fit.model_copy(update={"optimizer": plan.optimizer}),
            self.runner,
            lr=plan.lr,
            lstsq=plan.lstsq,
            batch_points=plan.batch_points,
            fresh=self._build,
            backward=plan.backward.name,
            start_ridge=plan.start_ridge,
        )

    def _build(self, attempt: int) -> CoordinateModel:
        plan = self.plan
        seed = self.fit.seed + 1_000_003 * attempt
        model = build(
            plan.model_name, plan.config, n_inputs=plan.n_inputs, n_outputs=plan.n_outputs, seed=seed
        )
        use_engine(model, self.engine.name)
        return model.to(plan.device, getattr(torch, self.fit.precision))

    def resume_from(self, path: Path, run_key: str) -> None:
        """Continue from the state in a file, with the engine and optimiser that the run began with.

        Both may be others than those planned where the device is another.

        Raises:
            CheckpointError: when it is corrupt or of another run.
        """
        engine = restore_state(self.trainer, path, run_key)
        if engine != self.engine.name:
            self.engine = Engine(engine, "as before the interruption")
            use_engine(self.model, engine)

    def state(self, run_key: str) -> bytes:
        """Return the state between two steps as the bytes of a resume file."""
        return encode_state(self.trainer, run_key, self.engine.name)

    def steps(self, should_stop: Callable[[], bool]) -> Iterator[Step]:
        """Train, yielding a record per step."""
        return self.trainer.run(should_stop)

    def fitted(self) -> Fitted:
        """Return the network as it is now with all that is needed to evaluate it."""
        return Fitted(
            model_name=self.plan.model_name,
            config=self.plan.config,
            model=self.model,
            n_inputs=self.plan.n_inputs,
            n_outputs=self.plan.n_outputs,
            shift=self.transform[0],
            scale=self.transform[1],
            peak=self.signal.peak,
            shape=tuple(self.signal.values.shape[:-1]),
            kind=self.signal.kind,
            signal={
                "name": self.signal.name,
                **self.signal.format,
                **({"scattered": True} if self.signal.points is not None else {}),
            },
            evaluation={
                "device": self.plan.device.type,
                "engine": self.engine.name,
                "block_points": self.runner.block_points,
            },
        )

    def summary(self) -> dict[str, Any]:
        """Return what metrics.json says of the training."""
        trainer, full_from = self.trainer, self.trainer.backward.full_from
        return {
            "steps": trainer.step,
            "seed": self.fit.seed,
            "optimizer": trainer.optimizer_name,
            "schedule": self.fit.schedule,
            "lr": trainer.lr,
            "lr_scale": trainer.lr_scale,
            "batch_points": self.plan.batch_points,
            "block_points": self.runner.block_points,
            "processes": self.runner.group.size,
            "precision": self.fit.precision,
            "engine": self.engine.name,
            "engine_reason": self.engine.reason,
            "backward": self.plan.backward.name,
            "backward_reason": self.plan.backward.reason,
            "backward_full_from_step": full_from if math.isfinite(full_from) else None,
            "lstsq": list(self.plan.lstsq),
            "loss_final": trainer.final_loss,
            "outcome": str(trainer.outcome),
            "rollbacks": trainer.counts.rollbacks,
            "fresh_starts": trainer.counts.fresh_starts,
            "out_of_memory": trainer.counts.out_of_memory,
            **({"stack": self.stack} if self.stack > 1 else {}),
        }

    def close(self) -> None:
        """End the threads."""
        self.runner.close()
