"""GPP for tables: what is read, what is refused, what a row may and may not depend on, and no leakage."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from fluxlens.embeddings.evaluation import gpp_at_tower, gpp_held_out
from fluxlens.embeddings.evaluation.table_process import TableProcess
from fluxlens.embeddings.gpp import predict_table, table_embeddings, table_features, tables
from fluxlens.models import checkpoints
from fluxlens.models.errors import InputError

SITES = 8


def table(rng: np.random.Generator, sites: int = SITES, rows: int = 14) -> pd.DataFrame:
    """A tiny world where GPP is greenness times light, and every site a little its own."""
    parts = []
    for i in range(sites):
        date = pd.Timestamp("2019-01-05") + pd.to_timedelta(np.sort(rng.integers(0, 700, rows)), unit="D")
        summer = 0.5 - 0.5 * np.cos(2 * np.pi * date.day_of_year.values / 365.25)
        green = np.clip(summer * rng.uniform(0.6, 1) + 0.1 * rng.random(rows), 0.05, 1)
        sw = 60 + 220 * summer + 20 * rng.random(rows)
        tmean = 272 + 22 * summer + rng.normal(0, 2, rows)
        parts.append(
            pd.DataFrame(
                {
                    "SITE_ID": f"S{i}",
                    "date": date.strftime("%Y-%m-%d"),
                    "b2": 0.05 - 0.02 * green,
                    "b3": 0.08 - 0.02 * green,
                    "b4": 0.12 - 0.09 * green,
                    "b5": 0.18 + 0.25 * green,
                    "b6": 0.28 - 0.10 * green,
                    "b7": 0.20 - 0.12 * green,
                    "T2MIN": tmean - 5,
                    "T2MAX": tmean + 6,
                    "T2MEAN": tmean,
                    "TSMDEWMEAN": tmean - 6,
                    "GWETROOT": 0.5 + 0.1 * rng.random(rows),
                    "SWLAND": sw,
                    "PARDFLAND": 0.12 * sw,
                    "TILE_ID_x": "T31UES",
                    "PFT": "GRA",
                    "GPP": np.clip(
                        0.04 * green * sw * rng.uniform(0.9, 1.1) + rng.normal(0, 0.2, rows), -0.1, None
                    ),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return table(np.random.default_rng(1))


def predicted(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the shipped head."""
    return predict_table.predict_rows(tables.clean(rows))


@pytest.fixture(scope="module")
def whole(raw) -> pd.DataFrame:
    return predicted(raw)


def test_one_answer_per_row_in_order_with_the_band_around_it(tmp_path, raw, whole):
    mixed = raw.sample(frac=1, random_state=0)
    mixed.drop(columns=["GPP", "PFT"]).to_csv(tmp_path / "in.csv", index=False)
    predict_table.predict(tmp_path / "in.csv", tmp_path / "out.csv")
    out = pd.read_csv(tmp_path / "out.csv")
    assert list(out.columns) == ["site", "date", "gpp", "gpp_lo", "gpp_hi", "ood"]
    assert list(out["site"]) == list(mixed["SITE_ID"])
    assert list(out["date"]) == list(mixed["date"])
    assert ((out.gpp_lo <= out.gpp) & (out.gpp <= out.gpp_hi)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]
    np.testing.assert_allclose(out["gpp"], whole["gpp"][mixed.index], atol=2e-3)


@pytest.mark.parametrize("weather", [True, False], ids=["with weather", "without weather"])
def test_a_row_of_a_table_gets_what_a_cube_of_its_embeddings_gets(raw, weather):
    """One head: rows through their drivers, days of a cube through quantised steps."""
    from fluxlens.embeddings import gpp
    from fluxlens.embeddings.gpp import table_days

    known = raw if weather else raw[["SITE_ID", "date", *table_features.BANDS]]
    rows = tables.clean(known[known["SITE_ID"] == "S1"].iloc[:6])
    z, sw, drivers = table_days.embed_rows(rows, checkpoints.load("default", "cpu"))
    net = gpp.load().net
    found = predict_table.predict_rows(rows)
    scale, pixel = torch.full((z.shape[1],), 0.01), drivers[:, None, -2:].copy()
    drivers[:, -2:] = 0
    with torch.inference_mode():
        predict = net.for_days(scale, torch.from_numpy(sw), torch.from_numpy(drivers))
        steps = torch.from_numpy(z / 0.01)[:, None].float()
        mean, spread, _ = predict(slice(0, len(rows)), steps, torch.from_numpy(pixel))
    np.testing.assert_allclose(found["gpp"], mean[:, 0], rtol=1e-3, atol=1e-4)
    half = 1.6449 * float(net.interval_scale) * spread[:, 0].numpy()
    np.testing.assert_allclose(found["gpp_hi"] - found["gpp"], half, rtol=1e-3)


