"""Where ordinary land lies for maps: from sets of measured land, of clear days, each set alike."""

import numpy as np
import pandas as pd
import pytest
import torch
from fluxlens.embeddings import progress
from fluxlens.embeddings.training import gpp_domain, gpp_heads
from fluxlens.models import checkpoints
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.daily_head import Config, DailyHead

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
MEADOW = np.array([0.04, 0.07, 0.05, 0.11, 0.26, 0.32, 0.35, 0.36, 0.20, 0.10])
SNOW = np.array([0.85, 0.86, 0.85, 0.84, 0.83, 0.82, 0.81, 0.80, 0.08, 0.06])


@pytest.fixture(scope="module")
def model():
    return checkpoints.load("default", "cpu")


def folder_of(path, spectrum, plots: int = 12):
    """A folder with a table of plots seen every six days for half a year, each a little different."""
    rng = np.random.default_rng(0)
    parts = []
    for i in range(plots):
        values = spectrum * rng.uniform(0.8, 1.2, len(BANDS)) + rng.normal(0, 0.005, (30, len(BANDS)))
        one = pd.DataFrame(np.clip(values, 0.001, 1), columns=list(BANDS))
        parts.append(
            one.assign(id=f"p{i}", date=pd.date_range("2021-04-01", periods=30, freq="6D").astype(str))
        )
    path.mkdir()
    pd.concat(parts).to_csv(path / "s2.csv", index=False)
    return path


def test_clear_days_of_a_table_count_and_snow_does_not(tmp_path, model):
    z = gpp_domain.measured_land(folder_of(tmp_path / "meadow", MEADOW), model)
    assert z.shape == (12 * gpp_domain.SERIES_DAYS, model.features)
    with pytest.raises(InputError, match=r"Got --measured .* clear days of land, need 320"):
        gpp_domain.measured_land(folder_of(tmp_path / "snow", SNOW), model)


def head_and_land(features: int = 32):
    generator = torch.Generator().manual_seed(1)
    net = DailyHead(Config(features, correction=4))
    net.fit_normalisation(torch.randn(4000, features, generator=generator))
    # Meadows of the embedder: the filter of clear days must let them pass.
    taught = [0.05 * torch.randn(1000, features, generator=generator).numpy() for _ in range(2)]
    land = {
        name: (0.05 * torch.randn(rows, features, generator=generator) + shift).numpy()
        for name, rows, shift in (("a", 900, 0.0), ("b", 5000, 0.05))
    }
    return net, taught, land


def test_only_the_domain_of_maps_changes_and_its_limit_holds_its_share(model, monkeypatch):
    monkeypatch.setattr(gpp_domain, "shows_clear_land", lambda z, _: np.ones(len(z), bool))
    net, taught, land = head_and_land()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    strange = progress.run(gpp_domain.set_map_domain(net, model, taught, land))
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"map_centre", "map_precision", "map_far"}
    # Both sets count alike, though one has five times the rows.
    assert np.mean(list(strange.values())) == pytest.approx(1 - gpp_domain.MAP_SHARE, abs=0.02)
    distance = net.map_distance(torch.from_numpy(np.concatenate(list(land.values()))))
    assert (distance > net.map_limit).float().mean() < 0.12
    assert float(net.map_distance(torch.full((1, 32), 3.0))) > net.map_limit


def test_one_set_of_land_or_land_without_towers_is_refused(tmp_path, model):
    net, taught, land = head_and_land()
    with pytest.raises(InputError, match="Got 1 sets of measured land, need two or more"):
        progress.run(gpp_domain.set_map_domain(net, model, taught, {"a": land["a"]}))
    with pytest.raises(InputError, match="without --towers, need both"):
        progress.run(gpp_heads.run(tmp_path / "x.safetensors", land=("a", "b")))
