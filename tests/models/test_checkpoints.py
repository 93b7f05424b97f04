"""Weights are data: they come back whole, or with one clear sentence."""

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


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="use auto, cpu or cuda"):
        checkpoints.pick_device("abacus")
