"""From the flags of `reconstruct-ct` and a file to validated settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrnn_cli.cli.merge import load_yaml, merge, nest, overlay
from lrnn_cli.cli.settings import model_options
from lrnn_cli.errors import ConfigError

SCAN_FLAGS = (
    "sinogram angles radians layout flat dark size pixel_size detector_spacing mu_water views noise i0 "
    "electronic tau readout inverse_crime operator geometry source_distance detector_distance"
).split()
METHOD_FLAGS = "filter prior ramp".split()
AUTO_FLAGS = ("tv", "bandwidth", "iterations")
FIT_FLAGS = {
    "steps": "steps", "time": "time_s", "lr": "lr", "batch_points": "batch_points", "seed": "seed",
    "device": "device", "threads": "threads", "engine": "engine",
}  # fmt: skip
DEFAULT_PRESET = "fast"


def resolve_ct(flags: Mapping[str, Any]) -> tuple[Any, str]:
    """Lay defaults, preset, file and flags over each other and validate the result.

    Args:
        flags: the values of the command's options by name; None where not given.

    Returns:
        a `tasks.ct_settings.CtSettings` and the name of the preset.

    Raises:
        ConfigError: when anything is unknown or makes no sense.
    """
    from lrnn_cli.tasks.ct_settings import CtSettings, preset

    config = flags.get("config")
    yaml = load_yaml(config) if config is not None else {}
    given = nest(
        {
            **{f"scan.{name}": flags.get(name) for name in SCAN_FLAGS},
            **{f"method.{name}": flags.get(name) for name in METHOD_FLAGS},
            **{f"fit.{key}": flags.get(name) for name, key in FIT_FLAGS.items()},
            "scan.range": _range(flags.get("range")),
            "scan.matrix_memory_mb": flags.get("matrix_memory"),
            "scan.center": _number_or_auto(flags.get("center"), "--center"),
            "method.methods": flags.get("method"),
            **{f"method.{name}": _number_or_auto(flags.get(name), f"--{name}") for name in AUTO_FLAGS},
            "model.params": flags.get("params"),
        }
    )
    if options := model_options(flags):
        given = overlay(given, {"model": {"options": options}})
    name = flags.get("preset") or DEFAULT_PRESET
    below = preset(name)
    user_fit = overlay(yaml, given).get("fit") or {}
    if isinstance(user_fit, Mapping) and {"steps", "time_s"} & set(user_fit):
        below = {}  # a budget of one's own replaces the preset's, whatever its unit
    settings = merge(
        CtSettings, preset=below, yaml=yaml, flags=given, preset_name=f"preset {name}",
        yaml_name=str(config) if config else "--config",
    )  # fmt: skip
    return settings, name


def _range(text: str | None) -> list[float] | None:
    """Read START:STOP."""
    if text is None:
        return None
    try:
        start, stop = (float(part) for part in text.split(":"))
    except ValueError:
        raise ConfigError(f"--range: expected START:STOP in degrees such as 0:180, got {text!r}") from None
    return [start, stop]


def _number_or_auto(text: str | None, option: str) -> float | str | None:
    """Read a number or the word auto."""
    if text is None or text.strip() == "auto":
        return None if text is None else "auto"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{option}: expected a number or auto, got {text!r}") from None
