"""The jaxtyping signatures of the networks are checked in these tests, not only written down."""

import pytest
import torch
from fluxlens.models.batch import Images
from fluxlens.models.decoder import Land
from fluxlens.models.losses import land_state


def test_shapes_that_do_not_agree_are_refused():
    with pytest.raises(TypeError, match="target"):
        land_state(torch.zeros(3, 2), torch.zeros(4, 2), torch.zeros(2))


def test_another_dtype_is_refused():
    with pytest.raises(TypeError, match=r"\bz\b"):
        Land(32)(torch.zeros(3, 32, dtype=torch.int64))


def test_fields_of_typed_batches_are_checked():
    with pytest.raises(TypeError, match="valid"):
        Images(torch.zeros(2, 10, 9, 9), torch.ones(2, 9, 9))
