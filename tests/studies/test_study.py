"""STUDY.yaml as a record: what is combined with what, what it means on the command line, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lrnn_cli.errors import ConfigError
from lrnn_cli.studies.study import Combination, Study, crop_box, nested, overlay


def study(**more):
    return Study(**{"name": "s", "inputs": "a.png", **more})


def test_models_variants_and_grid_multiply_in_the_order_of_the_file() -> None:
    found = study(
        models=["lrnn", {"name": "siren", "label": "siren-fast", "lr": 2e-3}],
        variants={"plain": {}, "wide": {"params": "2k", "fit": {"beta2": 0.9}}},
        grid={"fit.warmup_steps": [1, 2]},
        settings={"params": "1k", "fit": {"clip_norm": 1.0}},
    )
    rows = list(found.combinations())
    assert [row.label for row in rows] == [
        f"{model} {variant} fit.warmup_steps={n}"
        for model in ("lrnn", "siren-fast")
        for variant in ("plain", "wide")
        for n in (1, 2)
    ]
    last = rows[-1]
    assert last.model == "siren"
    assert last.tree == {
        "params": "2k",
        "lr": 2e-3,
        "fit": {"clip_norm": 1.0, "beta2": 0.9, "warmup_steps": 2},
    }


def test_plain_keys_are_options_and_groups_are_groups() -> None:
    tree = {
        "layer_norm": False,
        "grey": True,
        "params": "1k",
        "dirichlet": ["x0=1", "x1=2"],
        "fit": {"lr": 1},
    }
    row = Combination("lrnn", "lrnn", tree)
    assert row.options() == [
        "--no-layer-norm", "--grey", "--params", "1k", "--dirichlet", "x0=1", "--dirichlet", "x1=2",
    ]  # fmt: skip
    assert row.groups() == {"fit": {"lr": 1}}


def test_seeds_are_a_number_or_a_list() -> None:
    assert study(seeds=3).seed_list() == [0, 1, 2]
    assert study(seeds=[5, 7]).seed_list() == [5, 7]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"name": "a/b"}, "expected letters, digits, dots, dashes and underscores, got 'a/b'"),
        ({"inputs": []}, "expected at least one"),
        ({"models": []}, "expected at least one"),
        ({"seeds": 0}, "expected at least one"),
        ({"seeds": [1, 1]}, "expected different whole numbers from 0, got [1, 1]"),
        ({"seeds": [-1]}, "expected different whole numbers from 0, got [-1]"),
        ({"models": [{"lr": 1}]}, "expected {name: …, options}, got {'lr': 1}"),
        ({"grid": {"dbar": []}}, "dbar: expected at least one value"),
        ({"centre_crop": "256"}, "expected WIDTHxHEIGHT such as 256x256, got '256'"),
        ({"task": "fit-video"}, "fit-image"),
        ({"seed": 1}, "Extra inputs"),
        ({"settings": {"seed": 1}}, "seed: the study sets that itself, for every job alike"),
        ({"settings": {"threads": 2}}, "threads: the study sets that itself, for every job alike"),
        ({"variants": {"a": {"dry-run": True}}}, "dry-run: the study sets that itself"),
    ],
)
def test_nonsense_is_refused(keys, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        study(**keys)
    assert words in str(caught.value)


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="models: 'lrnn' appears twice; give one of them a 'label'"):
        list(study(models=["lrnn", {"name": "lrnn", "lr": 1}]).combinations())


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_the_crop_is_in_the_middle(width: int, height: int, w: int, h: int) -> None:
    if w > width or h > height:
        with pytest.raises(
            ConfigError, match=f"centre_crop: {w}x{h} does not fit into a picture of {width}x{height}"
        ):
            crop_box(f"{w}x{h}", width, height)
        return
    x0, y0, x1, y1 = crop_box(f"{w}x{h}", width, height)
    assert (x1 - x0, y1 - y0) == (w, h)
    assert 0 <= (width - x1) - x0 <= 1
    assert 0 <= (height - y1) - y0 <= 1


trees = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


@given(trees, trees)
def test_what_lies_on_top_wins_and_nothing_else_is_lost(below, above) -> None:
    result = overlay(below, above)
    assert set(result) == set(below) | set(above)
    assert overlay(result, above) == result
    assert overlay(below, {}) == below
    assert overlay({}, above) == above


def test_dotted_keys_are_groups() -> None:
    assert nested("fit.a.b", 3) == {"fit": {"a": {"b": 3}}}
