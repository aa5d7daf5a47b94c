"""The same table in every format: complete, escaped, readable by the programs it is for."""

import csv
import io
from pathlib import Path

import pytest

from lrnn_cli.studies.collect import collect
from lrnn_cli.studies.comparison import Table, compare
from lrnn_cli.studies.measures import parse_targets
from lrnn_cli.studies.sheets import csv_table, escape_latex, facts, latex, legend, markdown, sheets
from tests.studies.folders import course, write_run


@pytest.fixture
def table(tmp_path: Path) -> Table:
    figures = {"lrnn": [40.0, 40.2, 40.1], "siren": [39.9, 40.3, 39.8], "wire": [20.0, 20.1, 20.3]}
    runs = [
        collect(write_run(tmp_path / f"{m}{s}", model=m, psnr=v, seed=s, log=course((1.0, 9, 41.0))))
        for m, values in figures.items()
        for s, v in enumerate(values)
    ]
    return compare(runs, parse_targets("30"))


def test_quality_and_targets_are_two_sheets(table: Table) -> None:
    quality, targets = sheets(table)
    assert quality.header == ["model", "params", "runs", "PSNR/dB", "SSIM", "time/s", "ms/step", "memory/MiB"]
    assert [entry.text for entry in quality.rows[0]][:5] == [
        "lrnn",
        "1000",
        "3",
        "40.10 ± 0.10",
        "0.9000 ± 0.0000",
    ]
    assert [row[3].mark for row in quality.rows] == ["best", "tied", ""]
    assert targets.header == ["model", "success 30 dB", "time/s 30 dB", "steps 30 dB"]
    assert [entry.text for entry in targets.rows[0]] == ["lrnn", "100 % [44, 100]", "1.00 ± 0.00", "9 ± 0"]
    assert [entry.text for entry in targets.rows[2]] == ["wire", "0 % [0, 56]", "–", "–"]


def test_what_is_said_below(table: Table) -> None:
    said = facts(table, "none\nat all")
    assert said[0].startswith("held equal: budget of parameters (1000")
    assert said[1:3] == ["tuning: none", "tuning: at all"]
    assert "machine: A processor (cpu, 1 threads), Linux, torch 2" in said
    assert legend(["best", "tied"]) == "* best mean, ~ within noise of the best"
    assert legend([]) == ""


def test_markdown_has_as_many_cells_in_every_line(table: Table) -> None:
    text = markdown(table)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines[:5]} == {9}
    assert "| lrnn | 1000 | 3 | **40.10 ± 0.10** |" in text
    assert "| 40.00 ± 0.26 ≈ |" in text
    assert "- **bold** best mean, ≈ within noise of the best" in text


def test_latex_has_columns_for_its_cells_and_no_bare_specials(table: Table) -> None:
    text = latex(table)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert rows[1].startswith(r"lrnn & 1000 & 3 & \textbf{40.10 $\pm$ 0.10} & ")
    assert {row.count("&") for row in rows[:4]} == {7}
    assert r"\begin{tabular}{lrrrrrrr}" in text
    assert r"100 \% [44, 100]" in text
    assert r"40.00 $\pm$ 0.26 $\approx$" in text
    assert escape_latex(r"a_b 5% {x} \ ~ ≥") == r"a\_b 5\% \{x\} \textbackslash{} \textasciitilde{} $\ge$"


def test_csv_reads_back_as_it_was(table: Table) -> None:
    first, *others = csv.DictReader(io.StringIO(csv_table([("a.png, of mine", table)])))
    assert first["inputs"] == "a.png, of mine"
    assert float(first["psnr_db_mean"]) == table.rows[0].cells["psnr_db"].mean
    assert (first["psnr_db_mark"], others[0]["psnr_db_mark"], first["psnr_db@30_reached"]) == (
        "best",
        "tied",
        "3",
    )
    assert others[1]["psnr_db@30_s_mean"] == ""


def test_a_failed_run_shows_in_its_row(tmp_path: Path) -> None:
    runs = [
        collect(write_run(tmp_path / f"{s}", seed=s, status=status))
        for s, status in enumerate(("ok", "failed", "ok"))
    ]
    (sheet,) = sheets(compare(runs))
    assert [entry.text for entry in sheet.rows[0]][2:4] == ["3, 1 failed", "30.00 ± 0.00 (2 of 3)"]


def test_a_row_without_any_figure(tmp_path: Path) -> None:
    runs = [
        collect(write_run(tmp_path / "1")),
        collect(write_run(tmp_path / "2", model="siren", status="failed", change={"resources": {}})),
    ]
    table = compare(runs)
    assert [entry.text for entry in sheets(table)[0].rows[1]][3:] == ["–", "–", "–", "100.00", "–"]
