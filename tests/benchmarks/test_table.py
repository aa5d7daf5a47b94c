"""Tables of docs/models.md: rows, resuming, failures in the table."""

import json
import subprocess

import pytest

from benchmarks import machine, table
from lrnn_cli.models.catalog import CATALOG


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Replace the command by a formula; return the list of what was run."""
    done = []

    def run(image, *options):
        done.append((image, options))
        if "broken" in options:
            raise subprocess.CalledProcessError(5, "lrnn", stderr="lrnn: diverged\n")
        seed = int(options[options.index("--seed") + 1])
        return {"options": list(options), "psnr_db": 30.0 + seed, "params": 200_000, "steps": 7}

    monkeypatch.setattr(table, "run", run)
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    return done


def main(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["table", *arguments])
    table.main()


def test_a_table_of_the_models_has_every_row_of_the_catalog_and_nothing_runs_twice(
    runs, tmp_path, monkeypatch
):
    main(monkeypatch, "models", "--seeds", "1")
    main(monkeypatch, "models", "--seeds", "2")
    assert len(runs) == len(set(runs)) == 2 * len(CATALOG) * len(table.IMAGES)
    text = (tmp_path / "table_models.md").read_text()
    for name in CATALOG:
        assert f"| {name} | 200,000 | 30.5 (30.0 … 31.0) |" in text


def test_the_authors_settings_are_those_of_the_catalog():
    assert set(table.rows_of("authors")) == {name for name, row in CATALOG.items() if row.published}


def test_a_failed_run_is_counted_in_its_cell(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(table.ABLATIONS, "none such", ["broken"])
    main(monkeypatch, "ablations", "--seeds", "2", "--rows", "default,none such")
    stored = json.loads((tmp_path / "table_ablations.json").read_text())
    assert {r["psnr_db"] for r in stored["runs"] if r["row"] == "none such"} == {None}
    assert "| none such | – | –, 2 failed |" in (tmp_path / "table_ablations.md").read_text()
    assert (tmp_path / "table_ablations.md").read_text().index("default") > 0
