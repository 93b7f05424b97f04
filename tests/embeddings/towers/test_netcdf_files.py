"""Several NetCDF files of one tower: years, weather beside fluxes, and what does not belong together."""

import netCDF4
import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import towers
from fluxlens.models.errors import DataWarning, InputError

PLUMBER = "AU-Tum_2019-2019_OzFlux_{}.nc"
FLUXES = {"GPP": (10.0, "umol/m2/s"), "NEE_qc": (0, "-"), "Ustar": (0.4, "m/s"), "Qh": (100.0, "W/m2")}
WEATHER = {"Tair": (288.15, "K"), "SWdown": (200.0, "W/m2"), "Wind": (3.0, "m/s"), "Wind_dir": (200.0, "deg")}


def netcdf(path, variables, first="2019-05-12", days=3, per_day=48, site="AU-Tum"):
    """A tower's file of constants, or of (time,) numbers."""
    with netCDF4.Dataset(path, "w") as data:
        for dim, size in {"time": days * per_day, "y": 1, "x": 1}.items():
            data.createDimension(dim, size)
        time = data.createVariable("time", "f8", ("time",))
        time.units, time[:] = f"seconds since {first} 00:00:00", np.arange(days * per_day) * 86400 / per_day
        for name, (value, units) in variables.items():
            variable = data.createVariable(name, "f4", ("time", "y", "x"), fill_value=-9999.0)
            variable[:], variable.units = (
                np.reshape(np.broadcast_to(value, days * per_day), (-1, 1, 1)),
                units,
            )
        if site:
            data.site_code = site
    return path


@pytest.mark.parametrize("given", ["folder", "list", "other order", "named"])
def test_weather_beside_fluxes_is_of_one_tower(tmp_path, given):
    name = PLUMBER if given != "named" else "Tumbarumba_{}.nc"
    met = netcdf(tmp_path / name.format("Met"), WEATHER)
    flux = netcdf(tmp_path / name.format("Flux"), FLUXES)
    source = {"list": [flux, met], "other order": [met, flux]}.get(given, tmp_path)
    tower = towers.read(source)
    np.testing.assert_allclose(tower["gpp_nt"], [10.377] * 3)
    np.testing.assert_allclose(tower["tair"], 15, rtol=1e-5)
    np.testing.assert_allclose(tower["sw_in"], 200)
    assert (tower.attrs["site"], tower.attrs["source"]) == ("AU-Tum", f"{flux.name} and 1 more")
    wind = towers.turbulence(source)
    assert len(wind) == 144
    np.testing.assert_allclose(wind["direction"], 200)
    np.testing.assert_allclose(wind["ustar"], 0.4)


def test_years_of_netcdf_are_joined_in_a_folder_and_a_catalog(tmp_path):
    for year in (2018, 2020, 2019):
        gpp = {"GPP": (year - 2010.0, "umol/m2/s")}
        netcdf(tmp_path / f"DE-Tha_{year}.nc", gpp, f"{year}-01-01", 365, 24, site="")
    tower = towers.read(tmp_path)
    assert tower.attrs["site"] == "DE-Tha"
    means = tower["gpp_nt"].groupby("time.year").mean() / 1.0377
    np.testing.assert_allclose(means, [8, 9, 10])
    assert [path.name[7:11] for path in towers.files(tmp_path)["DE-Tha"]] == ["2018", "2019", "2020"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"variables": {"GPP": (7.0, "umol/m2/s")}}, r"\(other values at 96 of 96 common times\)"),
        ({"per_day": 24}, r"\(hourly, not half-hourly\)"),
        ({"variables": {"GPP_SOLO": (10.0, "umol/m2/s")}}, r"\(GPP is GPP_SOLO in umol/m2/s, not GPP in"),
    ],
)
def test_what_does_not_fit_is_told_and_left_out(tmp_path, change, why):
    netcdf(tmp_path / "AU-Tum_2018.nc", FLUXES)
    netcdf(tmp_path / "AU-Tum_2019.nc", **{"variables": FLUXES, "days": 2} | change)
    with pytest.warns(
        DataWarning, match=rf"1 of 2 NetCDF files .* beside AU-Tum_2018.nc: AU-Tum_2019.nc {why}"
    ):
        tower = towers.read(tmp_path)
    np.testing.assert_allclose(tower["gpp_nt"], [10.377] * 3)


def test_an_overlap_of_the_same_numbers_and_gaps_filled_by_the_other_are_joined(tmp_path):
    gpp = np.full(144, 10.0)
    gpp[60:100] = -9999.0
    netcdf(tmp_path / "AU-Tum_2018.nc", {"GPP": (gpp, "umol/m2/s")})
    netcdf(tmp_path / "AU-Tum_2019.nc", {"GPP": (10.0, "umol/m2/s")}, "2019-05-13")
    np.testing.assert_allclose(towers.read(tmp_path)["gpp_nt"], [10.377] * 4)


def test_versions_of_one_tower_are_told_and_towers_apart_refused(tmp_path):
    netcdf(tmp_path / PLUMBER.format("Flux"), FLUXES)
    netcdf(tmp_path / PLUMBER.replace("OzFlux", "FLUXNET2015").format("Flux"), FLUXES)
    with pytest.warns(
        DataWarning, match=r"versions, of which one is taken: .*OzFlux_Flux.nc \(not .*FLUXNET2015_Flux"
    ):
        towers.read(tmp_path)
    other = netcdf(tmp_path / "b.nc", FLUXES, site="AU-How")
    with pytest.raises(InputError, match=r"of 2 towers \(AU-How, AU-Tum\)"):
        towers.read([tmp_path / PLUMBER.format("Flux"), other])
    only_met = netcdf(tmp_path / "c.nc", WEATHER)
    with pytest.raises(InputError, match=r"Got 2 NetCDF files of .* without GPP"):
        towers.read([only_met, only_met])


def test_netcdf_beside_tables_is_told(tmp_path):
    stamps = pd.date_range("2019-05-12", periods=30).strftime("%Y%m%d")
    table = tmp_path / "FLX_AU-Tum_FLUXNET_DD_2019.csv"
    pd.DataFrame({"TIMESTAMP": stamps, "GPP_NT_VUT_REF": 5.0, "NEE_VUT_REF_QC": 1.0}).to_csv(
        table, index=False
    )
    with pytest.warns(DataWarning, match="1 NetCDF files are not read beside 1 tables .*: a.nc"):
        tower = towers.read([netcdf(tmp_path / "a.nc", FLUXES), table])
    np.testing.assert_allclose(tower["gpp_nt"], 5)
