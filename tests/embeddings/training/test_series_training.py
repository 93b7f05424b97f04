"""Training on series tables: what is hidden, how often a source is drawn, and weights that grow wider."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import progress
from fluxlens.embeddings.readers.series_table import Observations, SeriesTable
from fluxlens.embeddings.training import embedder, series, simulated
from fluxlens.models import checkpoints
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import SENSORS
from fluxlens.models.training import Recipe

BANDS = {"B02": 0.04, "B03": 0.07, "B04": 0.06, "B08": 0.3, "B11": 0.2, "B12": 0.12}


def table(series_count: int, radar: bool, seed: int = 0) -> SeriesTable:
    """Series of a year, an acquisition every eight days, each with its own level."""
    rng = np.random.default_rng(seed)
    day = np.tile(np.arange(18000, 18365, 8), series_count)
    of = np.repeat(np.arange(series_count), len(day) // series_count)
    sensors = {}
    for name in ("s2", "s1") if radar else ("s2",):
        spec = SENSORS[name]
        level = 0.2 if name == "s2" else -12.0
        values = level + 0.02 * rng.standard_normal((len(day), len(spec.bands)))
        sensors[name] = Observations(of, day, values.astype(np.float32))
    nowhere = np.full(series_count, np.nan)
    return SeriesTable(np.array([f"p{i}" for i in range(series_count)]), sensors, nowhere, nowhere)


def test_no_target_of_a_hidden_date_is_shown():
    source = series.from_table("one", table(8, radar=True))
    batch = next(series.series_batches([[source]], series.HidingConfig(visible_weight=0.0), seed=3))
    for i in range(len(batch.query_days)):
        shown = set(batch.day["s2"][i][batch.valid["s2"][i]].tolist())
        counted = batch.query_days[i][batch.weight[i] > 0].tolist()
        measured = batch.target["s2"][i, :, 0].isfinite().any(-1)[batch.weight[i] > 0]
        assert not shown & {day for day, known in zip(counted, measured, strict=True) if known}


def test_sources_with_radar_are_drawn_more_often_and_groups_alike():
    # Three sources of distinct levels in two groups, one of them with radar: weights 2, 1/2 and 1/2.
    with_radar = series.from_table("a", table(6, radar=True))
    optical = [series.from_table(name, table(6, radar=False)) for name in ("b", "c")]
    batches = series.series_batches([[with_radar], optical], series.HidingConfig(), 0, size=4)
    radar = np.mean([bool(next(batches).target["s1"].isfinite().any()) for _ in range(150)])
    # Two thirds of the batches are of the radar source; of its series some have no hidden radar to be asked for.
    assert 0.5 < radar < 0.8


def test_dates_without_visible_bands_are_no_reason_for_a_warning():
    lost = table(3, radar=False)
    lost.sensors["s2"].values[:10, :4] = np.nan
    assert np.isfinite(series.from_table("lost", lost).weight)


def test_pixels_of_simulated_land_teach_without_their_radar():
    from fluxlens.embeddings.simulate import random_scene
    from fluxlens.embeddings.training.archive import PackedScene

    scene = PackedScene.from_scene(random_scene(3, 16, start="2019-03-01", end="2019-10-31"))
    rng = np.random.default_rng(0)
    assert set(series.from_scene(scene, 5, rng).day) == {"s2", "s1"}
    assert set(series.from_scene(scene, 5, rng, ("s2",)).day) == {"s2"}


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A folder with a CSV of plots, and two tiny simulated landscapes in an own cache."""
    monkeypatch.setenv("FLUXLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(simulated, "SIMULATED_SIZE_PX", 16)
    rng = np.random.default_rng(0)
    dates = pd.date_range("2021-01-01", "2022-06-30", freq="8D")
    rows = [
        {"id": f"plot{i}", "date": date, "lon": 8.0, "lat": 47.0}
        | {band: round(level + 0.01 * rng.standard_normal(), 4) for band, level in BANDS.items()}
        for i in range(6)
        for date in dates
    ]
    folder = tmp_path / "plots"
    folder.mkdir()
    pd.DataFrame(rows).to_csv(folder / "plots.csv", index=False)
    return folder


def test_a_joining_network_may_grow_from_the_weights_it_starts_from(measured, tmp_path):
    out = tmp_path / "wide.safetensors"
    config = embedder.TrainingConfig(
        simulated=1,
        recipe=Recipe(steps=3),
        start=checkpoints.WEIGHTS / "simulated.safetensors",
        measured=(str(measured),),
        season_heads=2,
        hidden=128,
    )
    progress.run(embedder.train_fusion(out, config))
    wide = checkpoints.load(out, "cpu")
    assert (wide.config.hidden, wide.config.season_heads) == (128, 2)
    # Without a width it stays as wide as its start.
    again = tmp_path / "again.safetensors"
    config = embedder.TrainingConfig(
        simulated=1, recipe=Recipe(steps=2), start=out, measured=(str(measured),)
    )
    progress.run(embedder.train_fusion(again, config))
    assert checkpoints.load(again, "cpu").config == wide.config
    narrow = embedder.TrainingConfig(simulated=1, recipe=Recipe(steps=2), start=out, hidden=96)
    with pytest.raises(InputError, match="Got --hidden 96 with a start of 128"):
        progress.run(embedder.train_fusion(again, narrow))


def test_stage_one_learns_an_encoder_from_measured_series_and_the_fusion_takes_it(measured, tmp_path):
    start = checkpoints.WEIGHTS / "s2.safetensors"
    config = embedder.TrainingConfig(
        simulated=1, recipe=Recipe(steps=4), start=start, measured=(str(measured),)
    )
    progress.run(embedder.train_sensor("s2", tmp_path / "s2.safetensors", config))
    learned = checkpoints.load(tmp_path / "s2.safetensors", "cpu")
    weights = learned.encoders["s2"].state_dict()
    before = checkpoints.load(start, "cpu").encoders["s2"].state_dict()
    assert any(not np.array_equal(weights[key], before[key]) for key in weights)
    assert "plots" in learned.identity.card["measured_folders"]
    # The fusion goes on from other weights, reads the new encoder and leaves it as it is.
    out = tmp_path / "fusion.safetensors"
    config = embedder.TrainingConfig(
        simulated=1,
        recipe=Recipe(steps=2),
        start=checkpoints.WEIGHTS / "simulated.safetensors",
        measured=(str(measured),),
    )
    progress.run(embedder.train_fusion(out, config, encoders=tmp_path))
    fusion = checkpoints.load(out, "cpu")
    assert all(np.array_equal(weights[key], fusion.encoders["s2"].state_dict()[key]) for key in weights)
    # The folder lacks an encoder of radar: that of the start stays.
    radar = checkpoints.load("simulated", "cpu").encoders["s1"].state_dict()
    assert all(np.array_equal(radar[key], fusion.encoders["s1"].state_dict()[key]) for key in radar)


def test_stage_one_of_radar_learns_from_the_radar_of_series_alone():
    source = series.from_table("one", table(6, radar=True)).only("s1")
    assert set(source.day) == {"s1"}
    config = series.HidingConfig(main="s1", visible_weight=0.0)
    batch = next(series.series_batches([[source]], config, seed=1))
    assert set(batch.values) == {"s1"}
    counted = batch.weight > 0
    assert batch.target["s1"][counted].isfinite().all()
    assert batch.season.isnan().all()
    # A set without radar has nothing to teach a radar encoder.
    assert series.from_table("one", table(6, radar=False)).only("s1") is None


def test_measured_series_teach_the_sentinels_alone(measured, tmp_path):
    config = embedder.TrainingConfig(simulated=1, recipe=Recipe(steps=1), measured=(str(measured),))
    with pytest.raises(InputError, match="Got --measured with the sensor landsat8, need s2 or s1"):
        progress.run(embedder.train_sensor("landsat8", tmp_path / "l.safetensors", config))
    with pytest.raises(InputError, match="Got --measured without series of s1"):
        progress.run(embedder.train_sensor("s1", tmp_path / "s1.safetensors", config))


def test_a_folder_may_be_left_out_whole_and_an_unknown_name_may_not(measured, tmp_path):
    scenes = tmp_path / "scenes"
    # A scene that is left out is not even opened.
    (scenes / "field").mkdir(parents=True)
    start = checkpoints.WEIGHTS / "simulated.safetensors"
    both = (str(measured), str(scenes))
    config = embedder.TrainingConfig(
        simulated=1, recipe=Recipe(steps=1), start=start, measured=both, leave=("field",)
    )
    out = tmp_path / "fusion.safetensors"
    progress.run(embedder.train_fusion(out, config))
    assert checkpoints.load(out, "cpu").identity.card["left_out"] == ["field"]
    assert "field" not in checkpoints.load(out, "cpu").identity.card["measured_cubes"]
    # A name with a typing error would teach, and be scored as never seen.
    wrong = embedder.TrainingConfig(
        simulated=1, recipe=Recipe(steps=1), start=start, measured=both, leave=("feild", "field")
    )
    with pytest.raises(InputError, match=r"Got --leave feild, need .* \(field, plots\); correct it"):
        progress.run(embedder.train_fusion(out, wrong))
