"""Training several networks one after the other, each on its own part of a long signal, as one run.

Each part is an ordinary `Regression` with its share of the time or the steps and a learning rate that falls
within it; on the CPU this costs what training all at once would, and needs the memory of one. Together they
look like one run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.errors import CheckpointError
from lrnn_cli.fitting.checkpoint import RESUME_FORMAT, Fitted, encode, read
from lrnn_cli.fitting.group import ALONE, Group
from lrnn_cli.fitting.loop import Counts, Step
from lrnn_cli.fitting.outcome import Outcome
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.catalog import build
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.models.segments import Segments, Span
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.regression import Plan, Regression

MAX_FADE_PART = 0.5  # of the distance between two seams, that a fade may take


def cut(n_samples: int, count: int, fade: int) -> tuple[Span, ...]:
    """Cut range(n_samples) into `count` equal parts, each longer by half a fade at every seam.

    With seams e_k = round(k n / count), part k is [e_k - v/2, e_{k+1} + v/2), v the even number of samples
    of a fade: as asked, at most half the distance of two seams, at least 2.

    Args:
        n_samples: n, at least 4 per part.
        count: parts.
        fade: samples that neighbours share.

    Returns:
        First sample and one past the last of each part.

    Raises:
        ValueError: when the parts would be shorter than 4 samples.
    """
    if count < 1 or n_samples < 4 * count:
        raise ValueError(f"count: expected 1 … {n_samples // 4} parts of {n_samples} samples, got {count}")
    half = max(1, min(fade, int(MAX_FADE_PART * (n_samples // count))) // 2)
    seams = [round(k * n_samples / count) for k in range(count + 1)]
    return tuple((max(0, a - half), min(n_samples, b + half)) for a, b in pairwise(seams))


@dataclass
class Totals:
    """What `execute` reads of a trainer, over all segments so far."""

    step: int = 0
    elapsed: float = 0.0
    outcome: Outcome | None = None


def share(steps: int | None, k: int, count: int) -> int | None:
    """Return segment k's part of all steps, one more for some where they do not divide; None stays None."""
    return None if steps is None else steps * (k + 1) // count - steps * k // count