def test_a_head_for_tables_of_an_earlier_release_is_refused_in_one_sentence(tmp_path, raw):
    raw.to_csv(tmp_path / "in.csv", index=False)
    checkpoints.save_head(tmp_path / "old.safetensors", "table", {"x": torch.zeros(2)}, {"features": []}, {})
    with pytest.raises(InputError, match=r"Got .*old.*need"):
        predict_table.predict(tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "old.safetensors")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("kept", [[], ["SWLAND", "T2MEAN"], ["TILE_ID_x"]])
def test_only_bands_date_and_site_are_needed(raw, kept):
    poor = predicted(raw[["SITE_ID", "date", *table_features.BANDS, *kept]])
    assert np.isfinite(poor[["gpp", "gpp_lo", "gpp_hi"]].values).all()
    assert (poor.gpp_hi > poor.gpp_lo).all()


@pytest.mark.parametrize("column", ["SWLAND", "b3"])
def test_a_hole_in_one_row_changes_only_its_own_site(raw, whole, column):
    holed = raw.copy()
    holed.loc[3, column] = np.nan
    after = predicted(holed)
    elsewhere = raw["SITE_ID"] != raw["SITE_ID"][3]
    np.testing.assert_allclose(after["gpp"][elsewhere], whole["gpp"][elsewhere], rtol=1e-6)
    assert after["gpp"][3] != whole["gpp"][3]
    assert np.isfinite(after["gpp"][3])
    assert after["ood"][3] or column == "SWLAND"


def test_a_site_without_any_spectrum_is_flagged_and_has_a_number(raw):
    blind = raw[raw["SITE_ID"] == "S1"].assign(**dict.fromkeys(table_features.BANDS, np.nan))
    found = predicted(blind)
    assert found["ood"].all()
    assert np.isfinite(found[["gpp", "gpp_lo", "gpp_hi"]].values).all()


def test_a_site_never_sees_other_sites_of_its_table_nor_the_order_of_rows(raw, whole):
    alone = predicted(raw[raw["SITE_ID"] == "S3"])
    np.testing.assert_allclose(alone["gpp"], whole["gpp"][raw["SITE_ID"] == "S3"], rtol=1e-5)
    mixed = raw.sample(frac=1, random_state=2)
    shuffled = predicted(mixed).set_axis(mixed.index)
    # Float32: the order of the dates changes the last digits of sums.
    np.testing.assert_allclose(shuffled["gpp"].sort_index(), whole["gpp"], rtol=1e-3, atol=1e-3)


def test_gpp_and_land_model_outputs_in_the_input_have_no_influence(raw, whole):
    pd.testing.assert_frame_equal(predicted(raw.assign(GPP=99.0, LHLAND=1e3, SHLAND=-1e3)), whole)


def test_spectra_unlike_any_are_flagged(raw, whole):
    assert predicted(raw.assign(b4=0.9, b5=0.05))["ood"].all()
    assert whole["ood"].mean() < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="b4"), "without b4"),
        (lambda t: t.drop(columns="SITE_ID"), "without site"),
        (lambda t: t.assign(date="spring"), "without a date, the first row 1 .'spring' in date"),
        (lambda t: t.assign(b2="dark"), "'dark' in the column b2"),
        (lambda t: t.assign(T2MEAN=15.0), "need kelvin"),
        (lambda t: t.assign(**{b: t[b] * 1e4 for b in table_features.BANDS}), "divide by 10000"),
        (lambda t: t.assign(**{b: t[b] * 100 for b in table_features.BANDS}), r"divide by 100\."),
        (lambda t: t.assign(**{b: t[b] / 1e4 for b in table_features.BANDS}), "divided by 10000 twice"),
        (lambda t: t.iloc[:0], "without rows"),
    ],
)
def test_wrong_tables_are_refused_in_one_sentence(raw, change, message):
    with pytest.raises(InputError, match=message) as caught:
        tables.clean(change(raw))
    assert "need" in str(caught.value)


