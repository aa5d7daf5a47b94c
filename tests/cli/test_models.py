"""`lrnn models`: the catalog, the sizes that a budget leads to, and the options of one model."""

from lrnn_cli.models.catalog import CATALOG
from tests.cli.conftest import Lrnn


def test_every_model_is_listed(lrnn: Lrnn) -> None:
    done = lrnn("models", env={"COLUMNS": "20"})
    assert (done.code, done.err) == (0, "")
    header, *lines = done.out.splitlines()
    assert header.split() == ["model", "what", "it", "is", "source"]
    assert [line.split()[0] for line in lines] == list(CATALOG)
    for line, row in zip(lines, CATALOG.values(), strict=True):
        assert row.summary in line and line.endswith(row.citation)
    records = lrnn("models", "--json").json()["models"]
    assert [record["name"] for record in records] == list(CATALOG)
    assert {record["name"]: record["has_paper_preset"] for record in records}["lrnn"]


def test_a_budget_is_met_by_every_model_and_counted_truly(lrnn: Lrnn) -> None:
    done = lrnn("models", "--params", "50k", "--in", 3, "--out", 1, "--json")
    assert done.code == 0
    for record in done.json()["models"]:
        assert record["problem"] is None, record
        assert abs(record["params"] / 50_000 - 1) < 0.1, record
        assert (abs(record["params"] / 50_000 - 1) > 0.01) is record["missed"], record
    text = lrnn("models", "--params", "50k", "--in", 3, "--out", 1).out
    title, header, first, *_ = text.splitlines()
    assert title == "50000 parameters, 3 coordinates, 1 values"
    assert header.split()[:3] == ["model", "params", "shape"]
    lrnn_record = done.json()["models"][0]
    assert f"rank {lrnn_record['config']['rank']}, " in first and str(lrnn_record["params"]) in first
    # the count is the one of a fit
    plan = lrnn("models", "lrnn", "--params", "50k", "--in", 3, "--out", 1, "--json").json()
    assert plan["params"] == lrnn_record["params"]


def test_a_missed_budget_is_marked(lrnn: Lrnn) -> None:
    """Widths are whole numbers: few parameters are often not met within 1 %."""
    records = lrnn("models", "--params", 300, "--json").json()["models"]
    missed = [r["name"] for r in records if not r["problem"] and abs(r["params"] / 300 - 1) > 0.01]
    assert missed == [r["name"] for r in records if r["missed"]] != []
    lines = lrnn("models", "--params", 300).out.splitlines()
    assert [line.split()[0] for line in lines if "; the nearest to 300" in line] == missed
    assert "; the nearest to 300" in lrnn("models", missed[0], "--params", 300).out


def test_a_budget_below_the_smallest_is_told_not_fatal(lrnn: Lrnn) -> None:
    done = lrnn("models", "--params", 3, "--json")
    problems = {record["name"]: record["problem"] for record in done.json()["models"]}
    assert done.code == 0
    assert "needs at least" in problems["kan"]
    assert "needs at least" in lrnn("models", "--params", 3).out
    lrnn("models", "kan", "--params", 3).refused(2, "params 3: kan needs at least")


def test_what_pictures_and_sounds_want_of_a_model_is_told(lrnn: Lrnn) -> None:
    tuned = lrnn("models", "finer", "--json").json()["tuned"]
    assert tuned["image"] == {
        "lr": 1e-3, "optimizer": "adam", "adam_lr": None, "frequency": 1.0, "width": None, "fit": {},
        "full_size": None, "options": {"omega_first": 39.0, "first_bias": 2.6}, "start_ridge": 1e-9,
    }  # fmt: skip
    lines = lrnn("models", "finer").out.splitlines()
    (pictures,) = (line for line in lines if line.startswith("for pictures"))
    (sounds,) = (line for line in lines if line.startswith("for sounds"))
    assert pictures.endswith("learning rate 0.001 with adam, omega_first 39, first_bias 2.6")
    assert "0.34 times the frequency suggested" in sounds
    assert lrnn("models", "mlp-relu", "--json").json()["tuned"] == {}
    (line,) = (line for line in lrnn("models", "lrnn").out.splitlines() if line.startswith("for sounds"))
    assert line.endswith("dbar 2, rank 219, schedule cos:0.02")
    (line,) = (line for line in lrnn("models", "lrnn").out.splitlines() if line.startswith("for pictures"))
    assert "learning rate 0.004 with nadam on the CPU, 0.002 with adam, dbar 2" in line
    assert line.endswith(
        "omega_first as the root of the size below 256 samples, first output layer with a ridge of 0.1"
    )
    assert "for pictures" not in lrnn("models", "mlp-relu").out


def test_the_options_of_one_model(lrnn: Lrnn) -> None:
    record = lrnn("models", "lrnn", "--json").json()
    options = {option["key"]: option for option in record["options"]}
    assert record["width_key"] == "rank"
    assert options["dbar"]["type"] == "a whole number >= 1"
    assert "'spder'" in options["sigma"]["type"]
    assert options["layer_norm"]["default"] is True
    assert all(option["description"] for option in record["options"])
    assert record["source"] == CATALOG["lrnn"].citation
    text = lrnn("models", "lrnn", "-p", "20k").out
    assert "--params decides  rank" in text
    assert "parameters: rank " in text
    for option in record["options"]:
        assert option["description"] in text


def test_every_model_describes_every_option(lrnn: Lrnn) -> None:
    for name in CATALOG:
        done = lrnn("models", name, "--json")
        assert (done.code, done.err) == (0, ""), name
        for option in done.json()["options"]:
            assert option["description"] and option["type"] != "nothing", (name, option)


def test_mistakes(lrnn: Lrnn) -> None:
    lrnn("models", "sirn").refused(2, "unknown 'sirn'", "did you mean 'siren'?")
    lrnn("models", "--params", "many").refused(2, "'many' is not a count")
    lrnn("models", "--params", "9", "--in", 0).refused(2, "--in")
