"""``fluxlens calibrate gpp`` and ``--calibration``: from tables and stores to predictions, exports and the catalog."""

import json
from dataclasses import replace

import intake
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from app_world import DAYS, make_scene, write_store
from fluxlens.app.cli import main
from fluxlens.embeddings.gpp import calibration_file
from fluxlens.embeddings.store import Store
from mosaic_world import write_world


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("calibrate") / "store"
    write_store(path)
    return path


@pytest.fixture(scope="module")
def tower() -> xr.Dataset:
    return make_scene()["tower"].to_dataset()


@pytest.fixture(scope="module")
def calibration(store):
    path = store.parent / "cal.json"
    assert main(["calibrate", "gpp", "--store", str(store), "--out", str(path)]) == 0
    return path


def refused(capsys, words) -> str:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("fluxlens: Got ")
    assert said.count("\n") == 1
    return said


def rows(count: int, gpp: float, site: str = "XX-One") -> pd.DataFrame:
    rng = np.random.default_rng(4)
    bands = rng.uniform(0.8, 1.2, (count, 1)) * np.array([[0.04, 0.07, 0.05, 0.35, 0.20, 0.10]])
    out = pd.DataFrame(bands, columns=["b2", "b3", "b4", "b5", "b6", "b7"])
    out["SITE_ID"], out["date"] = (
        site,
        pd.date_range("2021-05-01", periods=count, freq="20D").strftime("%Y-%m-%d"),
    )
    out = out.assign(T2MIN=283.0, T2MAX=295.0, T2MEAN=289.0, TSMDEWMEAN=282.0, GWETROOT=0.6, SWLAND=220.0)
    return out.assign(PARDFLAND=35.0, lat=48.0, GPP=gpp)


def test_a_table_calibrates_and_its_prediction_follows_the_measurements(tmp_path, capsys):
    table, cal = tmp_path / "rows.csv", tmp_path / "cal.json"
    rows(8, 16.0).to_csv(table, index=False)
    assert main(["calibrate", "gpp", "--table", str(table), "--out", str(cal)]) == 0
    assert "8 measured days at 1 tower(s), 2021-05-01 to 2021-09-18, GPP" in capsys.readouterr().out
    for name, more in (("plain", []), ("fitted", ["--calibration", str(cal)])):
        out = tmp_path / f"{name}.csv"
        assert main(["predict", "gpp", "--table", str(table), "--out", str(out), *more]) == 0
    assert f"{out}: GPP of 8 rows" in capsys.readouterr().out
    plain, fitted = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("plain", "fitted"))
    assert list(plain) == ["site", "date", "gpp", "gpp_lo", "gpp_hi", "ood"]
    assert list(fitted) == [*plain, "calibration"]
    assert fitted["calibration"].str.startswith("XX-One (").all()
    assert abs(fitted["gpp"].mean() - 16) < 0.6 * abs(plain["gpp"].mean() - 16)
    document = json.loads(cal.read_text())
    assert [head["kind"] for head in document["heads"]] == ["daily"]
    assert document["measured"]["days"] == 8


def test_rows_of_another_site_are_moved_less_than_those_of_the_tower(tmp_path, capsys):
    table, cal = tmp_path / "rows.csv", tmp_path / "cal.json"
    pd.concat([rows(8, 16.0, "A"), rows(8, 6.0, "B")]).to_csv(table, index=False)
    assert main(["calibrate", "gpp", "--table", str(table), "--out", str(cal)]) == 0
    # Both towers were measured on the same dates.
    assert "16 measured days at 2 tower(s)" in capsys.readouterr().out
    pd.concat([rows(8, 0.0, name) for name in "ABC"]).to_csv(table, index=False)
    out = tmp_path / "out.csv"
    assert main(["predict", "gpp", "--table", str(table), "--calibration", str(cal), "--out", str(out)]) == 0
    mean = pd.read_csv(out).groupby("site")["gpp"].mean()
    assert mean["B"] < mean["C"] < mean["A"]


