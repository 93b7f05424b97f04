"""Shipped weights load and compute what they computed when they were trained."""

import hashlib
import json

import numpy as np
import pytest
import torch
from fluxlens.models import checkpoints
from safetensors import safe_open

from tests.models.shipped_outputs import GOLDEN, outputs


def test_shipped_weights_compute_what_they_did():
    """In bits on the machine that wrote the file; other processors round sums otherwise."""
    golden, found = json.loads(GOLDEN.read_text()), outputs()
    assert set(found) == set(golden)
    for name, parts in golden.items():
        assert found[name].pop("digest") == parts.pop("digest"), name
        assert set(found[name]) == set(parts)
        for key, values in parts.items():
            np.testing.assert_allclose(
                found[name][key], values, rtol=2e-4, atol=2e-5, err_msg=f"{name} {key}"
            )


@pytest.mark.parametrize("path", sorted(checkpoints.WEIGHTS.glob("*.safetensors")), ids=lambda p: p.stem)
def test_a_shipped_file_holds_the_tensors_of_its_digest(path):
    total = hashlib.sha256()
    with safe_open(path, framework="pt") as file:
        for key in sorted(file.keys()):
            total.update(key.encode())
            total.update(file.get_tensor(key).numpy().tobytes())
        assert file.metadata()["digest"] == total.hexdigest()[:16]


def test_a_head_comes_back_bit_for_bit_and_as_no_other_kind(tmp_path):
    tensors = {"a": torch.linspace(0, 1, 7), "b": torch.arange(3)}
    path = tmp_path / "new" / "head.safetensors"
    digest = checkpoints.save_head(path, "daily", tensors, {"hidden": 2}, {"rows": 1})
    again, config, card, read = checkpoints.load_head(path, "daily")
    assert (config, card, read) == ({"hidden": 2}, {"rows": 1}, digest)
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())
    assert [one.name for one in path.parent.iterdir()] == ["head.safetensors"]
    with pytest.raises(checkpoints.InputError, match="kind 'daily'"):
        checkpoints.load_head(path, "table")
    with pytest.raises(checkpoints.InputError, match=r"ending in \.safetensors"):
        checkpoints.save_head(tmp_path / "head.pt", "daily", tensors, {}, {})
