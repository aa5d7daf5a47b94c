"""Checkpoints: exact round trips, and one clear line for every file that is none."""

import json
import math
import pickle

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.errors import CheckpointError
from lrnn_cli.fitting import checkpoint
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.checkpoint import Fitted, encode_fitted, load, read
from lrnn_cli.fitting.predict import predict
from lrnn_cli.models.catalog import config_class
from lrnn_cli.numerics.coords import Grid
from tests.cases import CASES, case_id, make
from tests.fitting.support import CPU

SMALL = ("siren", {"width": 3, "depth": 2})
SIGNAL = {"container": "PNG", "dtype": "uint8", "channels": ["R", "G", "B"], "name": "été"}


def fitted_of(case, n_inputs=2, n_outputs=3, dtype=torch.float32):
    name, options = case
    model = make(case, n_inputs, n_outputs, seed=4, dtype=dtype)
    shape = (5, 6, 7)[:n_inputs]
    config = config_class(name)(**options)
    numbers = {"shift": 1 / 3, "scale": 0.1, "peak": 65535.0}
    evaluation = {"device": "cpu", "engine": "fused", "block_points": 512}
    return Fitted(
        name, config, model, n_inputs, n_outputs, **numbers,
        shape=shape, kind="image", signal=SIGNAL, evaluation=evaluation,
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=case_id)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip(tmp_path, case, dtype):
    path = tmp_path / "a.safetensors"
    for d, c in [(1, 1), (2, 3)]:
        fitted = fitted_of(case, d, c, dtype)
        path.write_bytes(encode_fitted(fitted))
        again = load(path)
        assert again.header() == fitted.header()
        assert again.config == fitted.config
        expected, found = fitted.model.state_dict(), again.model.state_dict()
        assert list(expected) == list(found)
        assert all(torch.equal(t, found[key]) and t.dtype == found[key].dtype for key, t in expected.items())
        grid, runner = Grid((4, 5, 3)[:d]), BlockRunner(CPU)
        assert torch.equal(predict(again, grid, runner), predict(fitted, grid, runner))
        assert encode_fitted(again) == path.read_bytes()
        assert all(p.requires_grad for p in again.model.parameters())


