"""Precedence, unknown keys, wrong values, and YAML's surprises: each complaint one line that helps."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from lrnn_cli.cli import schema
from lrnn_cli.cli.merge import load_yaml, merge, nest, overlay, parse_settings
from lrnn_cli.errors import ConfigError


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = "lrnn"
    rank: int = Field(128, ge=1)
    omega_first: float = 30.0
    norm: Literal["layer", "off"] = "layer"
    layer_norm: bool = True


class Fit(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    steps: int | None = None
    lr: Annotated[float, Field(gt=0)] = 1e-3
    batch_points: int | Literal["full", "auto"] = "auto"
    optimizer: Literal["adam", "muon"] = "adam"
    crop: tuple[int, int] | None = None
    tags: dict[str, int] = Field(default_factory=dict)
    path: Path | None = None

    @field_validator("steps")
    @classmethod
    def _even(cls, value: int | None) -> int | None:
        if value == 13:
            raise ValueError("13 steps bring bad luck")
        return value


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    model: Model = Model()
    fit: Fit = Fit()
    extra: Model | None = None
    seed: int = 0
    must: int


def merged(**layers: Any) -> Settings:
    defaults = {"must": 1, **layers.pop("defaults", {})}
    return merge(Settings, defaults=defaults, preset_name="preset 'fast'", yaml_name="run.yaml", **layers)


def complaint(**layers: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        merged(**layers)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_layer_overrides_the_one_below_key_by_key() -> None:
    result = merged(
        defaults={"model": {"rank": 1, "omega_first": 1.0}, "seed": 1},
        preset={"model": {"rank": 2}, "fit": {"lr": 0.2}},
        yaml={"model": {"rank": 3, "name": "siren"}, "fit": {"steps": 30}},
        flags={"model": {"rank": 4}},
    )
    assert (result.model.rank, result.model.name, result.model.omega_first) == (4, "siren", 1.0)
    assert (result.fit.lr, result.fit.steps, result.seed) == (0.2, 30, 1)
    assert merged().fit.lr == 1e-3, "what no layer gives comes from the model itself"


def test_layers_are_left_as_they_were() -> None:
    yaml = {"fit": {"tags": {"a": 1}}, "model": {"norm": False}}
    merged(yaml=yaml, flags={"fit": {"tags": {"b": 2}}})
    assert yaml == {"fit": {"tags": {"a": 1}}, "model": {"norm": False}}


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (
            {"yaml": {"modle": {}}},
            "unknown key 'modle'; did you mean 'model'? (run.yaml)",
        ),
        (
            {"yaml": {"model": {"omgea_first": 1}}},
            "unknown key 'model.omgea_first'; did you mean 'model.omega_first'? (run.yaml)",
        ),
        (
            {"yaml": {"rank": 3}},
            "unknown key 'rank'; did you mean 'model.rank'? (run.yaml)",
        ),
        (
            {"preset": {"fit": {"xyz": 1}}},
            "unknown key 'fit.xyz'; known: fit.steps, fit.lr, fit.batch_points, fit.optimizer, "
            "fit.crop, fit.tags, fit.path (preset 'fast')",
        ),
        (
            {"flags": {"extra": {"rnk": 1}}},
            "unknown key 'extra.rnk'; did you mean 'extra.rank'? (command line)",
        ),
        (
            {"yaml": {"model": "siren"}},
            "model (run.yaml): expected a group of settings, got 'siren'",
        ),
        (
            {"yaml": {"extra": 3}},
            "extra (run.yaml): expected a group of settings, got 3",
        ),
        (
            {"flags": {"model": {"rank": "many"}}},
            "model.rank (command line): expected a whole number, got 'many'",
        ),
        (
            {"yaml": {"model": {"rank": 2.5}}},
            "model.rank (run.yaml): expected a whole number, got 2.5",
        ),
        (
            {"yaml": {"model": {"rank": 0}}},
            "model.rank (run.yaml): expected a whole number greater than or equal to 1, got 0",
        ),
        (
            {"yaml": {"fit": {"lr": -1}}, "flags": {"seed": 3}},
            "fit.lr (run.yaml): expected a number greater than 0, got -1",
        ),
        (
            {"yaml": {"fit": {"batch_points": "ful"}}},
            "fit.batch_points (run.yaml): expected a whole number or 'full', 'auto', got 'ful'; "
            "did you mean 'full'?",
        ),
        (
            {"yaml": {"fit": {"optimizer": "adm"}}},
            "fit.optimizer (run.yaml): expected one of 'adam', 'muon', got 'adm'; did you mean 'adam'?",
        ),
        (
            {"yaml": {"fit": {"crop": [1]}}},
            "fit.crop (run.yaml): expected a list of 2 values, got [1]",
        ),
        (
            {"yaml": {"fit": {"tags": {"a": "b"}}}},
            "fit.tags.a (run.yaml): expected a group of settings, got 'b'",
        ),
        (
            {"yaml": {"fit": {"steps": 13}}},
            "fit.steps (run.yaml): 13 steps bring bad luck",
        ),
        (
            {"yaml": {"model": {"name": None}}},
            "model.name (run.yaml): expected text, got nothing",
        ),
        (
            {"defaults": {"must": "x" * 99}},
            f"must (defaults): expected a whole number, got '{'x' * 56}...",
        ),
        (
            {"yaml": {"fit": {"steps": True}}},
            "steps (run.yaml: fit): expected a whole number, got true; YAML reads on/yes without "
            "quotes as true",
        ),
        (
            {"yaml": {"model": {"name": False}}},
            "name (run.yaml: model): expected text, got false; YAML reads off/no without quotes as false",
        ),
        (
            {"yaml": {"fit": {"optimizer": False}}},
            "optimizer (run.yaml: fit): expected one of 'adam', 'muon', got false; YAML reads "
            "off/no without quotes as false",
        ),
    ],
)
def test_a_complaint_names_key_source_expected_and_found(layers: dict[str, Any], expected: str) -> None:
    assert complaint(**layers) == expected


def test_a_missing_value_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^must: is missing, expected a whole number$"):
        merge(Settings)


def test_yamls_off_is_a_word_where_a_word_is_meant_and_a_boolean_where_not() -> None:
    result = merged(yaml={"model": {"norm": False, "layer_norm": False}})
    assert (result.model.norm, result.model.layer_norm) == ("off", False)


def test_yamls_1e_4_becomes_a_number(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("fit: {lr: 1e-4}\n")
    assert load_yaml(path) == {"fit": {"lr": "1e-4"}}
    assert merged(yaml=load_yaml(path)).fit.lr == 1e-4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b\n", "expected settings as 'key: value', got a list"),
        ("just words", "expected settings as 'key: value', got a text"),
        ("42", "got a number"),
        ("a: 1\nb: [1, 2\nc: 3\n", "line 3"),
        ("a: 1\na: 2\n", "line 2: the key 'a' appears twice"),
        ("a:\n  1: 2\n", "line 2: the key '1' is not text; put it in quotes"),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1: could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "line 2"),
        ("a: \x07\n", "not valid YAML"),
        ("a: [1]\n? [x, y]\n: 3\n", "line 2"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path)
    message = str(caught.value)
    assert message.startswith(f"--config {path}")
    assert expected in message
    assert "\n" not in message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="directory"):
        load_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_yaml(tmp_path / "latin.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_yaml(tmp_path / "empty.yaml") == {}


def test_yaml_anchors_work(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model: &m {rank: 3}\nextra:\n  <<: *m\n  name: siren\n")
    assert load_yaml(path)["extra"] == {"rank": 3, "name": "siren"}


def test_nest_drops_what_was_not_given() -> None:
    flat = {"model.rank": 3, "model.name": None, "fit.lr": 0.1, "seed": 0, "model": {"norm": "off"}}
    assert nest(flat) == {"model": {"rank": 3, "norm": "off"}, "fit": {"lr": 0.1}, "seed": 0}
    assert nest({"a.b": None}) == {}
    with pytest.raises(ConfigError, match=r"a\.b"):
        nest({"a": 1, "a.b": 2})
    with pytest.raises(ConfigError, match="group"):
        nest({"a.b": 2, "a": 1})


def test_set_options_are_read_as_yaml_scalars() -> None:
    items = [
        "rank=64",
        "lr=0.5",
        "norm=off",
        "flag=true",
        "name=a=b",
        "list=[1, 2]",
        "a.b=x",
        "rank=65",
        "odd=[",
        "e=",
    ]
    assert parse_settings(items) == {
        "rank": 65, "lr": 0.5, "norm": "off", "flag": True, "name": "a=b", "list": [1, 2], "a": {"b": "x"},
        "odd": "[", "e": "",
    }  # fmt: skip
    assert parse_settings(None) == {}
    for bad in ("rank", "=3", "a..b=3"):
        with pytest.raises(ConfigError, match="expected key=value"):
            parse_settings([bad])


trees = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(trees, trees, trees)
def test_overlay_is_associative_and_has_a_zero(a: Any, b: Any, c: Any) -> None:
    # A value over a group and back forgets the group: only then does the order of laying matter.
    assert overlay({}, a) == overlay(a, {}) == overlay(a, a) == a
    top = overlay(a, overlay(b, c))
    for key in c:
        if not isinstance(c[key], dict):
            assert top[key] == c[key] == overlay(overlay(a, b), c)[key]


def test_all_keys_are_listed_with_their_groups() -> None:
    keys = list(schema.all_keys(Settings))
    assert keys[:3] == ["model", "model.name", "model.rank"]
    assert "fit.lr" in keys
    assert keys[-1] == "must"


def test_types_in_words() -> None:
    assert schema.describe(int | None) == "a whole number"
    assert schema.describe(Literal["a"]) == "'a'"
    assert schema.describe(tuple[Literal["start", "end"], ...] | None) == "a list of 'start', 'end'"
    assert schema.describe(list[int] | str) == "a list of values or text"
    assert schema.describe(bool) == "true or false"
    assert schema.describe(Model) == "a group of settings"