@pytest.mark.parametrize(
    "form",
    [
        dict(sep=";", decimal=","),
        dict(sep="\t", encoding="utf-16"),
        dict(sep=";", encoding="cp1252"),
        "parquet",
        "days first",
    ],
)
def test_tables_of_spreadsheets_are_those_of_plain_csv(tmp_path, raw, form):
    table = raw.head(50).assign(PFT="Grünland")
    table.to_csv(tmp_path / "plain.csv", index=False, encoding="utf-8")
    right = tables.read(tmp_path / "plain.csv")
    path = tmp_path / ("other.parquet" if form == "parquet" else "other.csv")
    if form == "parquet":
        table.to_parquet(path)
    elif isinstance(form, dict):
        table.to_csv(path, index=False, **form)
    else:
        table.assign(date=pd.to_datetime(table["date"]).dt.strftime("%d.%m.%Y")).to_csv(path, index=False)
    pd.testing.assert_frame_equal(tables.read(path), right, rtol=1e-12)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        tables.read(tmp_path / "no.csv")


def test_draws_for_missing_values_follow_what_is_there():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(500)
    rows = pd.DataFrame({"x": x, "y": 3 * x + 0.1 * rng.standard_normal(500)})
    imputer = table_features.GaussianImputer.fit(rows)
    drawn = imputer.impute(pd.DataFrame({"x": [2.0, 2.0], "y": [np.nan, 5.0]}))
    assert np.mean([d["y"][0] for d in drawn]) == pytest.approx(6, abs=0.3)
    assert all(d["y"][1] == 5 for d in drawn)


def test_part_of_the_sites_never_shares_a_site():
    site = pd.Series(["a"] * 5 + ["b"] * 3 + ["c"] * 2 + ["d"])
    parts = gpp_held_out.site_folds(site)
    assert sorted(name for part in parts for name in part) == ["a", "b", "c", "d"]


def held_out(raw: pd.DataFrame, by: str = "site") -> float:
    from fluxlens.embeddings import metrics, progress

    rows = tables.clean(raw, need_gpp=True)
    rows = rows.assign(year=rows["date"].dt.year)
    result = progress.run(gpp_held_out.leave_out(rows, by, kernels=("cauchy",), steps=4))
    return metrics.nse(rows["gpp"], result["gpp"])


def test_labels_shuffled_among_sites_fall_to_chance(raw):
    shuffled = raw.assign(GPP=np.random.default_rng(3).permutation(raw["GPP"].values))
    for by in ("site", "year"):
        assert held_out(raw, by) > 0.8
        assert held_out(shuffled, by) < 0.1


def test_what_only_the_held_out_labels_know_is_not_predicted(raw):
    """Sites trade their whole series of GPP: what is learnt elsewhere no longer fits here."""
    order = raw["SITE_ID"].unique()
    factor = raw["SITE_ID"].map({site: 3.0 if i % 2 else 0.2 for i, site in enumerate(order)})
    own = raw.assign(GPP=raw["GPP"] * factor)  # the site's level is in no spectrum
    elsewhere, other_years = held_out(own, "site"), held_out(own, "year")
    assert elsewhere < 0.5
    assert other_years > elsewhere + 0.3


def test_both_splits_are_reported_beside_the_same_baselines(raw, tmp_path):
    from fluxlens.embeddings import progress

    rich = raw.assign(PFT=np.where(raw["SITE_ID"] < "S4", "GRA", "CRO"))
    rich.to_csv(tmp_path / "rows.csv", index=False)
    names = {}
    for split in gpp_held_out.SPLITS:
        result = progress.run(
            gpp_held_out.evaluate(tmp_path / "rows.csv", split, kernels=("cauchy",), steps=4)
        )
        names[split] = {key.split(".")[0] for key in result if "." in key}
        text = gpp_held_out.report(result)
        assert text.startswith(split)
        assert f"all fitted on the other {gpp_held_out.SPLITS[split]}s" in text.splitlines()[1]
        assert "day of year" in text.replace("_", " ")
        assert {"model.coverage_GRA", "model.nse_CRO", "nirv_x_sw.nse_GRA"} <= set(result)
    assert names["leave-site-out"] == names["leave-year-out"]
    assert {"model", "nirv_x_sw", "p-model_ndvi", "plant_type_cycle", "day_of_year", "mean"} == names[split]


