"""The daily head keeps to physics whatever its weights are, and learns a tiny world."""

import numpy as np
import pytest
import torch
from fluxlens.models.gpp.daily_head import DailyHead
from fluxlens.models.gpp.drivers import DRIVERS, NORMALISATIONS, PIXEL, SOIL_WATER
from fluxlens.models.gpp.fast_silu import silu_
from fluxlens.models.gpp.pmodel import pmodel_lue
from fluxlens.models.gpp.training import SOIL_WATER_SHUFFLE_SHARE, PixelDays, fit, shuffle_soil_water

AIR = len(DRIVERS)


@pytest.fixture
def head() -> DailyHead:
    torch.manual_seed(4)
    return DailyHead().eval()


@pytest.fixture
def pixels() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(50, 32, generator=generator), torch.randn(50, AIR, generator=generator)


def test_nothing_grows_in_the_dark(head, pixels):
    z, air = pixels
    mean, spread = head(z, torch.zeros(50), air)
    assert (mean == 0).all()
    assert (spread > 0).all()


def test_more_light_is_more_growth_but_ever_less_so(head, pixels):
    z, air = pixels
    light = torch.linspace(0, 400, 9)
    mean = torch.stack([head(z, sw.expand(50), air)[0] for sw in light])
    gain = mean.diff(dim=0)
    assert (gain >= 0).all()
    assert (gain.diff(dim=0) <= 1e-5).all()


def test_a_pixel_never_depends_on_its_companions(head, pixels):
    z, air = pixels
    sw = torch.full((50,), 200.0)
    alone = head(z[7:8], sw[:1], air[7:8])[0]
    torch.testing.assert_close(head(z, sw, air)[0][7:8], alone, rtol=1e-5, atol=1e-6)


def test_dry_air_acts_through_the_pmodel_alone_unless_weather_is_missing(head, pixels):
    z, air = pixels
    sw = torch.full((50,), 200.0)
    air[:, [DRIVERS.index(name) for name in DRIVERS if name.startswith("no_")]] = 0
    drier = air.clone()
    drier[:, DRIVERS.index("vpd_recent")] += 1
    drier[:, DRIVERS.index("vpd")] += 1
    drier[:, DRIVERS.index("day_length")] += 1
    share = head(z, sw, drier)[0] / head(z, sw, air)[0]
    torch.testing.assert_close(share, pmodel_lue(drier) / pmodel_lue(air), rtol=1e-4, atol=1e-6)
    drier[:, DRIVERS.index("no_tair")] = 1
    other = drier.clone()
    other[:, DRIVERS.index("day_length")] += 1
    assert (head(z, sw, drier)[0] != head(z, sw, other)[0]).all()


def test_water_in_the_ground_counts(head, pixels):
    z, air = pixels
    sw, wetter = torch.full((50,), 200.0), air.clone()
    wetter[:, DRIVERS.index("wet_full")] += 1
    assert (head(z, sw, wetter)[0] != head(z, sw, air)[0]).all()


def test_some_rows_learn_beside_the_ground_water_of_others_and_no_other_change(pixels):
    _, air = pixels
    shuffled = shuffle_soil_water(air, torch.Generator().manual_seed(1))
    moved = (shuffled != air).any(1)
    assert 0 < moved.sum() <= SOIL_WATER_SHUFFLE_SHARE * len(air)
    assert all((air[:, SOIL_WATER] == row).all(1).any() for row in shuffled[:, SOIL_WATER])
    others = [i for i in range(AIR) if i not in SOIL_WATER]
    assert (shuffled[:, others] == air[:, others]).all()


@pytest.mark.parametrize("name", sorted(NORMALISATIONS))
def test_scaling_a_driver_back_gives_the_physical_value(name):
    values = np.array([0.0, 0.5, 3.0, 17.5, 60.0, 350.0])
    one = NORMALISATIONS[name]
    np.testing.assert_allclose(one.denormalise(one.normalise(values)), values, rtol=1e-12, atol=1e-12)
    back = one.denormalise(torch.from_numpy(one.normalise(values)))
    np.testing.assert_allclose(back, values, rtol=1e-12, atol=1e-12)


