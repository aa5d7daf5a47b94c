"""Settings from four places become one validated object: defaults < preset < --config YAML < flags.

Layers are nested dicts in the shape of a pydantic model: `{"model": {"rank": 64}, "fit": {"lr": 1e-3}}`.
Every complaint is one line: the dotted key, where it came from, what was expected and what was found.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lrnn_cli.cli import schema
from lrnn_cli.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
Tree = Mapping[str, Any]

# What YAML 1.1 turns into a boolean and somebody may have meant as a word.
_WORDS = {False: ("off", "no", "false", "n"), True: ("on", "yes", "true", "y")}


def merge(
    model: type[M],
    *,
    defaults: Tree | None = None,
    preset: Tree | None = None,
    yaml: Tree | None = None,
    flags: Tree | None = None,
    preset_name: str = "preset",
    yaml_name: str = "--config",
) -> M:
    """Lays the layers over each other, later ones winning key by key, and validates the result.

    Args:
        model: the pydantic class of the result; its own defaults lie below `defaults`.
        defaults: the command's defaults.
        preset: the preset's settings.
        yaml: the settings of the configuration file.
        flags: the settings given as flags, without those that were not given (see `nest`).
        preset_name: what messages call the preset.
        yaml_name: what messages call the file.

    Returns:
        The validated settings.

    Raises:
        ConfigError: for an unknown key or a value of the wrong kind.
    """
    layers = [
        ("defaults", defaults or {}),
        (preset_name, preset or {}),
        (yaml_name, _mend_words(yaml or {}, model, yaml_name)),
        ("command line", flags or {}),
    ]
    for name, layer in layers:
        _check_keys(layer, model, name)
    merged: dict[str, Any] = {}
    for _, layer in layers:
        merged = overlay(merged, layer)
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_complaint(error, model, merged, layers)) from error


def overlay(below: Tree, above: Tree) -> dict[str, Any]:
    """Lays one nested dict over another: dicts merge, everything else is replaced.

    Args:
        below: the layer that gives way.
        above: the layer that wins.

    Returns:
        A new dict; the layers stay as they are.
    """
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = (
            overlay(old if isinstance(old, Mapping) else {}, value) if isinstance(value, Mapping) else value
        )
    return result


def nest(flat: Tree) -> dict[str, Any]:
    """Turns dotted keys into nested dicts and drops what was not given.

    Args:
        flat: `{"model.rank": 64, "fit.lr": None}`; None means not given.

    Returns:
        `{"model": {"rank": 64}}`.

    Raises:
        ConfigError: if a key is used both for a value and for a group.
    """
    tree: dict[str, Any] = {}
    for dotted, value in flat.items():
        if value is None:
            continue
        *groups, key = dotted.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{dotted}: {group!r} is a value, it has no keys of its own")
        if isinstance(node.get(key), dict) and not isinstance(value, Mapping):
            raise ConfigError(f"{dotted}: is a group of settings, not a value")
        node[key] = overlay(node.get(key, {}), value) if isinstance(value, Mapping) else value
    return tree


def parse_settings(items: Sequence[str] | None) -> dict[str, Any]:
    """Reads `--set key=value` options; values are read as YAML does: 3, 1e-4, true, [1, 2], text.

    Args:
        items: the options as given; None for none.

    Returns:
        A nested dict; of two values for one key the later one holds.

    Raises:
        ConfigError: for an item without `=` or with a value that is no YAML.
    """
    import yaml

    flat: dict[str, Any] = {}
    for item in items or ():
        key, equals, text = item.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            raise ConfigError(f"--set {item!r}: expected key=value, for example --set rank=64")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        # off, no, yes and the like stay words: only true and false are booleans here
        is_word = isinstance(value, bool) and text.strip().lower() not in ("true", "false")
        flat[key] = text.strip() if value is None or is_word else value
    return nest(flat)


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Reads a configuration file: plain data only, nothing in it is executed.

    Args:
        path: the file.

    Returns:
        Its settings; an empty file holds none.

    Raises:
        ConfigError: if it is missing, unreadable, no YAML, no mapping, or names a key twice.
    """
    import yaml

    try:
        data = yaml.load(Path(path).read_bytes(), Loader=_strict_loader())
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror or error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"--config {path}{where}: {error.problem or 'not valid YAML'}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"--config {path}: not valid YAML: {' '.join(str(error).split())}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"--config {path}: expected settings as 'key: value', got a {_kind(data)}")
    return data


