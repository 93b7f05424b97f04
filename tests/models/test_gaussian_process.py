"""The process with site parts: closed forms agree with leaving out for real; no site is predicted from itself."""

import numpy as np
import pytest
import torch
from fluxlens.models.gpp.gaussian_process import JITTER, SHAPES, SiteGaussianProcess


def world(rows: int = 60, features: int = 3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, features, generator=generator, dtype=torch.float64)
    site = torch.arange(rows) % 6
    y = x[:, 0] + 0.5 * x[:, 1].sin() + 0.3 * torch.randn(6, generator=generator, dtype=torch.float64)[site]
    return x, y, site


@pytest.fixture(scope="module", params=sorted(SHAPES))
def process(request) -> SiteGaussianProcess:
    return SiteGaussianProcess(torch.tensor([0, 0, 1]), request.param).fit(*world(), steps=5)


def test_leaving_a_site_out_in_closed_form_is_leaving_it_out(process):
    x, y, site = world()
    mean, variance = process.leave_group_out()
    stay = site != 2
    found, spread = process.conditioned_on(x[stay], y[stay], site[stay]).predict(x[~stay])
    np.testing.assert_allclose(found, mean[~stay], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(spread, variance[~stay], atol=2 * JITTER)


def test_leaving_another_group_out_still_learns_from_the_own_site(process):
    _, y, _ = world()
    half = torch.arange(len(y)) // 6 % 2
    found, spread = process.leave_group_out(half)
    elsewhere, alone = process.leave_group_out()
    assert (found - y).square().mean() < (elsewhere - y).square().mean()
    assert spread.mean() < alone.mean()


def test_far_from_all_rows_the_spread_is_wider(process):
    x, _, _ = world()
    near, far = (float(process.predict(rows)[1].mean()) for rows in (x, x + 20))
    assert far > near
