"""The settings of a fit as the user writes them, and the presets: torch-free, so that checks are instant.

model: {name: lrnn, rank: 128, …}     the fields of the model's configuration, or params: 200k
fit:   {time_s: 60, lr: 1e-3, …}      `fitting.settings.FitSettings`
image: {grey: true, …}                the reader's options, under the name of the kind
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.catalog import config_class, row
from lrnn_cli.tasks.regression import ModelChoice
from lrnn_cli.tasks.tuned import tuned_for

PRESETS = ("fast", "paper", "best")
BEST_S = {"audio": 7200.0}  # seconds; sounds are given hours


def settings_class(model_name: str, kind: str, options: type[BaseModel]) -> type[BaseModel]:
    """Return the class of settings for a model and a kind of signal; an unknown key is an error.

    Raises:
        ConfigError: when the model is unknown.
    """
    config = config_class(model_name)
    model = create_model(
        f"{config.__name__}Choice",
        __base__=config,
        name=(str, model_name),
        params=(int | None, Field(None, ge=1, description="parameter budget; the width is solved for")),
    )
    return create_model(
        "Settings",
        __config__=ConfigDict(extra="forbid", frozen=True),
        model=(model, Field(default_factory=model)),
        fit=(FitSettings, ...),
        **{kind: (options, Field(default_factory=options))},  # type: ignore[call-overload]
    )


def model_choice(settings: Any) -> ModelChoice:
    """Return the model's part of the settings: name, the options that were given, and the budget."""
    given = settings.model.model_dump(exclude_unset=True)
    name, params = settings.model.name, given.pop("params", None)
    given.pop("name", None)
    return ModelChoice(name=name, options=given, params=params)


def preset(name: str, model_name: str, kind: str = "image") -> dict[str, Any]:
    """Return the settings of a preset for a model.

    fast: a minute. best: ten minutes, for sounds two hours; both with what the kind of signal wants of the
    training of the model. paper: what the model's authors published, from the catalog; for sounds their
    setting for sounds, as one network, for anything else that for images.

    Args:
        name: of the preset.
        model_name: of the model.
        kind: of the signal.

    Returns:
        nested settings, to lie below the user's.

    Raises:
        ConfigError: when the preset is unknown, or the model has no published setting.
    """
    if name in ("fast", "best"):
        budget = 60.0 if name == "fast" else BEST_S.get(kind, 600.0)
        return {"fit": {**tuned_for(kind, model_name).fit, "time_s": budget}}
    if name == "paper":
        is_sound = kind == "audio"
        published = row(model_name).published_sound if is_sound else row(model_name).published
        if published is None:
            what = "setting for sounds" if is_sound else "image setting"
            raise ConfigError(
                f"preset paper: no published {what} is recorded for {model_name}; use fast or best"
            )
        return {**published, "audio": {"segments": 1}} if is_sound else published
    raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