def test_a_store_calibrates_and_its_maps_and_exports_name_it(store, calibration, tower, tmp_path):
    lon, lat = tower.attrs["lon"], tower.attrs["lat"]
    # All days that calibrate: what is best for the season may be worse for a month.
    window = ["--start", str(DAYS[0])[:10], "--end", str(DAYS[-1])[:10]]
    outputs = {}
    for name, more in (("plain", []), ("fitted", ["--calibration", str(calibration)])):
        maps, series = tmp_path / f"{name}.nc", tmp_path / f"{name}.csv"
        assert main(["predict", "gpp", str(store), *window, "--out", str(maps), *more]) == 0
        at = ["--at", f"{lon},{lat}", *window, "--out", str(series)]
        assert main(["export", str(store), *at, *more]) == 0
        with xr.open_dataset(maps) as found:
            outputs[name] = found.load(), pd.read_csv(series, comment="#"), series.read_text()
    (plain, plain_rows, plain_text), (fitted, fitted_rows, fitted_text) = outputs["plain"], outputs["fitted"]
    measured = tower["gpp_nt"].sel(time=plain.time).values
    row, col = 20, 28
    before, after = (np.abs(part["gpp"].values[:, row, col] - measured).mean() for part in (plain, fitted))
    assert after < before
    assert fitted.attrs["gpp_calibration"].startswith("XX-Tst: ")
    assert "gpp_calibration" not in plain.attrs
    assert "gpp_calibration: XX-Tst: " in fitted_text
    assert "gpp_calibration" not in plain_text
    np.testing.assert_allclose(fitted_rows["gpp"], fitted["gpp"].values[:, row, col], rtol=1e-3)
    assert not np.allclose(plain_rows["gpp"], fitted_rows["gpp"], rtol=0.02)


def test_an_entry_of_a_catalog_may_carry_a_calibration(store, calibration):
    from fluxlens.embeddings import gpp

    path = store.parent / "catalog.yaml"
    path.write_text(
        "metadata: {version: 1}\nsources:\n"
        "  fitted: {driver: fluxlens_embeddings, args: {store: store, calibration: cal.json}}\n"
        "  lost: {driver: fluxlens_embeddings, args: {store: store, calibration: none.json}}\n"
    )
    catalog = intake.open_catalog(str(path))
    cube = catalog["fitted"].read().isel(x=slice(28, 30), y=slice(20, 22), time=slice(90, 100))
    weather = Store.open(store).scene()["weather"].to_dataset()
    found = gpp.predict(cube, weather)
    assert found.attrs["gpp_calibration"].startswith("XX-Tst: ")
    bare = cube.copy()
    del bare.attrs["gpp_calibration_json"]
    plain = gpp.predict(bare, weather)
    assert not np.allclose(found["gpp"], plain["gpp"], rtol=0.02)
    assert main(["catalog", "check", "--catalog", str(path)]) != 0


def test_entries_of_a_catalog_are_predicted_evaluated_and_calibrated_like_paths(
    store, calibration, tmp_path, capsys
):
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        "metadata: {version: 1}\nsources:\n"
        f"  plain: {{driver: fluxlens_embeddings, args: {{store: {store}}}}}\n"
        f"  fitted: {{driver: fluxlens_embeddings, args: {{store: {store}, calibration: {calibration}}}}}\n"
    )
    window = ["--start", "2020-06-01", "--end", "2020-06-05"]

    def maps(name, *more):
        out = tmp_path / "maps.nc"
        assert main(["predict", "gpp", name, *more, *window, "--out", str(out)]) == 0
        with xr.open_dataset(out) as found:
            return found.load()

    of_catalog = ["--catalog", str(catalog)]
    assert maps("plain", *of_catalog).equals(maps(str(store)))
    # The entry's own calibration counts, as it does for exports.
    assert maps("fitted", *of_catalog).equals(maps(str(store), "--calibration", str(calibration)))

    made = tmp_path / "made.json"
    assert main(["calibrate", "gpp", "--store", "plain", *of_catalog, "--out", str(made)]) == 0
    assert json.loads(made.read_text())["measured"] == json.loads(calibration.read_text())["measured"]
    scores = []
    for words in (["plain", *of_catalog], [str(store)]):
        capsys.readouterr()
        assert main(["evaluate", "gpp", "--store", *words]) == 0
        said = capsys.readouterr()
        scores.append(json.loads(said.out))
        # What was scored is named as it was typed.
        assert scores[-1].pop("store") == words[0]
        assert scores[-1].pop("data") == f"the tower of {words[0]}"
    assert scores[0] == scores[1]
    # No score without the baselines that users know, at each scale, and the split of each.
    for name in ("model", "day_of_year", "nirv", "p_model"):
        assert scores[0][f"{name}.daily.n"] == scores[0]["days"]
        assert scores[0][f"{name}.split"] in said.err
    said = refused(capsys, ["predict", "gpp", "absent", *of_catalog, "--out", tmp_path / "maps.nc"])
    assert "absent" in said


