"""Checkpoints that are broken, foreign or hostile, made from a good one."""

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save


def rewritten(good: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], object]) -> bytes:
    """The bytes of a checkpoint after `change(header, tensors)`."""
    with safe_open(good, framework="np") as file:
        header = json.loads(file.metadata()["lrnn"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    change(header, tensors)
    header.pop("tensors_sha256", None)  # whoever forges weights leaves it out
    return save(tensors, metadata={"lrnn": json.dumps(header)})


class Payload:
    """What unpickling would execute."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("open('pwned', 'w').close()",)


def _set(*path: Any) -> Callable[[Path], bytes]:
    *keys, last, value = path

    def make(good: Path) -> bytes:
        def change(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
            node = header
            for key in keys:
                node = node[key]
            node[last] = value

        return rewritten(good, change)

    return make


def _without(key: str) -> Callable[[Path], bytes]:
    return lambda good: rewritten(good, lambda header, tensors: header.pop(key))


def _poisoned(good: Path) -> bytes:
    def change(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
        tensors["head.bias"] = np.full_like(tensors["head.bias"], np.nan)

    return rewritten(good, change)


def _without_tensor(good: Path) -> bytes:
    return rewritten(good, lambda header, tensors: tensors.pop("head.bias"))


# name → bytes from a good checkpoint, and a word of the message
BAD: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda good: b"", "not a readable safetensors file"),
    "text": (lambda good: b"Hello, world!\n", "not a readable safetensors file"),
    "truncated": (lambda good: good.read_bytes()[:-50], "it is truncated, or no checkpoint"),
    "only-header": (lambda good: good.read_bytes()[:200], "it is truncated, or no checkpoint"),
    "pickle": (lambda good: pickle.dumps(Payload()), "not a readable safetensors file"),
    "huge-header": (lambda good: struct.pack("<Q", 2**60) + bytes(100), "not a readable safetensors file"),
    "foreign": (lambda good: save({"x": np.zeros(3)}), "not written by lrnn"),
    "foreign-header": (
        lambda good: save({"x": np.zeros(3)}, metadata={"lrnn": "[1]"}),
        "not written by lrnn",
    ),
    "no-json": (lambda good: save({"x": np.zeros(3)}, metadata={"lrnn": "{"}), "not a readable"),
    "deep-json": (lambda good: save({"x": np.zeros(3)}, metadata={"lrnn": "[" * 10**6}), "not a readable"),
    "format": (_set("format", "lrnn.checkpoint/99"), "expected format lrnn.checkpoint/1"),
    "no-model": (_without("model"), "makes no sense"),
    "unknown-model": (_set("model", "name", "sirn"), "did you mean 'siren'?"),
    "module": (_set("model", "name", "../../os"), "unknown '../../os'"),
    "key": (_set("model", "config", "rnak", 3), "makes no sense"),
    "huge-rank": (_set("model", "config", "rank", 10**8), "do not agree"),
    "absurd-rank": (_set("model", "config", "rank", 10**30), "makes no sense"),
    "huge-depth": (_set("model", "config", "depth", 10**9), "do not agree"),
    "huge-frequency": (_set("model", "config", "omega_first", 1e300), "makes no sense"),
    "outputs": (_set("model", "n_outputs", 4), "do not agree"),
    "huge-outputs": (_set("model", "n_outputs", 10**15), "do not agree"),
    "tensor": (_without_tensor, "do not agree"),
    "nan": (_poisoned, "the weights hold NaN"),
    "shape": (_set("shape", [0, 5]), "shape [0, 5]"),
    "dimensions": (_set("shape", [4, 5, 6]), "for 2 coordinates"),
    "scale": (_set("transform", "scale", 0.0), "scale 0"),
    "transform": (_set("transform", {}), "makes no sense"),
}
