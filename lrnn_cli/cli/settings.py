"""From flags, file and preset to validated settings: what all fitting commands share."""

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lrnn_cli.cli.merge import load_yaml, merge, nest, overlay, parse_settings
from lrnn_cli.errors import ConfigError

DEFAULT_MODEL = "lrnn"
DEFAULT_PRESET = "fast"

# flag → dotted key of the settings; every fitting command has these
MODEL_FLAGS = (
    "params rank dbar depth width component_width sigma components omega_first omega_hidden layer_norm"
).split()
FIT_FLAGS = {
    "steps": "steps",
    "time": "time_s",
    "until": "until",
    "batch_points": "batch_points",
    "block_points": "block_points",
    "lr": "lr",
    "schedule": "schedule",
    "warmup": "warmup_steps",
    "optimizer": "optimizer",
    "guard": "guard",
    "precision": "precision",
    "engine": "engine",
    "backward": "backward",
    "device": "device",
    "threads": "threads",
    "seed": "seed",
}


def model_options(flags: Mapping[str, Any], without: Container[str] = ()) -> dict[str, Any]:
    """Return the options of the model that were given, by a flag of their own or by --set; flags win.

    Args:
        flags: the values of the command's options by name; None where not given.
        without: flags that mean something else to the command.
    """
    own = {key: flags.get(key) for key in MODEL_FLAGS if key != "params" and key not in without}
    return {
        **parse_settings(flags.get("set")),
        **{key: value for key, value in own.items() if value is not None},
    }


def resolve(
    flags: Mapping[str, Any], *, kind: str, options: type[BaseModel], signal_flags: Mapping[str, str]
) -> tuple[Any, str]:
    """Lay defaults, preset, file and flags over each other and validate the result.

    Args:
        flags: the values of the command's options by name; None where not given.
        kind: the settings' group for the reader's options, such as `image`.
        options: its class.
        signal_flags: flag → key in that group.

    Returns:
        the settings and the name of the preset.

    Raises:
        ConfigError: when anything is unknown or makes no sense.
    """
    from lrnn_cli.tasks.settings import preset, settings_class

    config: Path | None = flags.get("config")
    yaml = load_yaml(config) if config is not None else {}
    given = nest(
        {
            **{f"model.{name}": flags.get(name) for name in MODEL_FLAGS},
            **{f"fit.{key}": flags.get(flag) for flag, key in FIT_FLAGS.items()},
            **{f"{kind}.{key}": flags.get(flag) for flag, key in signal_flags.items()},
            "model.name": flags.get("model"),
            "fit.lstsq": _moments(flags.get("lstsq")),
        }
    )
    given = overlay({"model": parse_settings(flags.get("set"))}, given)
    user = overlay(yaml, given)
    model_name = _model_name(user)
    name = flags.get("preset") or DEFAULT_PRESET
    below = preset(name, model_name, kind)
    user_model, user_fit = user.get("model") or {}, user.get("fit") or {}
    if isinstance(user_fit, Mapping) and {"steps", "time_s"} & set(user_fit):
        # a budget of one's own replaces the preset's, whatever its unit
        kept = {k: v for k, v in below.get("fit", {}).items() if k not in ("steps", "time_s")}
        below = {**below, "fit": kept}
    cls = settings_class(model_name, kind, options)
    if isinstance(user_model, Mapping) and user_model.get("params") is not None:
        width = cls.model_fields["model"].annotation.width_key  # type: ignore[union-attr]
        below = {**below, "model": {k: v for k, v in below.get("model", {}).items() if k != width}}
    settings = merge(
        cls,
        preset=below,
        yaml=yaml,
        flags=given,
        preset_name=f"preset {name}",
        yaml_name=str(config) if config else "--config",
    )
    return settings, name


def _moments(text: str | None) -> list[str] | None:
    """Read `start,plateau,end` or `none`."""
    if text is None:
        return None
    return [] if text.strip() == "none" else [part.strip() for part in text.split(",")]


def _model_name(user: Mapping[str, Any]) -> str:
    model = user.get("model") or {}
    if isinstance(model, str):
        raise ConfigError(f"model: write 'model: {{name: {model}}}' in the file, or use --model {model}")
    return str(model.get("name", DEFAULT_MODEL)) if isinstance(model, Mapping) else DEFAULT_MODEL


def dump(settings: Any) -> dict[str, Any]:
    """Return the settings as plain values, complete: they give the same run again as --config.

    With a parameter budget the width is left out, since the budget decides it; so is what the signal decides
    unless it was given. What its kind wants of the model is written out.
    """
    from lrnn_cli.tasks.tuned import by_signal, tuned_for

    given = {key for key in settings.model.model_fields_set if getattr(settings.model, key) is not None}
    tree: dict[str, Any] = settings.model_dump(mode="json")
    if tree["model"].get("params") is not None:
        tree["model"].pop(type(settings.model).width_key, None)
    else:
        tree["model"].pop("params", None)
    for kind in type(settings).model_fields:
        wanted = tuned_for(kind, settings.model.name).options_for(settings.model.name, settings.model.params)
        tree["model"].update({key: value for key, value in wanted.items() if key not in given})
        for key in by_signal(kind, settings.model.name) - given:
            tree["model"].pop(key, None)
    return tree
