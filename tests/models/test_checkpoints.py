"""Weights are data: they come back whole, or with one clear sentence."""

import json
import pickle

import pytest
import torch
from fluxlens.models import checkpoints
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from safetensors.torch import save_file


def test_weights_come_back_bit_for_bit_with_their_identity(tmp_path, model):
    path = tmp_path / "m.safetensors"
    digest = checkpoints.save(model, path, "tiny", {"taught_by": "nothing"})
    again = checkpoints.load(path, "cpu")
    assert (again.name, again.digest, again.identity.card) == ("tiny", digest, {"taught_by": "nothing"})
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_other_weights_have_another_digest(tmp_path, model):
    torch.manual_seed(9)
    first = checkpoints.save(model, tmp_path / "a.safetensors", "a", {})
    assert checkpoints.save(Embedder(), tmp_path / "b.safetensors", "a", {}) != first


def test_a_pickle_is_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "boom"), "w"))

    for name in ("weights.pt", "weights.safetensors"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(InputError):
            checkpoints.load(path, "cpu")
    assert not (tmp_path / "boom").exists()


def test_a_truncated_file_a_foreign_file_and_an_unknown_name_are_told_apart(tmp_path, model):
    path = tmp_path / "m.safetensors"
    checkpoints.save(model, path, "tiny", {})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="not a readable safetensors"):
        checkpoints.load(path, "cpu")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="format"):
        checkpoints.load(tmp_path / "foreign.safetensors", "cpu")
    with pytest.raises(InputError, match="no model 'nobody'"):
        checkpoints.load("nobody", "cpu")


def with_header(source, target, change) -> None:
    """A copy of a safetensors file whose header was edited: ``change`` gets the metadata and its configuration."""
    content = source.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    config = json.loads(header["__metadata__"]["config"])
    change(header["__metadata__"], config)
    if "config" in header["__metadata__"]:
        header["__metadata__"]["config"] = json.dumps(config)
    made = json.dumps(header).encode()
    target.write_bytes(len(made).to_bytes(8, "little") + made + content[8 + size :])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda header, config: header.pop("digest"), "KeyError"),
        (lambda header, config: header.pop("config"), "KeyError"),
        (lambda header, config: config.update(features=10**9), "0 to 4096"),
        (lambda header, config: config.update(features=-1), "0 to 4096"),
        (lambda header, config: config.update(features="32"), "cannot be used"),
        (lambda header, config: config.pop("sensors"), "KeyError"),
        (lambda header, config: config.update(sensors=[["s2"]]), "TypeError"),
        (lambda header, config: config.update(run="rm"), "TypeError"),
    ],
)
def test_an_edited_header_is_refused_before_anything_large_is_built(tmp_path, model, change, said):
    checkpoints.save(model, tmp_path / "m.safetensors", "tiny", {})
    with_header(tmp_path / "m.safetensors", tmp_path / "edited.safetensors", change)
    with pytest.raises(InputError, match=said) as caught:
        checkpoints.load(tmp_path / "edited.safetensors", "cpu")
    assert "\n" not in str(caught.value)


def test_one_changed_bit_of_the_weights_is_told(tmp_path, model):
    path = tmp_path / "m.safetensors"
    checkpoints.save(model, path, "tiny", {})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="digest"):
        checkpoints.load(path, "cpu")


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="use auto, cpu or cuda"):
        checkpoints.pick_device("abacus")