def _strict_loader() -> Any:
    import yaml

    class StrictLoader(yaml.SafeLoader):
        """Like SafeLoader, but a key that appears twice or is no text is an error, not silently dropped."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key_node, _ in node.value:
                if key_node.tag == "tag:yaml.org,2002:merge":
                    continue
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, str):
                    problem = f"the key {key_node.value!r} is not text; put it in quotes"
                elif key in seen:
                    problem = f"the key {key!r} appears twice"
                else:
                    seen.add(key)
                    continue
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            return super().construct_mapping(node, deep)

    return StrictLoader


def _kind(value: object) -> str:
    return {"list": "list", "str": "text", "int": "number", "float": "number"}.get(
        type(value).__name__, "value"
    )


def _check_keys(layer: Tree, model: type[BaseModel], source: str) -> None:
    for path, node, kind in schema.walk(layer, model):
        known = list(kind.model_fields)
        if not isinstance(node, Mapping):
            label = ".".join(path) or source
            raise ConfigError(f"{label} ({source}): expected a group of settings, got {schema.shown(node)}")
        for key in node:
            if key not in known:
                raise ConfigError(f"unknown key {schema.unknown_key(path, str(key), model)} ({source})")


def _mend_words(layer: Tree, model: type[BaseModel], source: str) -> dict[str, Any]:
    """Gives `norm: off`, which YAML reads as false, its word back where a word is wanted."""
    result = dict(layer)
    for key, value in layer.items():
        field = model.model_fields.get(key)
        if field is None:
            continue
        inner = schema.submodel(field.annotation)
        if inner is not None and isinstance(value, Mapping):
            result[key] = _mend_words(value, inner, f"{source}: {key}")
        elif isinstance(value, bool) and not schema.takes_bool(field.annotation):
            meant = [word for word in schema.choices(field.annotation) if word in _WORDS[value]]
            if len(meant) != 1:
                found = str(value).lower()
                raise ConfigError(
                    f"{key} ({source}): expected {schema.describe(field.annotation)}, got {found}; "
                    f"YAML reads {'/'.join(_WORDS[value][:2])} without quotes as {found}"
                )
            result[key] = meant[0]
    return result


def _complaint(
    error: ValidationError, model: type[BaseModel], merged: Tree, layers: Sequence[tuple[str, Tree]]
) -> str:
    problem = error.errors(include_url=False)[0]
    path, annotation = schema.locate(problem["loc"], model)
    dotted = ".".join(path)
    value = schema.lookup(merged, path)
    source = next(
        (name for name, layer in reversed(layers) if schema.lookup(layer, path) is not schema.ABSENT), ""
    )
    if problem["type"] == "extra_forbidden":
        return f"unknown key {schema.unknown_key(path[:-1], path[-1], model)}" + (
            f" ({source})" if source else ""
        )
    label = f"{dotted} ({source})" if dotted and source else dotted or "configuration"
    if problem["type"] == "missing" and value is schema.ABSENT:
        return f"{dotted}: is missing, expected {schema.describe(annotation)}"
    if problem["type"] in ("value_error", "assertion_error"):
        return f"{label}: {str(problem['ctx']['error']) or problem['msg']}"
    if problem["type"] == "finite_number":
        return f"{label}: expected a finite number, got {schema.shown(value)}"
    expected = schema.describe(annotation)
    if len(error.errors()) == 1 and problem["msg"].startswith("Input should be ") and problem.get("ctx"):
        expected = schema.constrained(expected, problem["type"], problem["msg"])
    return (
        f"{label}: expected {expected}, got {schema.shown(value)}{schema.nearest_choice(annotation, value)}"
    )
