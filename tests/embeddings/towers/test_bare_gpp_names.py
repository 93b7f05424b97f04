"""GPP under names that tell the method alone, ``GPP_NT`` and ``GPP_DT``, as FLUXNET-CH4 and own tables have it."""

import zipfile

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import towers
from fluxlens.models.errors import DataWarning, InputError

STARTS = pd.date_range("2019-06-01", periods=3 * 48, freq="30min")
DAYS = pd.date_range("2019-06-01", periods=30)
NIGHT = 4 + np.sin(np.arange(len(STARTS)) / 9)
DAY_TIME = NIGHT + 1.5
METHANE = "FLX_XX-Abc_FLUXNET-CH4_{}_2019-2019_1-1.csv"


def half_hours() -> pd.DataFrame:
    stamps = {"TIMESTAMP_START": STARTS, "TIMESTAMP_END": STARTS + pd.Timedelta("30min")}
    table = pd.DataFrame({key: times.strftime("%Y%m%d%H%M") for key, times in stamps.items()})
    return table.assign(FCH4=80.0, TA_F=12.5, SW_IN_F=150.0, GPP_NT=NIGHT.round(4), GPP_DT=DAY_TIME.round(4))


def daily(names=("GPP_NT", "GPP_DT"), stamps="TIMESTAMP") -> pd.DataFrame:
    gpp = 6 + np.sin(np.arange(len(DAYS)) / 4)
    fluxes = {name: (gpp + at).round(4) for at, name in enumerate(names)}
    return pd.DataFrame({stamps: DAYS.strftime("%Y%m%d"), "TA_F": 12.5, **fluxes})


def write(path, table: pd.DataFrame, units: dict[str, str] | None = None):
    header, *rows = table.to_csv(index=False).splitlines()
    below = [",".join(units.get(column, "-") for column in table)] if units else []
    path.write_text("\n".join([header, *below, *rows]) + "\n")
    return path


def test_half_hours_of_fluxnet_ch4_have_both_partitionings_and_the_weather(tmp_path):
    tower = towers.read(write(tmp_path / METHANE.format("HH"), half_hours()))
    for name, values in (("gpp_nt", NIGHT), ("gpp_dt", DAY_TIME)):
        np.testing.assert_allclose(tower[name], values.reshape(3, 48).mean(axis=1) * 1.0377, rtol=1e-4)
    assert [tower[name].attrs["source_column"] for name in ("gpp_nt", "gpp_dt")] == ["GPP_NT", "GPP_DT"]
    np.testing.assert_allclose(tower["tair"], 12.5)
    np.testing.assert_allclose(tower["sw_in"], 150)
    assert tower.attrs["gpp_source_units"] == "umol m-2 s-1 (half-hourly files)"
    assert tower.attrs["ustar_threshold"] == "not told"


def test_one_partitioning_alone_is_that_one(tmp_path):
    for name, lost in (("gpp_nt", "GPP_DT"), ("gpp_dt", "GPP_NT")):
        tower = towers.read(write(tmp_path / METHANE.format("HH"), half_hours().drop(columns=lost)))
        assert [flux for flux in tower if flux.startswith("gpp")] == [name]
        np.testing.assert_allclose(tower["tair"], 12.5)


def test_days_of_fluxnet_ch4_without_units_are_refused_and_read_with_them(tmp_path):
    path = tmp_path / METHANE.format("DD")
    with pytest.raises(
        InputError, match=r"a file of FLUXNET-CH4 .* GPP_NT of days in no units, need them told"
    ):
        towers.read(write(path, daily()))
    for units, factor in (("gC m-2 d-1", 1), ("umol m-2 s-1", 1.0377)):
        tower = towers.read(write(path, daily(), {"GPP_NT": units, "GPP_DT": units}))
        np.testing.assert_allclose(tower["gpp_nt"], daily()["GPP_NT"] * factor, rtol=1e-6)
        np.testing.assert_allclose(tower["gpp_dt"], daily()["GPP_DT"] * factor, rtol=1e-6)


def test_of_a_zip_of_fluxnet_ch4_the_half_hours_are_read(tmp_path):
    path = tmp_path / "FLX_XX-Abc_FLUXNET-CH4_2019-2019_1-1.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(METHANE.format("DD"), daily().to_csv(index=False))
        archive.writestr(METHANE.format("HH"), half_hours().to_csv(index=False))
    tower = towers.read(path)
    assert (tower.attrs["source_resolution"], dict(tower.sizes)) == ("half-hourly", {"time": 3})


@pytest.mark.parametrize("stamps", ["TIMESTAMP", "DATE"])
def test_own_days_without_units_are_taken_for_those_of_fluxnet_and_told(tmp_path, stamps):
    path = write(tmp_path / "XX-Abc_own.csv", daily(stamps=stamps))
    with pytest.warns(DataWarning, match=r"GPP of XX-Abc_own.csv is taken for gC m-2 d-1.*write the units"):
        tower = towers.read(path)
    np.testing.assert_allclose(tower["gpp_nt"], daily()["GPP_NT"])
    np.testing.assert_allclose(tower["gpp_dt"], daily()["GPP_DT"])


def test_names_with_a_threshold_come_first_and_the_bare_one_fills_in(tmp_path):
    table = daily(("GPP_NT", "GPP_NT_VUT_REF", "GPP_DT"))
    name = "FLX_XX-Abc_FLUXNET2015_FULLSET_DD_2019-2019_1-4.csv"
    tower = towers.read(write(tmp_path / name, table))
    np.testing.assert_allclose(tower["gpp_nt"], table["GPP_NT_VUT_REF"])
    np.testing.assert_allclose(tower["gpp_dt"], table["GPP_DT"])
    with pytest.warns(DataWarning, match="is taken for gC m-2 d-1"):
        tower = towers.read(write(tmp_path / name, table.assign(GPP_NT_VUT_REF=-9999)))
    np.testing.assert_allclose(tower["gpp_nt"], table["GPP_NT"])


def test_two_partitionings_in_two_units_are_refused(tmp_path):
    units = {"GPP_NT": "umol m-2 s-1", "GPP_DT": "gC m-2 d-1"}
    path = write(tmp_path / "XX-Abc_own.csv", daily(), units)
    with pytest.raises(
        InputError, match="GPP_NT in 'umol m-2 s-1' and GPP_DT in 'gC m-2 d-1', need one unit"
    ):
        towers.read(path)


def test_gpp_dt_of_reddyproc_stays_that_of_reddyproc(tmp_path):
    table = pd.DataFrame(
        {"Year": STARTS.year, "DoY": STARTS.day_of_year, "Hour": STARTS.hour + STARTS.minute / 60}
    )
    path = tmp_path / "XX-Abc_2019.txt"
    table.assign(GPP_DT=DAY_TIME.round(4), Tair=12.5).to_csv(path, sep="\t", index=False)
    assert towers.read(path).attrs["ustar_threshold"] == "REddyProc"
