"""What the documents say is tried: command lines of the README, the generated help pages, files named."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lrnn_cli.objectives.compile_poisson import compile_problem
from lrnn_cli.objectives.poisson import ProblemConfig

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SMALL = {  # budgets of the README's commands, made small enough for a test
    "--time": ["--steps", "5"],
    "--params": ["--params", "3k"],
    "--rank": ["--rank", "8"],
    "--size": ["--size", "32"],
    "--seeds": ["--seeds", "1"],
}
JQ = """import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].strip(".").split("."):
    value = value[key]
print(json.dumps(value))
"""
INPUTS = {".png": ["--resize", "24x24"]}


def readme_commands() -> list[str]:
    """Return every line of a sh block in the README that starts the program."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if re.match(r"\s*lrnn\s", line)]


def shrink(line: str) -> str:
    """Replace budgets by small ones and pictures by thumbnails; everything else stays as typed."""
    words = shlex.split(line, comments=True)
    if not words[1].startswith(("fit-", "reconstruct-ct", "compare")):
        return line
    small: list[str] = []
    skip = False
    for position, word in enumerate(words):
        if skip:
            skip = False
        elif word in SMALL:
            small += SMALL[word]
            skip = True
        elif word in "|<>":
            return " ".join([*small, *shrink_input(words), *words[position:]])
        else:
            small.append(word)
    return " ".join([*small, *shrink_input(words)])


def shrink_input(words: list[str]) -> list[str]:
    """Return the options that make the reader's work small."""
    budget = [] if {"--time", "--steps"} & set(words) else ["--steps", "5"]
    suffix = next((Path(w).suffix for w in words[2:] if Path(w).suffix in INPUTS), None)
    if words[1] == "reconstruct-ct":
        return budget
    if words[1] == "compare":
        return [*budget, "--", *INPUTS.get(str(suffix), [])]
    return budget + (INPUTS[suffix] if suffix and "--resize" not in words else [])


def test_readme_python_runs():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_stand_in_for_jq():
    words = [sys.executable, "-c", JQ, ".a.b"]
    assert subprocess.run(words, input='{"a": {"b": 1.5}}', capture_output=True, text=True).stdout == "1.5\n"


def test_readme_has_commands():
    assert len(readme_commands()) >= 5


def test_readme_commands_run(tmp_path):
    """All in order in one shell, in a folder with the sample data, since later ones use earlier results."""
    for folder in ("sample_data", "docs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    program = tmp_path / "lrnn"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lrnn_cli "$@"\n')
    program.chmod(0o755)
    if shutil.which("jq") is None:  # the README's pipe needs no more of it than paths of keys
        jq = tmp_path / "jq"
        jq.write_text(f"#!{sys.executable}\n{JQ}")
        jq.chmod(0o755)
    script = "set -e\n" + "\n".join(shrink(line) for line in readme_commands())
    done = subprocess.run(
        ["sh", "-c", f'PATH="{tmp_path}:$PATH"; export PYTHONPATH="{ROOT}"\n{script}'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


def test_help_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "cli_docs.py"), "--check"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "document", sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md"]), ids=lambda path: path.name
)
def test_links_and_files_exist(document):
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    missing = [t for t in targets if not (document.parent / t).exists()]
    assert not missing, missing


def test_tables_in_the_documents_are_those_of_the_results(tmp_path):
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from result_tables import filled
    finally:
        sys.path.pop(0)
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        assert filled(text, ROOT / "benchmarks" / "results") == text, (
            f"{path.name}: run scripts/result_tables.py"
        )
    (tmp_path / "new.md").write_text("## a\n\n| 1 |\n", encoding="utf-8")
    marked = "x\n<!-- table new -->\n{}<!-- end -->\n<!-- table none -->\nkept\n<!-- end -->\n"
    filling = filled(marked.format("old\n"), tmp_path)
    assert filling == marked.format("\n## a\n\n| 1 |\n\n")


def test_the_file_in_the_page_on_equations_is_a_problem() -> None:
    page = (ROOT / "docs" / "poisson.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    problem = compile_problem(ProblemConfig(**yaml.safe_load(block)["problem"]))
    assert (problem.config.name, problem.hard, problem.notes) == ("drum", True, ())