def test_another_split_is_refused(tmp_path, raw):
    from fluxlens.embeddings import progress

    with pytest.raises(InputError, match="leave-year-out"):
        progress.run(gpp_held_out.evaluate(tmp_path / "no.csv", "random"))
    one_year = tables.clean(raw.assign(date="2019-05-01"), need_gpp=True).assign(year=2019)
    with pytest.raises(InputError, match="one year"):
        progress.run(gpp_held_out.leave_out(one_year, "year"))


def test_the_embedding_of_a_row_comes_from_its_own_site(raw, monkeypatch):
    from fluxlens.models import checkpoints
    from fluxlens.models.embedder import Embedder

    torch.manual_seed(0)
    net = Embedder().eval()
    monkeypatch.setattr(checkpoints, "load", lambda *_: net)
    rows = tables.clean(raw, need_gpp=True)
    whole = table_embeddings.add_embeddings(rows)
    alone = table_embeddings.add_embeddings(rows[rows["site"] == "S3"].reset_index(drop=True))
    names = list(table_features.EMBEDDING_ALONE["embedding"])
    in_table = whole[names][whole["site"] == "S3"].values
    np.testing.assert_allclose(alone[names].values, in_table, atol=1e-5)
    process = TableProcess.fit(whole, kernels=("cauchy",), steps=4, groups=table_features.EMBEDDING_ALONE)
    assert np.isfinite(process.leave_group_out(whole["site"])[0]).all()


def daily_tower() -> tuple[xr.Dataset, xr.Dataset]:
    """Three years of a season with a warm second year; the model knows the season and a constant too much."""
    time = pd.date_range("2018-01-01", "2020-12-31", unit="ns")
    season = 6 - 5 * np.cos(2 * np.pi * time.day_of_year.values / 365.25)
    noise = np.random.default_rng(0).normal(0, 0.5, len(time))
    qc = np.where(np.arange(len(time)) % 10, 1.0, 0.2)
    measured = np.where(qc > 0.5, season + noise + (time.year == 2019), 99.0)
    tower = xr.Dataset({"gpp_nt": ("time", measured), "qc": ("time", qc)}, {"time": time}, {"site": "XX-Abc"})
    columns = {"gpp": season + 1, "gpp_lo": season - 1, "gpp_hi": season + 3}
    return xr.Dataset({k: ("time", v) for k, v in columns.items()}, {"time": time}), tower


def test_daily_series_are_scored_at_every_scale_beside_the_other_years():
    predicted, tower = daily_tower()
    result = gpp_at_tower.evaluate_at_tower(predicted, tower)
    good = tower["qc"].values > 0.5
    assert result["days"] == good.sum()
    o, p = tower["gpp_nt"].values[good], predicted["gpp"].values[good]
    by_hand = 1 - ((o - p) ** 2).sum() / ((o - o.mean()) ** 2).sum()
    assert result["model.daily.nse"] == pytest.approx(by_hand, abs=1e-9)
    assert result["model.seasonal.bias"] == pytest.approx((p - o).mean(), abs=0.02)
    assert result["model.anomaly.nse"] < 0.1 < 0.8 < result["day_of_year.monthly.nse"]
    inside = (o > predicted["gpp_lo"].values[good]) & (o < predicted["gpp_hi"].values[good])
    assert result["model.coverage"] == pytest.approx(inside.mean())
    text = gpp_at_tower.tower_report(result)
    assert all(scale in text for scale in ("daily", "weekly", "monthly", "seasonal", "anomaly"))


def test_a_tower_without_common_days_is_told():
    predicted, tower = daily_tower()
    with pytest.raises(InputError, match="need two or more"):
        gpp_at_tower.evaluate_at_tower(predicted.isel(time=[0]), tower)


@pytest.mark.real
@pytest.mark.slow
def test_measured_rows_at_sites_never_seen_beat_greenness_times_light(real_data):
    from fluxlens.embeddings import progress

    result = progress.run(gpp_held_out.evaluate(real_data / "flux_hls_table" / "hls_merra2_gpp.csv"))
    assert result["rows"] == 751
    assert result["nirv_x_sw.nse"] == pytest.approx(0.657, abs=0.002)
    assert result["model.nse"] > 0.72
    assert result["model.median_site_nse"] > 0.64
    assert 0.85 < result["model.coverage"] < 0.95
    assert "leave-site-out" in gpp_held_out.report(result)
