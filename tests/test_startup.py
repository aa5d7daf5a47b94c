"""Help, version and completion answer at once: nothing is loaded that the answer does not need."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lrnn_cli import __version__
from lrnn_cli.cli.table import COMMANDS
from tests.conftest import RunLrnn, program_env

HEAVY = {
    "torch",
    "numpy",
    "scipy",
    "matplotlib",
    "PIL",
    "tifffile",
    "soundfile",
    "skimage",
    "pydicom",
    "yaml",
}

# Runs the program in a process that lists its modules at the end.
SPY = """
import json, sys
from lrnn_cli.cli.app import main
code = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump({"code": code, "modules": sorted(sys.modules)}, file)
"""


def modules_after(tmp_path: Path, *args: str, env: dict[str, str] | None = None) -> tuple[int, set[str], str]:
    report = tmp_path / "modules.json"
    done = subprocess.run(
        [sys.executable, "-c", SPY, str(report), *args],
        capture_output=True,
        env=program_env(env),
        timeout=60,
        encoding="utf-8",
        check=False,
    )
    assert report.exists(), done.stderr
    found = json.loads(report.read_text())
    return found["code"], set(found["modules"]), done.stdout


@pytest.mark.parametrize(
    "args", [["--help"], ["-h"], ["--version"], ["--show-completion", "bash"]], ids=" ".join
)
def test_the_program_itself_loads_nothing_heavy(tmp_path: Path, args: list[str]) -> None:
    # the shell is the one named, whichever the tests were started from
    env = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    code, modules, out = modules_after(tmp_path, *args, env=env)
    assert code == 0
    assert out
    assert not modules & HEAVY
    assert not [name for name in modules if name.startswith("lrnn_cli.cli.commands.")]


def test_a_lone_version_does_not_even_load_the_option_parser(tmp_path: Path) -> None:
    code, modules, out = modules_after(tmp_path, "--version")
    assert (code, out) == (0, f"lrnn {__version__}\n")
    assert "typer" not in modules


def test_no_arguments_show_help_and_are_a_usage_error(run_lrnn: RunLrnn) -> None:
    done = run_lrnn()
    assert done.returncode == 2
    assert "fit-image" in done.stdout
    assert done.stderr == ""


def test_help_lists_every_command_and_the_exit_codes(run_lrnn: RunLrnn) -> None:
    done = run_lrnn("--help")
    assert done.returncode == 0
    for name, row in COMMANDS.items():
        assert f"{name} " in done.stdout
        assert row.summary in done.stdout
    assert "143 terminated" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_loads_nothing_heavy(tmp_path: Path, name: str) -> None:
    code, modules, out = modules_after(tmp_path, name, "--help")
    assert code == 0
    assert f"lrnn {name}" in out
    assert not modules & HEAVY
    others = {row.target.partition(":")[0] for row in COMMANDS.values()} - {
        COMMANDS[name].target.partition(":")[0]
    }
    assert not modules & others


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_points_at_functions_with_a_help_text(name: str) -> None:
    module, _, function = COMMANDS[name].target.partition(":")
    assert getattr(importlib.import_module(module), function).__doc__


@pytest.mark.parametrize(
    ("words", "expected"),
    [("lrnn fit", "fit-image"), ("lrnn fit-image --mod", "--model"), ("lrnn fit-image --model si", "siren")],
)
def test_completion_knows_commands_options_and_models(tmp_path: Path, words: str, expected: str) -> None:
    env = {"_LRNN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    code, modules, out = modules_after(tmp_path, env=env)
    assert code == 0
    assert expected in out.split()
    assert not modules & HEAVY


TRAIN = """
import sys
from lrnn_cli.fitting.optimizers import OPTIMIZERS, make_optimizer
from lrnn_cli.kernels import native_nadam
from lrnn_cli.models.catalog import build, config_class

model = build("lrnn", config_class("lrnn")(rank=3, dbar=2, depth=2), n_inputs=2, n_outputs=1)
for name in OPTIMIZERS:
    optimizer = make_optimizer(name, model, 1e-3)
    optimizer.load_state_dict(optimizer.state_dict())
if native_nadam.load() is not None:
    optimizer = make_optimizer("nadam", model, 1e-3)
    model.head.weight.sum().backward()
    optimizer.step()
print("torch._dynamo" in sys.modules)
"""


def test_training_does_without_the_compiler_of_torch():
    """Which takes 1.5 s to import: by NAdam in machine code altogether, by the others until they step."""
    done = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
