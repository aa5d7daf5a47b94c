"""What all tests share: one thread, one seed, no network, and the real program in a process of its own."""

import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# Before torch or numpy is imported anywhere: sums in one order, and as many test processes as cores.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["MPLBACKEND"] = "Agg"

settings.register_profile("lrnn", deadline=None, derandomize=True)
settings.load_profile("lrnn")

# Of the caller's environment these could change what the program says, or how soon.
_FOREIGN = (
    "LRNN_",
    "_LRNN_",
    "NO_COLOR",
    "FORCE_COLOR",
    "TTY_",
    "TERM",
    "COLUMNS",
    "PYTHONUNBUFFERED",
    "CUDA_",
)

RunLrnn = Callable[..., "subprocess.CompletedProcess[str]"]


def program_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the program under test: the caller's, less what would change its words."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**clean, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80", **(extra or {})}


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def run_lrnn(tmp_path: Path) -> RunLrnn:
    """Runs `python -m lrnn_cli ARGS`, by default in the test's own folder.

    `input` and the two outputs are text, or bytes with `text=False`; `env` is laid over a clean environment.
    The exit code is in `.returncode`; an exit by an unhandled signal shows there as a negative number.
    """

    def run(
        *args: object,
        input: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
        text: bool = True,
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "lrnn_cli", *map(str, args)],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            env=program_env(env),
            cwd=cwd or tmp_path,
            timeout=timeout,
            encoding="utf-8" if text else None,
            check=False,
        )

    return run