class SegmentedRegression:
    """A run over the segments of a plan; the same face as `Regression`."""

    def __init__(
        self,
        signal: Signal,
        transform: tuple[float, float],
        plan: Plan,
        fit: FitSettings,
        group: Group = ALONE,
    ) -> None:
        """Begin with the first segment; `group` are the processes that share each of them."""
        self.group = group
        self.signal, self.transform, self.plan, self.fit = signal, transform, plan, fit
        self.count = len(plan.segments)
        self.done: list[dict[str, Tensor]] = []
        self.records: list[dict[str, Any]] = []
        self.trainer = Totals()
        self.run = self._begin(0)

    @property
    def engine(self) -> Any:
        """The engine in use."""
        return self.run.engine

    @property
    def runner(self) -> Any:
        """Blocks and threads of the segment in work."""
        return self.run.runner

    def _begin(self, k: int) -> Regression:
        """Set up segment k with its share of the budget, its own mean, deviation and random numbers."""
        start, stop = self.plan.segments[k]
        values = self.signal.values[start:stop]
        mean, deviation = float(values.mean(dtype="float64")), float(values.std(dtype="float64"))
        fit = self.fit.model_copy(
            update={
                "seed": (self.fit.seed + 7919 * k) % 2**31,
                "steps": share(self.fit.steps, k, self.count),
                "time_s": None if self.fit.time_s is None else self.fit.time_s / self.count,
            }
        )
        plan = replace(self.plan, batch_points=min(self.plan.batch_points, len(values)), segments=())
        own = (mean, deviation) if deviation > 1e-6 * self.transform[1] else (mean, self.transform[1])
        return Regression(replace(self.signal, values=values), own, plan, fit, self.group)

    def steps(self, should_stop: Callable[[], bool]) -> Iterator[Step]:
        """Train one segment after the other, yielding a record per step with numbers over the whole run."""
        while True:
            k = len(self.done)
            first_step = sum(int(record["steps"]) for record in self.records)
            before_s = sum(float(record["seconds"]) for record in self.records)
            for step in self.run.steps(should_stop):
                self.trainer.step = first_step + step.step
                self.trainer.elapsed = before_s + step.seconds
                event = f"segment {k + 1} of {self.count}: {step.event}" if step.event else None
                yield replace(
                    step,
                    step=self.trainer.step,
                    seconds=self.trainer.elapsed,
                    steps_per_s=self.trainer.step / max(self.trainer.elapsed, 1e-9),
                    progress=(k + min(step.progress, 1.0)) / self.count,
                    event=event,
                )
            self.trainer.step = first_step + self.run.trainer.step
            self.trainer.elapsed = before_s + self.run.trainer.elapsed
            if self.run.trainer.outcome is Outcome.INTERRUPTED:
                self.trainer.outcome = Outcome.INTERRUPTED
                return
            self._finish()
            if len(self.done) == self.count:
                break
            self.run.close()
            self.run = self._begin(k + 1)
        outcomes = {record["outcome"] for record in self.records}
        worst = (Outcome.DIVERGED, Outcome.BUDGET, Outcome.TARGET)
        self.trainer.outcome = next(outcome for outcome in worst if str(outcome) in outcomes)

    def _finish(self) -> None:
        """Keep the weights of the segment just trained, and what there is to say of it."""
        trainer = self.run.trainer
        self.done.append(self._weights(self.run))
        self.records.append(
            {
                "samples": list(self.plan.segments[len(self.done) - 1]),
                "steps": trainer.step,
                "seconds": trainer.elapsed,
                "mse": trainer.samples.mse(trainer.final_loss),
                "outcome": str(trainer.outcome),
                "rollbacks": trainer.counts.rollbacks,
                "fresh_starts": trainer.counts.fresh_starts,
                "out_of_memory": trainer.counts.out_of_memory,
            }
        )

    def _weights(self, run: Regression) -> dict[str, Tensor]:
        """Return the weights, on the CPU, the segment's mean and deviation moved into the output layer."""
        state = {name: t.detach().cpu().clone() for name, t in run.model.state_dict().items()}
        (own_mean, own_scale), (mean, scale) = run.transform, self.transform
        state["head.weight"] *= own_scale / scale
        state["head.bias"] = (state["head.bias"] * own_scale + own_mean - mean) / scale
        return state

    def _joined(self) -> Segments:
        """Return all networks as one; a segment not yet trained is silent."""
        members: list[CoordinateModel] = []
        plan, dtype = self.plan, getattr(torch, self.fit.precision)
        current = self._weights(self.run) if len(self.done) < self.count else None
        for k in range(self.count):
            member = build(plan.model_name, plan.config, n_inputs=plan.n_inputs, n_outputs=plan.n_outputs)
            member.to(dtype)
            if k < len(self.done):
                member.load_state_dict(self.done[k])
            elif k == len(self.done) and current is not None:
                member.load_state_dict(current)
            else:
                torch.nn.init.zeros_(member.head.weight)
                torch.nn.init.zeros_(member.head.bias)
            members.append(member)
        return Segments(members, self.plan.segments, self.signal.values.shape[0])

    def fitted(self) -> Fitted:
        """Return the networks as they are now with all that is needed to evaluate them."""
        return replace(
            self.run.fitted(),
            model=self._joined(),
            shift=self.transform[0],
            scale=self.transform[1],
            shape=tuple(self.signal.values.shape[:-1]),
            segments=self.plan.segments,
        )

    def state(self, run_key: str) -> bytes:
        """Return the state between two steps as a resume file: finished networks and the one in work."""
        inner = torch.frombuffer(bytearray(self.run.state(run_key)), dtype=torch.uint8)
        tensors = {f"{k}.{name}": t for k, state in enumerate(self.done) for name, t in state.items()}
        header = {
            "format": RESUME_FORMAT,
            "run_key": run_key,
            "records": self.records,
            "block_points": self.plan.block_points,
        }
        return encode({"inner": inner, **tensors}, header)

    def resume_from(self, path: Path, run_key: str) -> None:
        """Continue from the state in a file.

        Raises:
            CheckpointError: when it is corrupt or of another run.
        """
        tensors, header = read(path, RESUME_FORMAT)
        if header.get("run_key") != run_key:
            raise CheckpointError(
                f"{path}: written by a run with another input, configuration or number of parameters; "
                "repeat its options, or start anew with --force in place of --resume"
            )
        try:
            inner = tensors.pop("inner")
            records = list(header["records"])
            done: list[dict[str, Tensor]] = [{} for _ in records]
            for key, tensor in tensors.items():
                number, name = key.split(".", 1)
                done[int(number)][name] = tensor
            run = self._begin(len(done))
            block = int(header.get("block_points", 0))
        except (LookupError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: resume state is incomplete ({error!r})") from error
        self.run.close()
        self.run, self.done, self.records = run, done, records
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "state.safetensors"
            copy.write_bytes(inner.numpy().tobytes())
            self.run.resume_from(copy, run_key)
        # the segments that follow are trained alike
        self.plan = replace(
            self.plan,
            optimizer=run.trainer.optimizer_name,
            lr=run.trainer.lr,
            block_points=block or run.runner.block_points,
        )
        self.trainer.step = sum(int(r["steps"]) for r in records) + run.trainer.step
        self.trainer.elapsed = sum(float(r["seconds"]) for r in records) + run.trainer.elapsed

    def summary(self) -> dict[str, Any]:
        """Return what metrics.json says of the training: totals, and a record per segment."""
        counts = {name: sum(int(record[name]) for record in self.records) for name in vars(Counts())}
        lengths = [stop - start for start, stop in self.plan.segments]
        errors = [record["mse"] for record in self.records]
        complete = len(errors) == self.count
        mean = sum(e * n for e, n in zip(errors, lengths, strict=True)) / sum(lengths) if complete else None
        return {
            **self.run.summary(),
            "seed": self.fit.seed,
            "steps": self.trainer.step,
            "outcome": str(self.trainer.outcome),
            "loss_final": None if mean is None else mean / self.transform[1] ** 2,
            **counts,
            "segments": self.records,
        }

    def close(self) -> None:
        """End the threads."""
        self.run.close()


Training = Regression | SegmentedRegression


def start_training(
    signal: Signal, transform: tuple[float, float], plan: Plan, fit: FitSettings, group: Group = ALONE
) -> Training:
    """Return a run for a plan, of one network or of several, shared by the processes of a group."""
    kind = SegmentedRegression if plan.segments else Regression
    return kind(signal, transform, plan, fit, group)