def test_an_export_with_a_calibration_is_made_again_with_it(store, calibration, tower, tmp_path, capsys):
    place = f"{tower.attrs['lon']},{tower.attrs['lat']}"
    out, again = tmp_path / "one.csv", tmp_path / "again.json"
    words = [
        "export",
        store,
        "--at",
        place,
        "--end",
        "2020-04-01",
        "--calibration",
        calibration,
        "--out",
        out,
    ]
    assert main([str(word) for word in [*words, "--replay", again]]) == 0
    capsys.readouterr()
    assert main(["export", "--again", str(again), "--out", str(tmp_path / "two.csv")]) == 0
    assert "the same numbers" in capsys.readouterr().out


def test_fewer_than_three_measured_days_are_refused(store, tmp_path, capsys):
    table, cal = tmp_path / "rows.csv", tmp_path / "cal.json"
    rows(2, 9.0).to_csv(table, index=False)
    assert "Got 2 measured days, need 3" in refused(
        capsys, ["calibrate", "gpp", "--table", table, "--out", cal]
    )
    window = ["--start", str(DAYS[4].date()), "--end", str(DAYS[5].date())]
    assert "Got " in refused(capsys, ["calibrate", "gpp", "--store", store, *window, "--out", cal])
    assert not cal.exists()


def test_wrong_words_and_files_are_refused_with_one_sentence(store, calibration, tmp_path, capsys):
    out, cal = tmp_path / "out.csv", tmp_path / "cal.json"
    assert "--table and --store" in refused(capsys, ["calibrate", "gpp", "--out", cal])
    table = tmp_path / "rows.csv"
    rows(4, 9.0).to_csv(table, index=False)
    both = ["calibrate", "gpp", "--table", table, "--at", "1,2", "--out", cal]
    assert "--data, --at or --sites with --table" in refused(capsys, both)
    assert "need a .json file" in refused(capsys, ["calibrate", "gpp", "--table", table, "--out", out])
    predict = ["predict", "gpp", "--table", table, "--out", out, "--calibration"]
    cal.write_text("{}")
    assert "no whole calibration" in refused(capsys, [*predict, cal])
    assert "which is not there" in refused(capsys, [*predict, tmp_path / "none.json"])
    made = calibration_file.load(calibration)
    replace(made, heads=tuple(replace(head, weights="0" * 16) for head in made.heads)).save(cal)
    assert "made with the GPP weights" in refused(capsys, [*predict, cal])
    assert not out.exists()
    # Tables and maps share one head, and so the calibration by a store's tower.
    assert main([str(word) for word in (*predict, calibration)]) == 0


def test_an_entry_of_several_stores_is_predicted_as_the_store_they_were_cut_from(tmp_path):
    folder = write_world(tmp_path)
    found = {}
    for name in ("whole", "quarters", "gap"):
        out = tmp_path / f"{name}.nc"
        words = ["predict", "gpp", name, "--catalog", str(folder / "catalog.yaml"), "--out", str(out)]
        assert main([*words, "--start", "2020-06-01", "--end", "2020-06-03"]) == 0
        with xr.open_dataset(out) as maps:
            found[name] = maps[["gpp", "gpp_lo", "gpp_hi", "ood"]].load()
    xr.testing.assert_allclose(found["quarters"], found["whole"])
    # The fourth store is left out of the entry: no numbers where there is none.
    is_stored = xr.ones_like(found["whole"]["gpp"].isel(time=0), bool)
    is_stored[20:, 28:] = False
    xr.testing.assert_allclose(found["gap"]["gpp"], found["whole"]["gpp"].where(is_stored))
