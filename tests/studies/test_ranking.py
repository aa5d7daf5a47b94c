"""Who may be called best: on the same inputs and seeds, with the same means, and no result counted twice."""

import dataclasses

import pytest

from lrnn_cli.errors import ConfigError
from lrnn_cli.studies.collect import RunRecord
from lrnn_cli.studies.comparison import Table, compare
from lrnn_cli.studies.measures import parse_targets
from lrnn_cli.studies.ranking import Figure, rank
from tests.studies.records import record


def marks(table: Table, name: str = "psnr_db") -> dict[str, str]:
    return {row.label: row.cells[name].mark for row in table.rows}


def budgeted(label: str, budget: int | None, psnr: float, seed: int) -> RunRecord:
    """A network of a budget, or a classical method, which has neither budget nor parameters."""
    made = record(label, "a.png", seed, psnr)
    settings = {"model": {"name": label, "params": budget}}
    return dataclasses.replace(made, settings=settings, params=budget)


def test_an_unfinished_study_is_ranked_by_what_all_rows_have() -> None:
    """Row a has the easy input with all seeds, row b only with some: its mean is less, and it is better."""
    easy = [record("a", "easy", s, 50.0 + 0.1 * s) for s in range(8)]
    hard = [record("a", "hard", s, 20.0 + 0.1 * s) for s in range(8)]
    better = [record("b", "easy", 0, 52.0), *(record("b", "hard", s, 22.0 + 0.2 * s) for s in range(8))]
    table = compare([*easy, *hard, *better])
    means = [row.cells["psnr_db"].mean for row in table.rows]
    assert means[0] > means[1]  # over other inputs
    assert marks(table) == {"a": "", "b": "best"}
    assert table.rows[0].cells["psnr_db"].p == pytest.approx(2 / 2**9)  # the nine that both have
    assert any("go by those that all competing rows have" in note for note in table.notes)


def test_without_a_common_input_and_seed_none_is_best() -> None:
    table = compare([record("a", "a.png", 0, 50.0), record("b", "a.png", 1, 20.0)])
    assert set(marks(table).values()) == {""}
    assert any("without any, none is called best" in note for note in table.notes)
    complete = compare([record(label, "a.png", s, 30.0 + s) for label in "ab" for s in range(2)])
    assert not any("competing rows" in note for note in complete.notes)


def test_figures_of_one_run_are_one_pair() -> None:
    """Six pairs that stand on two runs of each row: no more certain than two."""
    a = {(name, s): Figure(v, k) for k, (name, v) in enumerate((("x", 12.0), ("y", 30.0))) for s in range(3)}
    b = {
        (name, s): Figure(v, k) for k, (name, v) in enumerate((("x", 10.0), ("y", 28.0)), 9) for s in range(3)
    }
    assert rank({0: a, 1: b}, upward=True)[1].p == 0.5
    alone = {pair: Figure(one.value, 10 * k + pair[1]) for k, (pair, one) in enumerate(b.items())}
    assert rank({0: a, 1: alone}, upward=True)[1].p == 2 / 2**6  # six runs of the other row are six pairs
    assert rank({0: a, 1: {}}, upward=True) == {}


def test_a_method_without_seeds_is_one_run_for_each_input() -> None:
    def figures(label: str, *values: float, params: int | None = None) -> list[RunRecord]:
        return [
            dataclasses.replace(record(label, name, s, v + (0.1 * s if params else 0)), params=params)
            for name, v in zip("xy", values, strict=True)
            for s in range(3)
        ]

    table = compare([*figures("fbp", 20.0, 30.0), *figures("sart", 22.0, 32.0)], parse_targets("25"))
    assert [(row.n, row.cells["psnr_db"].n) for row in table.rows] == [(2, 2), (2, 2)]
    assert (table.seeds, table.rows[0].targets[0].n) == ([0, 1, 2], 2)
    assert marks(table) == {"fbp": "tied", "sart": "best"}  # two pairs, not six
    assert "fbp, sart: the same result with every seed, which is one run for each input" in table.notes
    network = figures("lrnn", 25.0, 36.0, params=900)
    table = compare([*network, *figures("fbp", 20.0, 30.0)])
    assert marks(table) == {"lrnn": "best", "fbp": ""}  # paired with every seed of the network
    assert table.rows[1].cells["psnr_db"].p == pytest.approx(2 / 2**6)
    assert not any("competing rows" in note for note in table.notes)


def test_a_classical_method_is_a_rival_of_every_network() -> None:
    def table(*budgets: int) -> dict[str, str]:
        nets = [budgeted(f"lrnn {b}", b, 30.0 + b / 100 + s * b / 2000, s) for b in budgets for s in range(3)]
        return marks(compare([*nets, *(budgeted("fbp", None, 25.0, s) for s in range(3))]))

    assert table(200) == {"lrnn 200": "best", "fbp": ""}
    assert table(200, 400) == {"lrnn 200": "", "lrnn 400": "best", "fbp": ""}


def timed(label: str, seed: int, psnr: float, *, machine: str, limit_s: float | None = 20.0) -> RunRecord:
    return dataclasses.replace(record(label, "a.png", seed, psnr), machine=machine, limit_s=limit_s)


def test_budgets_of_time_on_several_machines_are_no_equal_means() -> None:
    """The same seconds on other numbers of threads are not the same training."""
    runs = [timed("lrnn", s, 40.0 + s / 10, machine="cpu, 4 threads") for s in range(3)]
    runs += [timed("siren", s, 30.0 + s / 7, machine="cpu, 1 threads") for s in range(3)]
    table = compare(runs, parse_targets("35"))
    assert set(marks(table).values()) == {""}
    assert {cell.mark for row in table.rows for cell in (row.targets[0].rate, row.targets[0].steps)} == {""}
    assert not any(told.startswith("time") for told in table.equal)
    (note,) = (note for note in table.notes if "times are not compared, and no row is called best" in note)
    assert note.startswith("runs of 2 machines") and "run all with one --threads on one machine" in note
    with pytest.raises(ConfigError, match=r"--equal time: runs of 2 machines .*: cpu, 1 threads; cpu, 4 thr"):
        compare(runs, equal=("time",))
    alike = [dataclasses.replace(one, machine="cpu, 4 threads") for one in runs]
    assert marks(compare(alike, equal=("time",))) == {"lrnn": "best", "siren": ""}


def test_budgets_of_steps_are_equal_on_every_machine() -> None:
    runs = [timed(m, s, v + s / k, machine=m, limit_s=None)
            for m, v, k in (("lrnn", 40.0, 10), ("siren", 30.0, 7)) for s in range(3)]  # fmt: skip
    table = compare(runs)
    assert marks(table) == {"lrnn": "best", "siren": ""}
    assert marks(table, "ms_per_step") == {"lrnn": "", "siren": ""}
    assert not any("no row is called best" in note for note in table.notes)


def test_inputs_of_one_name_are_as_many_as_they_are() -> None:
    runs = [dataclasses.replace(record("lrnn", path, 0, 30.0), input_name="x.png") for path in ("d1", "d2")]
    assert compare(runs).inputs == ["x.png", "x.png"]


def test_runs_of_several_engines_say_so() -> None:
    runs = [
        dataclasses.replace(record("lrnn", "a.png", s, 30.0), engine=engine)
        for s, engine in enumerate(("compiled", "fused"))
    ]
    note = "lrnn: runs of several engines (compiled, fused), which agree to rounding"
    assert note in compare(runs).notes
    assert note not in compare(runs[:1]).notes