def test_all_physical_drivers_are_scaled_and_no_flag_is():
    assert set(NORMALISATIONS) <= set(DRIVERS)
    assert not any(name.startswith("no_") for name in NORMALISATIONS)


def test_the_light_use_efficiency_is_that_of_pyrealm():
    import warnings

    t, vpd_hpa = np.array([2.0, 8, 15, 22, 30, 38]), np.array([2.0, 5, 8, 15, 25, 40])
    air = torch.zeros(6, AIR)
    air[:, DRIVERS.index("tair_recent")] = torch.from_numpy(
        NORMALISATIONS["tair_recent"].normalise(t)
    ).float()
    air[:, DRIVERS.index("vpd_recent")] = torch.from_numpy(
        NORMALISATIONS["vpd_recent"].normalise(vpd_hpa)
    ).float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyrealm announces its new default quantum yield
        from pyrealm.pmodel import PModel, PModelEnvironment

        one = np.ones(6)
        env = PModelEnvironment(
            tc=t, vpd=vpd_hpa * 100, co2=415 * one, patm=101_325 * one, fapar=one, ppfd=one
        )
        lue = PModel(env, method_optchi="prentice14").lue
    np.testing.assert_allclose(pmodel_lue(air), lue, rtol=2e-3)


def test_it_learns_a_tiny_world_and_how_sure_it_may_be(head):
    generator = torch.Generator().manual_seed(6)
    z = torch.randn(4000, 32, generator=generator)
    sw, air = 300 * torch.rand(4000, generator=generator), 0.3 * torch.randn(4000, AIR, generator=generator)
    true = 0.03 * sw * torch.sigmoid(2 * z[:, 0]) * pmodel_lue(air)
    measured = true + 0.5 * torch.randn(4000, generator=generator)
    one_site, simulated = torch.zeros(4000, dtype=torch.int64), torch.zeros(4000, dtype=torch.bool)
    rows = PixelDays(z, sw, air, true, measured, one_site, simulated, torch.full((4000,), 1 / 4000))
    fit(head, rows, steps=250, batch=512)
    mean, spread = head(z, sw, air)
    assert 1 - (mean.detach() - true).square().mean() / true.var() > 0.9
    assert float(spread.detach().median()) == pytest.approx(0.5, abs=0.15)


def test_embeddings_unlike_the_training_data_are_out_of_distribution(head, pixels):
    z, _ = pixels
    head.fit_normalisation(torch.randn(5000, 32))
    assert (head.mahalanobis(8 * z) > head.far).all()
    assert (head.mahalanobis(z) > head.far).float().mean() < 0.2


def test_many_pixels_at_once_get_what_each_gets_alone():
    torch.manual_seed(3)
    net = DailyHead().eval().requires_grad_(False)
    net.fit_normalisation(torch.randn(500, 32) * torch.linspace(0.5, 2, 32) + 0.3)
    steps, scale = torch.randint(-100, 101, (2, 7, 32)).float(), torch.linspace(0.01, 0.03, 32)
    pixel, sw, air = torch.rand(2, 7, 2), torch.tensor([150.0, 300.0]), torch.randn(2, len(DRIVERS))
    air[:, PIXEL] = 0
    mean, spread, distance = net.for_days(scale, sw, air)(slice(0, 2), steps, pixel)
    drive = air[:, None].repeat(1, 7, 1)
    drive[..., PIXEL] = pixel
    alone = net(steps * scale, sw[:, None], drive)
    torch.testing.assert_close(mean, alone[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(spread, alone[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(distance, net.map_distance(steps * scale), rtol=1e-4, atol=1e-4)


def test_the_quick_activation_is_silu_from_end_to_end():
    x = torch.cat([torch.linspace(-200, 200, 4001), torch.tensor([0.0, 1e-30, -1e-30, 1e6, -1e6])])
    torch.testing.assert_close(
        silu_(x.clone()), torch.nn.functional.silu(x.double()).float(), rtol=1e-6, atol=1e-30
    )
    assert silu_(torch.full((3,), torch.nan)).isnan().all()
