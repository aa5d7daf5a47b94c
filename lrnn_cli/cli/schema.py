"""Questions about pydantic models that `merge` needs for its messages: which keys, which kind of value."""

import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

ABSENT = object()

_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    type(None): "nothing",
}


def members(annotation: Any) -> list[Any]:
    """Takes a type apart: the members of a union, without None and without `Annotated`.

    Args:
        annotation: a field's type.

    Returns:
        The types that a value may have, in their order.
    """
    if hasattr(annotation, "__metadata__"):
        return members(annotation.__origin__)
    if get_origin(annotation) in (Union, types.UnionType):
        return [one for part in get_args(annotation) for one in members(part)]
    return [] if annotation is type(None) else [annotation]


def submodel(annotation: Any) -> type[BaseModel] | None:
    """Finds the model that a field holds.

    Args:
        annotation: the field's type.

    Returns:
        The model's class; None if the field holds a plain value or one of several models.
    """
    found = [kind for kind in members(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return found[0] if len(found) == 1 else None


def choices(annotation: Any) -> list[str]:
    """Lists the words that a field takes.

    Args:
        annotation: the field's type.

    Returns:
        The texts of its literals and enumerations; empty if it takes other text, too, or none.
    """
    words = []
    for kind in members(annotation):
        if get_origin(kind) is Literal:
            words += [word for word in get_args(kind) if isinstance(word, str)]
        elif isinstance(kind, type) and issubclass(kind, Enum):
            words += [member.value for member in kind if isinstance(member.value, str)]
    return words


def takes_bool(annotation: Any) -> bool:
    """Whether true and false are values of the type as they are."""
    for kind in members(annotation):
        if kind in (bool, Any, object):
            return True
        if get_origin(kind) is Literal and any(isinstance(arg, bool) for arg in get_args(kind)):
            return True
    return False


def describe(annotation: Any) -> str:
    """Says in words what a type takes.

    Args:
        annotation: a field's type.

    Returns:
        For instance "a whole number or 'full'".
    """
    words = choices(annotation)
    parts = []
    for kind in members(annotation):
        origin = get_origin(kind)
        is_class = isinstance(kind, type) and origin is None
        if origin is Literal or (is_class and issubclass(kind, Enum)):
            continue
        if is_class and issubclass(kind, BaseModel):
            parts.append("a group of settings")
        elif origin in (tuple, list, Sequence) or kind in (tuple, list):
            args = [arg for arg in get_args(kind) if arg is not Ellipsis]
            count = (
                f"{len(args)} values"
                if origin is tuple and Ellipsis not in get_args(kind) and args
                else "values"
            )
            words_in = choices(args[0]) if args else []
            parts.append("a list of " + (", ".join(map(repr, words_in)) or count))
        elif origin in (dict, Mapping) or kind is dict:
            parts.append("a group of settings")
        else:
            parts.append(_NAMES.get(kind, getattr(kind, "__name__", str(kind))))
    if words:
        parts.append(("one of " if len(words) > 1 and not parts else "") + ", ".join(map(repr, words)))
    return " or ".join(dict.fromkeys(parts)) or "nothing"


def constrained(expected: str, problem: str, message: str) -> str:
    """Adds the bound that a value broke to the description of its type.

    Args:
        expected: the type in words.
        problem: pydantic's name of the problem.
        message: pydantic's message, "Input should be greater than 0".

    Returns:
        "a number greater than 0"; `expected` alone if the problem is no bound.
    """
    bounds = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of")
    return f"{expected} {message.removeprefix('Input should be ')}" if problem in bounds else expected


def shown(value: object) -> str:
    """Shows a value in a message, shortened."""
    text = "nothing" if value is None or value is ABSENT else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def nearest_choice(annotation: Any, value: object) -> str:
    """Offers the choice that looks most like a wrong one: "; did you mean 'adam'?", or nothing."""
    found = difflib.get_close_matches(value, choices(annotation), 1, 0.6) if isinstance(value, str) else []
    return f"; did you mean {found[0]!r}?" if found else ""


def unknown_key(path: Sequence[str], key: str, model: type[BaseModel]) -> str:
    """Names an unknown key and the known one it may have been meant for.

    Args:
        path: the keys that lead to it.
        key: the unknown key.
        model: the class of the whole.

    Returns:
        "'model.omgea'; did you mean 'model.omega'?"
    """
    kind: type[BaseModel] | None = model
    for step in path:
        field = kind.model_fields.get(step) if kind else None
        kind = submodel(field.annotation) if field else None
    prefix = "".join(f"{step}." for step in path)
    known = [prefix + name for name in kind.model_fields] if kind else []
    # Near by the last word alone: a long common prefix would make everything look alike.
    found = difflib.get_close_matches(key, [name[len(prefix) :] for name in known], 1, 0.6)
    if found:
        return f"{prefix + key!r}; did you mean {prefix + found[0]!r}?"
    elsewhere = [dotted for dotted in all_keys(model) if dotted.rpartition(".")[2] == key]
    if elsewhere:
        return f"{prefix + key!r}; did you mean {elsewhere[0]!r}?"
    return f"{prefix + key!r}" + (f"; known: {', '.join(known)}" if known else "")


def all_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Goes through the dotted names of all settings.

    Args:
        model: the class of the whole.
        prefix: what to put before each name.

    Yields:
        The names, a group's own name before those in it.
    """
    for name, field in model.model_fields.items():
        yield prefix + name
        inner = submodel(field.annotation)
        if inner is not None:
            yield from all_keys(inner, f"{prefix}{name}.")


def walk(
    tree: Any, model: type[BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, type[BaseModel]]]:
    """Goes through the groups of a nested dict beside the models that describe them.

    Args:
        tree: the nested dict.
        model: the class that describes it.
        path: the keys that lead to it.

    Yields:
        The path of a group, the group, its model.
    """
    yield path, tree, model
    for name, field in model.model_fields.items():
        inner = submodel(field.annotation)
        value = tree.get(name) if isinstance(tree, Mapping) else None
        plain = len(members(field.annotation)) > 1 and not isinstance(value, Mapping)
        if inner is not None and value is not None and not isinstance(value, BaseModel) and not plain:
            yield from walk(value, inner, (*path, name))


def locate(loc: Sequence[int | str], model: type[BaseModel]) -> tuple[tuple[str, ...], Any]:
    """Reads the place of a pydantic error.

    Args:
        loc: pydantic's `loc`, which names union members between the keys.
        model: the class of the whole.

    Returns:
        The keys alone, and the type of the last one.
    """
    path: list[str] = []
    kind: Any = model
    for part in loc:
        inner = submodel(kind)
        if inner is None and (tagged := _tagged(kind, part)) is not None:
            kind = tagged  # pydantic names the member of the union here, which is no key
            continue
        if inner is None:
            if dict in [get_origin(one) or one for one in members(kind)] and isinstance(part, str):
                path.append(part)
            break
        field = inner.model_fields.get(str(part))
        path.append(str(part))
        if field is None:
            break
        kind = field.annotation
    return tuple(path), kind


def _tagged(annotation: Any, tag: int | str) -> type[BaseModel] | None:
    """Finds the model of a union that has a field with this word as its only choice."""
    for kind in members(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if any(choices(field.annotation) == [tag] for field in kind.model_fields.values()):
                return kind
    return None


def lookup(tree: Any, path: Sequence[str]) -> Any:
    """Follows keys into a nested dict.

    Args:
        tree: the nested dict.
        path: the keys.

    Returns:
        The value, or `ABSENT`.
    """
    for key in path:
        if not isinstance(tree, Mapping) or key not in tree:
            return ABSENT
        tree = tree[key]
    return tree
