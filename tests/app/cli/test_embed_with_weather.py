"""Weather of a scene that has none, given to ``fluxlens embed``: kept in the store, or refused with its cause."""

import pandas as pd
import pytest
from fluxlens.app.cli import main
from fluxlens.embeddings.gpp import load_calibration
from fluxlens.embeddings.simulate import simulate
from fluxlens.embeddings.store import Store
from fluxlens.models.errors import InputError


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    """Sentinel-2 of a small simulated scene as one NetCDF file, as odc-stac writes it."""
    scene = simulate("cube", seed=3, size_px=16, start="2020-05-01", end="2020-05-25").load()
    s2 = scene["s2"].to_dataset()
    bands = s2["reflectance"].to_dataset("band").assign(clear=s2["clear"].astype("uint8"))
    path = tmp_path_factory.mktemp("cube") / "cube.nc"
    bands.to_netcdf(path)
    return path


def write_weather(path, start):
    time = pd.date_range(start, periods=60)
    pd.DataFrame({"time": time, "sw_in": 210.0, "tair": 14.0, "vpd": 6.0, "precip": 1.0}).to_csv(
        path, index=False
    )
    return str(path)


def test_weather_of_a_table_is_kept_in_the_store_and_gives_gpp(cube, tmp_path):
    weather = write_weather(tmp_path / "weather.csv", "2020-04-01")
    store = str(tmp_path / "store")
    assert main(["embed", str(cube), "--weather", weather, "--out", store]) == 0
    node = Store.open(store).scene()["weather"].to_dataset()
    assert node.sizes["time"] == 60
    assert float(node["sw_in"][0]) == 210
    assert main(["predict", "gpp", store, "--out", str(tmp_path / "gpp.nc")]) == 0


def test_weather_of_other_days_and_weather_twice_are_refused(cube, tmp_path, capsys):
    weather = write_weather(tmp_path / "weather.csv", "2018-04-01")
    command = ["embed", str(cube), "--weather", weather, "--out", str(tmp_path / "store")]
    assert main(command) == 2
    stderr = capsys.readouterr().err
    assert "weather.csv of 2018-04-01 to 2018-05-30 and a scene of 2020-05-" in stderr
    assert not (tmp_path / "store").exists()


def test_a_folder_of_tables_and_a_missing_calibration_are_named_for_what_they_are(tmp_path, capsys):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "s2.parquet").write_bytes(b"x")
    assert main(["embed", str(tmp_path / "tables"), "--out", str(tmp_path / "store")]) == 2
    assert "a folder of tables (s2.parquet), need a scene; give a table itself" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"the calibration .*no\.json, which is not there"):
        load_calibration(tmp_path / "no.json")