def test_the_weights_are_not_drawn_when_loading(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(encode_fitted(fitted_of(SMALL)))
    state = torch.get_rng_state()
    load(path)
    assert torch.equal(torch.get_rng_state(), state)


def parts(data):
    """Header and tensors of a checkpoint."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["lrnn"])
    return header, safetensors.torch.load(data)


def set_in(*keys, value):
    def change(header, tensors):
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = value

    return change


def remove(*keys):
    def change(header, tensors):
        for key in keys[:-1]:
            header = header[key]
        del header[keys[-1]]

    return change


def each_tensor(act):
    def change(header, tensors):
        for name in tensors:
            tensors[name] = act(tensors[name])

    return change


def poison(value):
    def change(header, tensors):
        tensors["head.bias"][0] = value

    return change


DISAGREE = "header and weights do not agree"
SENSELESS = "the header makes no sense"
CHANGES = {
    "another format": (set_in("format", value="lrnn.resume/1"), "expected format lrnn.checkpoint/1, got"),
    "a later format": (set_in("format", value="lrnn.checkpoint/9"), "expected format lrnn.checkpoint/1, got"),
    "no format": (remove("format"), "a safetensors file, but not written by lrnn (no lrnn header)"),
    "no model": (remove("model"), SENSELESS),
    "unknown model": (set_in("model", "name", value="sirne"), "unknown 'sirne'; did you mean 'siren'?"),
    "model a list": (set_in("model", value=[1, 2]), SENSELESS),
    "no width": (remove("model", "config", "width"), DISAGREE),
    "width 0": (set_in("model", "config", "width", value=0), SENSELESS),
    "width 4": (set_in("model", "config", "width", value=4), DISAGREE),
    "width huge": (set_in("model", "config", "width", value=10**9), DISAGREE),
    "width absurd": (set_in("model", "config", "width", value=10**30), SENSELESS),
    "depth 3": (set_in("model", "config", "depth", value=3), DISAGREE),
    "depth huge": (set_in("model", "config", "depth", value=10**9), DISAGREE),
    "unknown option": (set_in("model", "config", "colour", value=1), SENSELESS),
    "config a text": (set_in("model", "config", value="x"), SENSELESS),
    "no inputs": (set_in("model", "n_inputs", value=0), SENSELESS),
    "negative inputs": (set_in("model", "n_inputs", value=-2), SENSELESS),
    "inputs huge": (set_in("model", "n_inputs", value=10**18), DISAGREE),
    "inputs infinite": (set_in("model", "n_inputs", value=math.inf), SENSELESS),
    "no outputs": (set_in("model", "n_outputs", value=0), SENSELESS),
    "outputs a text": (set_in("model", "n_outputs", value="many"), SENSELESS),
    "outputs too many": (set_in("model", "n_outputs", value=4), DISAGREE),
    "no transform": (remove("transform"), SENSELESS),
    "scale nan": (set_in("transform", "scale", value=math.nan), SENSELESS),
    "scale 0": (set_in("transform", "scale", value=0), SENSELESS),
    "shift infinite": (set_in("transform", "shift", value=math.inf), SENSELESS),
    "peak negative": (set_in("transform", "peak", value=-1), SENSELESS),
    "shape missing": (remove("shape"), SENSELESS),
    "shape of another dimension": (set_in("shape", value=[5, 6, 7]), SENSELESS),
    "shape empty": (set_in("shape", value=[0, 6]), SENSELESS),
    "shape of no dimension": (set_in("shape", value=[]), SENSELESS),
    "shape a number": (set_in("shape", value=5), SENSELESS),
    "signal a list": (set_in("signal", value=[1]), SENSELESS),
    "kind missing": (remove("kind"), SENSELESS),
    "a tensor missing": (lambda header, tensors: tensors.pop("head.bias"), "(first at 'head.bias')"),
    "a tensor too many": (lambda header, tensors: tensors.update(odd=torch.ones(1)), "(first at 'odd')"),
    "integers": (each_tensor(lambda t: t.long()), "expected weights all float32 or all float64"),
    "half precision": (each_tensor(lambda t: t.half()), "expected weights all float32 or all float64"),
    "mixed precision": (
        lambda header, tensors: tensors.update({"head.bias": tensors["head.bias"].double()}),
        "expected weights all float32 or all float64",
    ),
    "nan": (poison(math.nan), "the weights hold NaN or infinity"),
    "infinity": (poison(-math.inf), "the weights hold NaN or infinity"),
}


def refused(path):
    """The words with which a file is refused; one line that starts with its path."""
    with pytest.raises(CheckpointError) as caught:
        load(path)
    words = str(caught.value)
    assert words.startswith(f"{path}: ")
    assert "\n" not in words
    return words.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", CHANGES)
def test_hostile_headers_and_weights(tmp_path, name):
    change, words = CHANGES[name]
    header, tensors = parts(encode_fitted(fitted_of(SMALL)))
    change(header, tensors)
    header.pop("tensors_sha256", None)  # whoever forges weights leaves it out
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors.torch.save(tensors, metadata={"lrnn": json.dumps(header)}))
    assert words in refused(path)


@pytest.mark.parametrize("name", [name for name in CHANGES if "model" in name or "huge" in name])
def test_no_memory_is_asked_for(tmp_path, name, monkeypatch):
    def build(*args, **kwargs):
        assert torch.empty(1).device.type == "meta"
        return real(*args, **kwargs)

    real = checkpoint.build
    monkeypatch.setattr(checkpoint, "build", build)
    test_hostile_headers_and_weights(tmp_path, name)


UNREADABLE = "not a readable safetensors file ("


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 200, -1, -100])
def test_truncated(tmp_path, size):
    path = tmp_path / "a.safetensors"
    path.write_bytes(encode_fitted(fitted_of(SMALL))[:size])
    words = refused(path)
    assert words.startswith(UNREADABLE)
    assert words.endswith("); it is truncated, or no checkpoint of a run")


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"some text that is no checkpoint at all",
        (2**62).to_bytes(8, "little") + b"{}",
        pickle.dumps({"weights": [1.0]}),
        (20_000).to_bytes(8, "little") + b"[" * 20_000,
    ],
    ids=["png", "text", "endless header", "pickle", "deep json"],
)
def test_foreign_files(tmp_path, data):
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    assert refused(path).startswith(UNREADABLE)


@pytest.mark.parametrize("text", ["", "null", "5", "[]", "{}", '"lrnn"'])
def test_headers_that_are_not_ours(tmp_path, text):
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors.torch.save({"w": torch.zeros(3)}, metadata={"lrnn": text}))
    words = refused(path)
    if text:
        assert words == "a safetensors file, but not written by lrnn (no lrnn header)"
    else:
        assert words.startswith(UNREADABLE)


def test_deeply_nested_headers(tmp_path):
    path = tmp_path / "a.safetensors"
    text = "[" * 200_000
    path.write_bytes(safetensors.torch.save({"w": torch.zeros(3)}, metadata={"lrnn": text}))
    assert refused(path).startswith(UNREADABLE)


def test_another_programs_weights(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(3)}, path)
    assert refused(path) == "a safetensors file, but not written by lrnn (no lrnn header)"


def test_no_file_and_a_folder(tmp_path):
    assert refused(tmp_path / "absent") == "no such file"
    assert refused(tmp_path) == "not a file; name a checkpoint"


@given(st.data())
def test_no_change_of_bytes_gets_past(tmp_path_factory, data):
    """Any damage is a CheckpointError, unless it leaves all weights as they were."""
    written = fitted_of(SMALL)
    good = bytearray(encode_fitted(written))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(good) - 1))
        good[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(bytes(good))
    try:
        fitted = load(path)
    except CheckpointError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        for name, tensor in written.model.state_dict().items():
            assert torch.equal(fitted.model.state_dict()[name], tensor)


def test_a_flipped_bit_of_a_weight_is_noticed(tmp_path):
    content = bytearray(encode_fitted(fitted_of(SMALL)))
    content[-3] ^= 1
    path = tmp_path / "a.safetensors"
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: the weights are damaged (their sha256 is not the one stored)"


def test_a_file_without_digest_is_read(tmp_path):
    fitted = fitted_of(SMALL)
    header = {"lrnn": json.dumps(fitted.header())}
    path = tmp_path / "old.safetensors"
    path.write_bytes(safetensors.torch.save(dict(fitted.model.state_dict()), metadata=header))
    assert load(path).model_name == fitted.model_name


def test_reading_another_format_on_purpose(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(checkpoint.encode({"w": torch.arange(3.0)}, {"format": "mine/1", "z": [1]}))
    tensors, header = read(path, "mine/1")
    assert header == {"format": "mine/1", "z": [1]}
    assert tensors["w"].tolist() == [0, 1, 2]


def test_the_same_fit_gives_the_same_bytes():
    assert encode_fitted(fitted_of(SMALL)) == encode_fitted(fitted_of(SMALL))
