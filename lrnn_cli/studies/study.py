"""STUDY.yaml: many inputs × models × variants × seeds, as one validated record.

name: photographs                 names the folder of results
task: fit-image                   the command that each job runs
inputs: [photos, more/*.png]      files, folders, patterns; or problems and targets: "high-frequency k=8"
models: [lrnn, {name: siren, lr: 2e-3}]
seeds: 3                          0, 1, 2; or a list
settings: {params: 200k, time: 60s, fit: {…}}
variants: {no-layer-norm: {layer_norm: false}}
grid: {dbar: [1, 2, 4]}
targets: [25, 30, 35, 40]         dB of PSNR; or "mse=1e-4", "rel_l2=1e-3"
centre_crop: 256x256              pictures only

In `settings`, `variants`, `grid` and beside a model's name, a key with a plain value is an option of the
command (`params: 200k` is `--params 200k`, `layer_norm: false` is `--no-layer-norm`), and a key with a group
under it is a group of its configuration file (`fit: {beta2: 0.99}`).
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lrnn_cli.errors import ConfigError

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")
SLICES = (*IMAGES, ".npy", ".dcm")

TaskName = Literal["fit-image", "fit-audio", "reconstruct-ct", "solve-poisson", "fit-function"]


@dataclass(frozen=True)
class TaskKind:
    """What a study has to know of a task.

    Attributes:
        suffixes: files taken from a folder; empty where inputs are no files.
        measure: key in `metrics` that curves are about.
        model_option: the option that names the model.
        input_option: where inputs are no files, the option that names one, and the group of the
            configuration that says all of it.
    """

    suffixes: tuple[str, ...]
    measure: str
    model_option: str = "model"
    input_option: tuple[str, str] = ("", "")


TASKS: dict[str, TaskKind] = {
    "fit-image": TaskKind(IMAGES, "psnr_db"),
    "fit-audio": TaskKind(SOUNDS, "psnr_db"),
    "reconstruct-ct": TaskKind(SLICES, "psnr_db", model_option="method"),
    "solve-poisson": TaskKind((), "rel_l2", input_option=("problem", "problem")),
    "fit-function": TaskKind((), "mse", input_option=("target", "function")),
}

Tree = dict[str, Any]
# What a study decides itself, for every job alike, and where its options may stand.
_RESERVED = (
    "seed",
    "output",
    "force",
    "resume",
    "skip_existing",
    "json",
    "dry_run",
    "print_config",
    "config",
    "threads",
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")


class Study(BaseModel):
    """A study as its file describes it; see the text at the top of this module."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="of the folder of results: letters, digits, . _ -")
    task: TaskName = "fit-image"
    inputs: str | list[str] = Field(description="files, folders, patterns, or named problems")
    models: list[str | dict[str, Any]] = Field(["lrnn"], description="names, or {name: …, label: …, options}")
    seeds: int | list[int] = Field(1, description="how many, or which")
    settings: dict[str, Any] = Field(default_factory=dict, description="options and groups for all jobs")
    variants: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="label → options and groups laid over the settings"
    )
    grid: dict[str, list[Any]] = Field(default_factory=dict, description="option or dotted key → values")
    targets: list[float | str] = Field(
        default_factory=list, description="what is to be reached: 40 (dB), 'mse=1e-4', 'rel_l2=1e-3'"
    )
    centre_crop: str | None = Field(None, description="WIDTHxHEIGHT cut from the middle of every picture")

    @field_validator("name")
    @classmethod
    def _is_folder_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError(f"expected letters, digits, dots, dashes and underscores, got {value!r}")
        return value

    @field_validator("inputs", "models", "seeds")
    @classmethod
    def _is_not_empty(cls, value: Any) -> Any:
        if value in ([], "", 0) or (isinstance(value, int) and value < 1):
            raise ValueError("expected at least one")
        return value

    @field_validator("seeds")
    @classmethod
    def _differ(cls, value: int | list[int]) -> int | list[int]:
        if isinstance(value, list) and (len(set(value)) < len(value) or min(value) < 0):
            raise ValueError(f"expected different whole numbers from 0, got {value}")
        return value

    @field_validator("models")
    @classmethod
    def _have_names(cls, value: list[str | dict[str, Any]]) -> list[str | dict[str, Any]]:
        for entry in value:
            if isinstance(entry, dict) and not isinstance(entry.get("name"), str):
                raise ValueError(f"expected {{name: …, options}}, got {entry}")
        return value

    @field_validator("grid")
    @classmethod
    def _have_values(cls, value: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for key, values in value.items():
            if not values:
                raise ValueError(f"{key}: expected at least one value")
        return value

    @field_validator("settings", "grid", "variants", "models")
    @classmethod
    def _leave_alone(cls, value: Any) -> Any:
        tables = value if isinstance(value, list) else [value, *value.values()]
        for table in tables:
            for key in table if isinstance(table, dict) else ():
                if key.replace("-", "_") in _RESERVED:
                    raise ValueError(f"{key}: the study sets that itself, for every job alike")
        return value

    @field_validator("centre_crop")
    @classmethod
    def _is_size(cls, value: str | None) -> str | None:
        if value is not None and not _SIZE.fullmatch(value):
            raise ValueError(f"expected WIDTHxHEIGHT such as 256x256, got {value!r}")
        return value

    @property
    def kind(self) -> TaskKind:
        """What there is to know of the task."""
        return TASKS[self.task]

    def seed_list(self) -> list[int]:
        """Return the seeds, one by one."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    def combinations(self) -> Iterator["Combination"]:
        """Yield models × variants × grid, in the order of the file.

        Raises:
            ConfigError: when two of them have the same label.
        """
        seen: set[str] = set()
        axes = [[(key, value) for value in values] for key, values in self.grid.items()]
        variants = self.variants or {"": {}}
        for entry, (variant, over), point in itertools.product(
            self.models, variants.items(), itertools.product(*axes)
        ):
            options = {"name": entry} if isinstance(entry, str) else dict(entry)
            model = options.pop("name")
            words = [str(options.pop("label", model)), variant, *(f"{k}={v}" for k, v in point)]
            label = " ".join(word for word in words if word)
            if label in seen:
                raise ConfigError(f"models: {label!r} appears twice; give one of them a 'label'")
            seen.add(label)
            tree = overlay(overlay(self.settings, options), over)
            for key, value in point:
                tree = overlay(tree, nested(key, value))
            yield Combination(label, model, tree)


@dataclass(frozen=True)
class Combination:
    """A model with its settings: what a row of the table is about.

    Attributes:
        label: what the table calls it.
        model: name of the model.
        tree: options and groups.
    """

    label: str
    model: str
    tree: Tree

    def options(self) -> list[str]:
        """Return the plain keys as words of a command line."""
        words: list[str] = []
        for key, value in self.tree.items():
            option = key.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{option}" if value else f"--no-{option}")
            elif isinstance(value, list):
                words += [word for item in value for word in (f"--{option}", str(item))]
            elif not isinstance(value, Mapping):
                words += [f"--{option}", str(value)]
        return words

    def groups(self) -> Tree:
        """Return the keys with groups under them, in the shape of a configuration file."""
        return {key: value for key, value in self.tree.items() if isinstance(value, Mapping)}


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """Lay one nested dict over another: groups merge, everything else is replaced.

    Returns:
        a new dict.
    """
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(value, Mapping):
            value = overlay(old if isinstance(old, Mapping) else {}, value)
        result[key] = value
    return result


def nested(dotted: str, value: Any) -> Tree:
    """Turn `model.dbar` and a value into {model: {dbar: value}}.

    Returns:
        the nested dict.
    """
    for key in reversed(dotted.split(".")):
        value = {key: value}
    return value


def crop_box(size: str, width: int, height: int) -> tuple[int, int, int, int]:
    """Return (x0, y0, x1, y1) of a box of WIDTHxHEIGHT in the middle of a picture.

    Args:
        size: such as 256x256.
        width: of the picture, in pixels.
        height: of the picture, in pixels.

    Returns:
        the box, x1 and y1 not included; an odd rest goes to the right and below.

    Raises:
        ConfigError: when the picture is smaller than the box.
    """
    w, h = (int(number) for number in size.split("x"))
    if w > width or h > height:
        raise ConfigError(f"centre_crop: {size} does not fit into a picture of {width}x{height}")
    x0, y0 = (width - w) // 2, (height - h) // 2
    return x0, y0, x0 + w, y0 + h
