"""Probes of measured labels: what the inputs hold is predicted at places the probe never saw."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.embeddings import progress
from fluxlens.embeddings.evaluation import measured_labels
from fluxlens.models import checkpoints
from fluxlens.models.errors import InputError

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
BARE = np.array([0.08, 0.11, 0.14, 0.17, 0.20, 0.22, 0.24, 0.26, 0.32, 0.28])
LEAVES = np.array([0.03, 0.06, 0.03, 0.09, 0.28, 0.36, 0.40, 0.42, 0.18, 0.09])
SIDE = 6


@pytest.fixture(scope="module")
def model():
    return checkpoints.load("default", "cpu")


@pytest.fixture(scope="module")
def farms(tmp_path_factory):
    """Three small scenes whose cover is known, with leaf area measured at some pixels and a map of yield."""
    folder, rng, rows = tmp_path_factory.mktemp("farms"), np.random.default_rng(0), []
    times = pd.date_range("2021-04-01", periods=10, freq="10D")
    for farm in range(3):
        x, y = 600_000 + 1000 * farm + 10.0 * np.arange(SIDE), 5_300_000 - 10.0 * np.arange(SIDE)
        level = rng.uniform(0.2, 1.0, (SIDE, SIDE))
        cover = level * np.linspace(0.3, 1.0, len(times))[:, None, None]  # (time, y, x)
        values = BARE[:, None] + cover[:, None].reshape(len(times), 1, -1) * (LEAVES - BARE)[:, None]
        values = np.round(1e4 * values + 20 * rng.normal(size=values.shape)).astype("uint16")
        scene = xr.Dataset(
            {name: (("time", "y", "x"), values[:, i].reshape(cover.shape)) for i, name in enumerate(BANDS)},
            {"time": times, "y": y, "x": x},
            {"crs": "EPSG:32632"},
        )
        scene["SCL"] = (("time", "y", "x"), np.full(cover.shape, 4, "uint8"))
        scene["yield_dry"] = (("y", "x"), (4 + 5 * level).astype("float32"))
        scene.to_netcdf(folder / f"farm{farm}.nc")
        for k in range(24):
            at, row, col = k % len(times), *divmod(k, SIDE)
            from pyproj import Transformer

            lon, lat = Transformer.from_crs(32632, 4326, always_xy=True).transform(x[col], y[row])
            value = 6 * cover[at, row, col]
            rows.append(
                {"variable": "GLAI", "value": value, "date": times[at].date(), "lon": lon, "lat": lat}
            )
    table = folder.parent / "leaf_area.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    return folder, table


def test_leaf_area_is_predicted_at_farms_left_out(farms, model):
    numbers, text = progress.run(measured_labels.evaluate_in_situ(*farms, model))
    assert {"data", "split", "baselines", "weights"} <= set(numbers)
    assert numbers["GLAI_rows"] == 72
    assert numbers["GLAI_bands_r2"] > 0.9
    assert numbers["GLAI_embedding_r2"] > 0.7
    assert "3 scenes" in text


def test_a_map_is_predicted_inside_fields_left_out(farms, model):
    numbers, _ = progress.run(measured_labels.evaluate_maps(farms[0], "yield_dry", model))
    assert {"data", "split", "baselines", "weights"} <= set(numbers)
    assert (numbers["scenes"], numbers["pixels"]) == (3, 3 * SIDE**2)
    assert numbers["bands_correlation"] > 0.9
    assert numbers["embedding_correlation"] > 0.7
    with pytest.raises(InputError, match="Got 0 scenes with protein, need three"):
        progress.run(measured_labels.evaluate_maps(farms[0], "protein", model))


def test_measurements_outside_all_scenes_are_refused(farms, model, tmp_path):
    table = pd.read_csv(farms[1]).assign(lon=0.0)
    table.to_csv(tmp_path / "far.csv", index=False)
    with pytest.raises(InputError, match="Got measurements inside 0 scenes"):
        progress.run(measured_labels.evaluate_in_situ(farms[0], tmp_path / "far.csv", model))
    table.drop(columns="lon").to_csv(tmp_path / "nowhere.csv", index=False)
    with pytest.raises(InputError, match=r"Got nowhere.csv without lon, need them"):
        progress.run(measured_labels.evaluate_in_situ(farms[0], tmp_path / "nowhere.csv", model))


@pytest.mark.filterwarnings("ignore::fluxlens.models.errors.DataWarning")
def test_classes_of_series_are_told_apart(model, tmp_path):
    rng, rows, plots = np.random.default_rng(1), [], []
    days = pd.date_range("2021-03-01", "2021-10-31", freq="8D")
    for plot in range(24):
        crop, peak = ("wheat", 90) if plot % 2 else ("maize", 160)
        plots.append({"id": f"p{plot}", "crop": crop})
        for day in days:
            cover = np.exp(-(((day - days[0]).days - peak) ** 2) / 1800)
            values = BARE + cover * (LEAVES - BARE) + 0.005 * rng.normal(size=len(BANDS))
            rows.append(
                {"id": f"p{plot}", "date": day.date(), **dict(zip(BANDS, values.round(4), strict=True))}
            )
    pd.DataFrame(rows).to_csv(tmp_path / "s2.csv", index=False)
    pd.DataFrame(plots).to_csv(tmp_path / "parcels.csv", index=False)
    numbers, _ = progress.run(measured_labels.evaluate_classes(tmp_path, "crop", model))
    assert {"data", "split", "baselines", "weights"} <= set(numbers)
    assert (numbers["series"], numbers["classes"]) == (24, 2)
    assert numbers["embedding_balanced_accuracy"] > 0.9
    assert numbers["bands_balanced_accuracy"] > 0.9
    with pytest.raises(InputError, match="Got no table with ids and the column variety"):
        progress.run(measured_labels.evaluate_classes(tmp_path, "variety", model))
