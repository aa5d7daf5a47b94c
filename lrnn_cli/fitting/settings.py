"""How to train: one frozen, validated record, the same for every task and model."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lrnn_cli.errors import ConfigError


class FitSettings(BaseModel):
    """Budget, batch, optimiser, safety and machine of one training run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int | None = Field(None, ge=1, description="stop after this many steps")
    time_s: float | None = Field(None, gt=0, description="stop after this many seconds of training")
    until: str | None = Field(None, description="stop when reached: 40dB, or mse=1e-5 at peak 1")
    batch_points: int | Literal["full", "auto"] = Field("auto", description="points per step")
    block_points: int | Literal["auto"] = Field(
        "auto", description="points worked on at once, a memory limit"
    )
    lr: float | None = Field(None, gt=0, description="peak learning rate; what suits the model when left out")
    schedule: str = Field(
        "inverse:0.05", description="const, inverse:END, exp:END, cos:END, linear:END or step:EVERY:FACTOR"
    )
    warmup_steps: int = Field(10, ge=0, description="steps over which the rate rises from 0")
    optimizer: Literal["adam", "adamw", "nadam", "sgd"] | None = Field(
        None, description="what suits model and kind of signal when left out, nearly always adam"
    )
    beta2: float = Field(0.999, gt=0, lt=1, description="memory of Adam's second moment")
    clip_norm: float | None = Field(None, gt=0, description="limit of the gradient's norm")
    lstsq: tuple[Literal["start", "plateau", "end"], ...] | None = Field(
        None, description="when to solve the output layer by least squares; the model's own when left out"
    )
    guard: bool = Field(
        True, description="go back and lower the rate when the loss breaks out or nothing is learned"
    )
    precision: Literal["float32", "float64"] = "float32"
    engine: Literal["auto", "reference", "fused", "compiled", "triton"] = "auto"
    backward: Literal["auto", "full", "tf32", "bfloat16"] = Field(
        "auto", description="precision of the matrix products of the backward pass, below 45 dB"
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    threads: int | None = Field(None, ge=1, description="CPU threads; all cores when left out")
    seed: int = Field(0, ge=0, lt=2**31, description="of initial weights and batches")

    @field_validator("batch_points", "block_points")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("expected at least 1")
        return value

    @field_validator("schedule")
    @classmethod
    def _known_schedule(cls, value: str) -> str:
        parse_schedule(value)
        return value

    @field_validator("until")
    @classmethod
    def _known_target(cls, value: str | None) -> str | None:
        if value is not None:
            parse_target(value)
        return value

    @model_validator(mode="after")
    def _has_end(self) -> "FitSettings":
        if self.steps is None and self.time_s is None:
            raise ValueError("a run needs an end: give steps or time")
        return self


def parse_schedule(text: str) -> tuple[str, tuple[float, ...]]:
    """Split `name:number:…`; END is the last rate as a fraction of the peak (0.1 unless given).

    Returns:
        the name and its numbers.

    Raises:
        ConfigError: when the schedule is unknown or its numbers are out of range.
    """
    name, *rest = text.split(":")
    try:
        numbers = tuple(float(r) for r in rest)
    except ValueError:
        numbers = (-1.0,)
    falls = len(numbers) <= 1 and all(0 < x <= 1 for x in numbers)
    good = {
        "const": numbers == (),
        **dict.fromkeys(("inverse", "exp", "cos", "linear"), falls),
        "step": len(numbers) == 2 and numbers[0] >= 1 and numbers[0].is_integer() and 0 < numbers[1] <= 1,
    }
    if not good.get(name, False):
        raise ConfigError(
            f"schedule: expected const, inverse:END, exp:END, cos:END, linear:END (0 < END <= 1) "
            f"or step:EVERY:FACTOR, got {text!r}"
        )
    return name, numbers or ((0.1,) if name != "const" else ())


def parse_target(text: str) -> tuple[Literal["psnr_db", "mse"], float]:
    """Read `40dB` or `mse=1e-5`.

    Returns:
        the measure and its value, in dB or as a mean squared error at peak 1.

    Raises:
        ConfigError: when it is neither.
    """
    number = r"((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]{1,2})?)"
    if match := re.fullmatch(number + r"\s*db", text.strip(), re.IGNORECASE):
        return "psnr_db", float(match[1])
    if (match := re.fullmatch(r"mse=" + number, text.strip(), re.IGNORECASE)) and float(match[1]) > 0:
        return "mse", float(match[1])
    raise ConfigError(f"until: expected a target like 40dB or mse=1e-5, got {text!r}")
