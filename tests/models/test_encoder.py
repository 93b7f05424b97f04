"""An acquisition is encoded densely: the same token whatever the tile, and nothing from missing bands."""

import torch
from fluxlens.models.encoder import HALO_PX


def test_tokens_do_not_depend_on_the_tiling(model):
    generator = torch.Generator().manual_seed(3)
    values = torch.rand(2, 10, 40, 40, generator=generator)
    valid = torch.rand(2, 40, 40, generator=generator) < 0.8
    whole = model.encode("s2", values, valid)
    part = model.encode("s2", values[:, :, 10:30, 5:25], valid[:, 10:30, 5:25])
    inner = whole[:, :, 10 : 30 - 2 * HALO_PX, 5 : 25 - 2 * HALO_PX]
    torch.testing.assert_close(part, inner, atol=1e-5, rtol=0)


def test_missing_bands_are_blank_whatever_stands_there(model):
    values = torch.rand(1, 10, 9, 9)
    valid = torch.ones(1, 9, 9, dtype=torch.bool)
    nan, fill = values.clone(), values.clone()
    nan[:, 0], fill[:, 0] = float("nan"), -9999.0
    torch.testing.assert_close(model.encode("s2", nan, valid), model.encode("s2", fill, valid))
    assert torch.isfinite(model.encode("s2", nan, valid)).all()
    assert (model.encode("s2", nan, valid) - model.encode("s2", values, valid)).abs().max() > 1e-4


def test_the_mask_changes_the_tokens(model):
    values = torch.rand(1, 10, 9, 9)
    clear = torch.ones(1, 9, 9, dtype=torch.bool)
    assert (model.encode("s2", values, clear) - model.encode("s2", values, ~clear)).abs().max() > 1e-4
