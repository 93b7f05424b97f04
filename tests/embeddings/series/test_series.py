"""Series tables: read as people write them, embedded as pixels without neighbours, whatever else is in the batch."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from fluxlens.embeddings import progress, text_table
from fluxlens.embeddings.evaluation import series_tables
from fluxlens.embeddings.inference import residuals
from fluxlens.embeddings.readers import series_table
from fluxlens.embeddings.series import batches, tokens, writers
from fluxlens.embeddings.series import reconstruct as series_reconstruct
from fluxlens.embeddings.series.embed import embed_series, write_embedded_series
from fluxlens.embeddings.series.reconstruct import reconstruct_series
from fluxlens.models import checkpoints
from fluxlens.models.errors import DataWarning, InputError
from fluxlens.models.sensors import SENSORS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BANDS = SENSORS["s2"].bands
NAMES = ["blue", "green", "red", "re1", "re2", "re3", "nir", "nir08", "swir1", "swir2"]
EXACT_STEPS = 1
"""int8 steps by which another batch may round an embedding: matrix products of other sizes add in another order."""


def optical(ids=("a", "b", "c"), days=120, seed=0) -> pd.DataFrame:
    """A table of Sentinel-2: each id with dates of its own out of every fifth day."""
    rng = np.random.default_rng(seed)
    parts = []
    for number, one in enumerate(ids):
        date = pd.date_range("2021-03-01", periods=days // 5, freq="5D") + pd.Timedelta(days=number % 2)
        date = date[rng.random(len(date)) < 0.7]
        season = np.sin(np.arange(len(date)) / 8)[:, None]
        values = (
            np.linspace(0.04, 0.3, len(BANDS)) + 0.02 * season + rng.normal(0, 0.005, (len(date), len(BANDS)))
        )
        part = pd.DataFrame(values.round(4), columns=list(BANDS))
        part.insert(0, "id", one)
        part.insert(1, "date", date)
        parts.append(part.assign(lon=4.0 + number / 100, lat=50.5))
    return pd.concat(parts, ignore_index=True)


def radar(ids=("a", "b", "c"), seed=1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    date = pd.date_range("2021-03-03", periods=20, freq="6D")
    parts = [
        pd.DataFrame({"id": one, "date": date, "VV": rng.normal(-11, 1, 20), "VH": rng.normal(-17, 1, 20)})
        for one in ids
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def model():
    return checkpoints.load("default", "cpu")


@pytest.fixture(scope="module")
def embedded(model) -> pd.DataFrame:
    return embed_series(optical(), radar(), model=model)


def features(table: pd.DataFrame) -> np.ndarray:
    return table[[name for name in table if name[0] == "e" and name[1:].isdigit()]].to_numpy()


@pytest.mark.parametrize("sensor", ["s2", "s1"])
def test_a_spectrum_alone_is_encoded_as_the_centre_of_missing_neighbours(model, sensor):
    spec, rng = SENSORS[sensor], np.random.default_rng(3)
    values = rng.normal(spec.centre, spec.spread, (6, len(spec.bands))).astype(np.float32)
    values[2, 0] = values[4, 1] = np.nan
    around = np.full((*values.shape, 7, 7), np.nan, np.float32)
    around[:, :, 3, 3] = values
    with torch.inference_mode():
        usable = torch.from_numpy(~np.isnan(around).all(1))
        expected = model.encode(sensor, torch.from_numpy(around), usable)[:, :, 0, 0]
        found = tokens.encode_isolated(model.encoders[sensor], torch.from_numpy(values))
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_rows_are_daily_from_the_first_to_the_last_acquisition_of_each_series(embedded):
    s2, s1 = optical(), radar()
    assert [*embedded.columns[:3], *embedded.columns[-3:]] == [
        "id", "time", "e00", "sigma", "days_from_s2", "days_from_s1",
    ]  # fmt: skip
    assert list(dict.fromkeys(embedded["id"])) == ["a", "b", "c"]
    for one, rows in embedded.groupby("id"):
        dates = pd.concat([s2.date[s2.id == one], s1.date[s1.id == one]])
        np.testing.assert_array_equal(rows["time"], pd.date_range(dates.min(), dates.max()))
        observed_days = rows.loc[rows["days_from_s2"] == 0, "time"]
        np.testing.assert_array_equal(observed_days, np.sort(s2.date[s2.id == one].unique()))
        assert (rows["time"].isin(s1.date[s1.id == one]) == (rows["days_from_s1"] == 0)).all()
    assert np.isfinite(features(embedded)).all()
    assert (embedded["sigma"] > 0).all()
    assert embedded.attrs["model_digest"]


def test_a_series_is_the_same_alone_and_in_any_batch(model, embedded):
    others = [f"x{i}" for i in range(150)]
    s2 = pd.concat([optical(others, seed=5), optical()])
    many = embed_series(s2, radar(), model=model)
    scale = model.scale.numpy()
    for one in "abc":
        alone = embed_series(*(part[part.id == one] for part in (optical(), radar())), model=model)
        for table in (embedded, many):
            rows = table[table.id == one]
            steps = np.abs(features(rows) - features(alone)) / scale
            assert steps.max() < EXACT_STEPS + 0.01
            assert (steps > 0.5).mean() < 1e-3
            np.testing.assert_array_equal(rows["days_from_s2"], alone["days_from_s2"])
            np.testing.assert_allclose(rows["sigma"], alone["sigma"], atol=5.1e-4)


def mixed_orbits(series: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Series over four months on each pair of five phases of Sentinel-2 and six of Sentinel-1, in turn."""
    s2, s1 = [], []
    for number in range(series):
        one, phase = f"m{number}", number % 30
        part = optical((one,), seed=number)
        s2.append(part.assign(date=part.date - pd.Timedelta(days=phase % 5)))
        part = radar((one,), seed=number)
        s1.append(part.assign(date=part.date - pd.Timedelta(days=phase // 5)))
    return pd.concat(s2), pd.concat(s1)


def test_batches_of_mixed_orbits_hold_each_series_once_and_few_dates_of_others(model):
    s2, s1 = mixed_orbits(900)
    table = series_table.read_series(s2, s1)
    found = list(batches.batches(table, np.arange(900), model))
    np.testing.assert_array_equal(np.sort(np.concatenate([part.members for part in found])), np.arange(900))
    for part in found:
        for name, observed in part.sensors.items():
            everything = table.sensors[name]
            for pixel, member in enumerate(part.members):
                own = everything.day[everything.series == member]
                np.testing.assert_array_equal(observed.day[observed.series == pixel], own)
    # 30 series of each orbit: the union of its dates, not that of all orbits, which is five and six times as long.
    longest = max(len(np.unique(part.sensors["s1"].day)) for part in found)
    assert longest <= 2 * 20


def test_a_series_among_mixed_orbits_is_the_same_as_alone(model):
    s2, s1 = mixed_orbits(60)
    many = embed_series(s2, s1, model=model)
    for one in ("m0", "m17", "m59"):
        alone = embed_series(s2[s2.id == one], s1[s1.id == one], model=model)
        rows = many[many.id == one]
        steps = np.abs(features(rows) - features(alone)) / model.scale.numpy()
        assert steps.max() < EXACT_STEPS + 0.01
        assert (steps > 0.5).mean() < 1e-3
        np.testing.assert_array_equal(rows["days_from_s1"], alone["days_from_s1"])


@pytest.mark.parametrize("seed", range(5))
def test_the_cut_into_batches_is_the_cheapest_of_all(seed):
    rng = np.random.default_rng(seed)
    orbits = rng.integers(0, 2**40, 3, dtype=np.uint64)
    # each series has half of the dates of one of three orbits
    days = (orbits[np.sort(rng.integers(0, 3, 9))] & rng.integers(0, 2**40, 9, dtype=np.uint64))[:, None]
    widest = 6

    def cost(parts: list[slice]) -> float:
        unions = [np.bitwise_count(np.bitwise_or.reduce(days[part, 0])) for part in parts]
        sizes = [part.stop - part.start + batches.FIXED_SHARE * widest for part in parts]
        return float(sum(size * int(union) for size, union in zip(sizes, unions, strict=True)))

    cheapest = np.inf
    for borders in itertools.product((False, True), repeat=8):
        edge = [0, *(np.flatnonzero(borders) + 1), 9]
        parts = [slice(a, b) for a, b in itertools.pairwise(edge)]
        if max(part.stop - part.start for part in parts) <= widest:
            cheapest = min(cheapest, cost(parts))
    found = batches.cut(days, widest)
    assert [part.start for part in found] == [0, *(part.stop for part in found[:-1])]
    assert found[-1].stop == 9
    assert cost(found) == pytest.approx(cheapest)


def test_a_series_is_embedded_as_the_only_measured_pixel_of_a_scene(model, embedded):
    """The engine, given a cube whose other pixels are missing, gives the same numbers."""
    from fluxlens.embeddings.geometry import Grid
    from fluxlens.embeddings.inference import engine

    grid = Grid("EPSG:32631", 600000.0, 5700000.0, 10.0, 2, 2)
    s2, s1 = (part[part.id == "a"] for part in (optical(), radar()))
    nodes = {}
    for name, part, variable, bands in (
        ("s2", s2, "reflectance", BANDS),
        ("s1", s1, "backscatter", ("VV", "VH")),
    ):
        values = np.full((len(part), len(bands), 2, 2), np.nan, np.float32)
        values[:, :, 0, 0] = part[list(bands)]
        data = {variable: (("time", "band", "y", "x"), values)}
        if name == "s2":
            data["clear"] = (("time", "y", "x"), np.ones((len(part), 2, 2), bool))
        coords = {"time": part.date.to_numpy("datetime64[ns]"), "band": list(bands), **grid.coords()}
        nodes[f"/{name}"] = xr.Dataset(data, coords)
    cube = engine.compute(xr.DataTree.from_dict(nodes), model)
    rows = embedded[embedded.id == "a"]
    steps = (
        np.abs(cube["embedding"].values[:, 0, 0] * model.scale.numpy() - features(rows)) / model.scale.numpy()
    )
    assert steps.max() < EXACT_STEPS + 0.01
    assert (steps > 0.5).mean() < 1e-3
    np.testing.assert_array_equal(cube["days_from_s1"].values[:, 0, 0], rows["days_from_s1"])


def encode(table: pd.DataFrame, style: str) -> bytes:
    """The table as a spreadsheet would save it."""
    separator = {"semicolon": ";", "tab": "\t"}.get(style, ",")
    decimal = "," if style == "semicolon" else "."
    text = table.to_csv(index=False, sep=separator, decimal=decimal, date_format="%Y-%m-%d")
    if style == "bom":
        return text.encode("utf-8-sig")
    return text.encode({"tab": "utf-16", "semicolon": "cp1252"}.get(style, "utf-8"))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    style=st.sampled_from(["plain", "bom", "semicolon", "tab", "parquet"]),
    names=st.sampled_from(
        [list(BANDS), NAMES, [b.replace("B0", "B") for b in BANDS], [f"{b}_mean" for b in BANDS]]
    ),
    id_name=st.sampled_from(["id", "plot", "site", "Parcel_ID"]),
    date_name=st.sampled_from(["date", "time", "Date"]),
    dn=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_table_is_read_the_same_however_it_is_written(tmp_path, style, names, id_name, date_name, dn, seed):
    plain = optical(("Wald ä", "b"))
    expected = series_table.read_series(plain)
    rng = np.random.default_rng(seed)
    table = plain.rename(columns={"id": id_name, "date": date_name, **dict(zip(BANDS, names, strict=True))})
    if dn:
        table[names] = (table[names] * 10000).round().astype(int)
    table = table[list(rng.permutation(table.columns))]
    path = tmp_path / f"table.{'parquet' if style == 'parquet' else 'csv'}"
    table.to_parquet(path) if style == "parquet" else path.write_bytes(encode(table, style))
    if dn:
        with pytest.warns(DataWarning, match="digital numbers"):
            found = series_table.read_series(path)
    else:
        found = series_table.read_series(path)
    assert list(found.ids) == list(expected.ids)
    for name in ("day", "series"):
        np.testing.assert_array_equal(
            getattr(found.sensors["s2"], name), getattr(expected.sensors["s2"], name)
        )
    np.testing.assert_allclose(found.sensors["s2"].values, expected.sensors["s2"].values, atol=1e-6)
    np.testing.assert_allclose(found.lon, expected.lon)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.drop(columns="id"), "column id"),
        (lambda t: t.drop(columns="date"), "column date"),
        (lambda t: t[["id", "date"]], "bands of Sentinel-2"),
        (lambda t: t.assign(**{b: t[b] * 100 for b in BANDS}), "percent"),
        (lambda t: t.assign(B2=t.B02), "both B02"),
        (lambda t: t.assign(clear=0), "none clear"),
        (lambda t: t.assign(clear=7), "need 1 .clear. or 0"),
        (lambda t: t.assign(lat=t.lon * 30, lon=50.0), "swapped"),
        (lambda t: t.assign(date="spring"), "YYYY-MM-DD"),
        (lambda t: t.assign(date="03/04/2021"), "cannot be told"),
        (lambda t: t.assign(B04="cloud"), "need a number"),
        (lambda t: t.assign(id=""), "without a name"),
        (
            lambda t: t[["id", "date", *BANDS[:6]]].rename(columns=lambda n: n.replace("B0", "b")),
            "near infrared in Landsat",
        ),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(change, match):
    with pytest.raises(InputError, match=match) as message:
        series_table.read_series(change(optical()))
    assert "\n" not in str(message.value)


def test_the_offset_of_newer_processing_is_taken_off_and_told():
    table = optical().assign(date=lambda t: t.date + pd.Timedelta(days=730))
    table[list(BANDS)] = (table[list(BANDS)] * 10000).round() + 1000
    with pytest.warns(DataWarning, match="1000 were taken off"):
        found = series_table.read_series(table)
    np.testing.assert_allclose(
        found.sensors["s2"].values, series_table.read_series(optical()).sensors["s2"].values, atol=6e-5
    )


def numbers(start: str, brightness: float = 0.0) -> pd.DataFrame:
    """Digital numbers of one series from a day on, without any offset."""
    table = optical(("a",))
    table[list(BANDS)] = ((table[list(BANDS)] + brightness) * 10_000).round()
    return table.assign(date=table.date - table.date.min() + pd.Timestamp(start))


def test_numbers_before_2022_are_not_shifted_unless_the_table_says_so():
    old = numbers("2019-04-01")
    shifted = old.assign(**{b: old[b] + 1000 for b in BANDS})
    with pytest.warns(
        DataWarning, match="if the offset of 1000 is still in them, add a column processing_baseline"
    ):
        kept = series_table.read_series(shifted).sensors["s2"].values
    np.testing.assert_allclose(kept, shifted[list(BANDS)] / 1e4, atol=1e-6)
    for column in ({"processing_baseline": "05.00"}, {"PROCESSING_BASELINE": 5.0}, {"s2:processing_baseline": "N0500"},
                   {"PRODUCT_ID": "S2A_MSIL2A_20190401T105031_N0500_R051_T31UES_20230101T000000"}):  # fmt: skip
        with pytest.warns(DataWarning, match=f"1000 were taken off the {len(old)} rows of baseline 04.00"):
            found = series_table.read_series(shifted.assign(**column)).sensors["s2"].values
        np.testing.assert_allclose(found, old[list(BANDS)] / 1e4, atol=1e-6)


def test_a_word_on_the_baseline_is_not_believed_against_the_numbers():
    new = numbers("2023-04-01")
    right = new[list(BANDS)] / 1e4
    for column in (
        {"processing_baseline": "05.09"},
        {"processing_baseline": "05.09", "boa_offset_applied": True},
    ):
        with pytest.warns(DataWarning):
            found = series_table.read_series(new.assign(**column)).sensors["s2"].values
        np.testing.assert_allclose(found, right, atol=1e-6)


def test_bright_desert_is_shifted_only_where_the_numbers_step_in_2022():
    old, new = numbers("2020-04-01", 0.12), numbers("2023-04-01", 0.12)
    right = pd.concat([old, new])[list(BANDS)] / 1e4
    stepped = new.assign(**{b: new[b] + 1000 for b in BANDS})
    for later, message in ((new, "add a column"), (stepped, "taken off the dates from 2022")):
        with pytest.warns(DataWarning, match=message):
            found = series_table.read_series(pd.concat([old, later])).sensors["s2"].values
        np.testing.assert_allclose(found, right, atol=1e-6)


def test_linear_power_becomes_decibel_and_is_told():
    table = radar()
    linear = table.assign(VV=10 ** (table.VV / 10), VH=10 ** (table.VH / 10))
    with pytest.warns(DataWarning, match="linear power"):
        found = series_table.read_series(None, linear)
    np.testing.assert_allclose(found.sensors["s1"].values, table[["VV", "VH"]], rtol=1e-5)


def test_rows_of_one_day_are_averaged_as_in_cubes_and_counted():
    table = optical(("a",))
    twice = pd.concat([table, table.assign(**{b: table[b] + 0.1 for b in BANDS})]).assign(clear=1)
    cloud = table.assign(clear=0, B02=0.9)
    n = len(table)
    message = (
        f"{n} of {2 * n} rows of the Sentinel-2 table are of a series and day that another row has"
        " .0 of them alike"
    )
    with pytest.warns(DataWarning, match=message):
        found = series_table.read_series(pd.concat([twice, cloud]))
    np.testing.assert_allclose(found.sensors["s2"].values, table[list(BANDS)] + 0.05, atol=1e-6)
    with pytest.warns(DataWarning, match=rf"1 of {n + 1} rows .* \(1 of them alike\)"):
        same = series_table.read_series(pd.concat([table, table.iloc[[3]]]))
    np.testing.assert_allclose(same.sensors["s2"].values, table[list(BANDS)], atol=1e-6)


def test_granules_of_one_image_are_joined_by_their_time_even_across_midnight():
    # East of Australia an image begins before midnight UTC and ends after it: by the date alone it would be two.
    times = pd.to_datetime(
        ["2021-03-01T23:59:55", "2021-03-02T00:00:10", "2021-03-02T23:40:00", "2021-03-06T23:59:55"]
    )
    table = optical(("a",)).iloc[:4].drop(columns="date").assign(time=times)
    with pytest.warns(DataWarning, match="1 of 4 rows"):
        found = series_table.read_series(table).sensors["s2"]
    assert np.datetime_as_string(found.day.astype("datetime64[D]")).tolist() == [
        "2021-03-01",
        "2021-03-02",
        "2021-03-06",
    ]
    np.testing.assert_allclose(found.values[0], table[list(BANDS)].iloc[:2].mean(), atol=1e-6)
    one_day = table.assign(time=times.normalize())
    with pytest.warns(DataWarning, match="1 of 4 rows"):
        assert len(series_table.read_series(one_day).sensors["s2"].day) == 3


def test_rows_without_a_word_on_clouds_are_counted():
    table = optical(("a",)).assign(clear=1.0)
    table.loc[table.index[2], "clear"] = np.nan
    with pytest.warns(DataWarning, match=f"1 of {len(table)} rows .* are empty in clear"):
        found = series_table.read_series(table)
    assert len(found.sensors["s2"].day) == len(table) - 1


def summer(ids=("a", "b")) -> pd.DataFrame:
    """Daily weather of each id, plausible over a season."""
    rng = np.random.default_rng(3)
    time = pd.date_range("2021-04-01", "2021-08-31")
    n = len(time) * len(ids)
    return pd.DataFrame(
        {
            "id": np.repeat(ids, len(time)), "date": np.tile(time.strftime("%Y-%m-%d"), len(ids)),
            "sw_in": rng.uniform(80, 320, n), "tair": rng.uniform(8, 24, n), "vpd": rng.uniform(2, 12, n),
            "precip": np.where(rng.random(n) < 0.4, rng.uniform(0.2, 15, n), 0),
        }
    )  # fmt: skip


@pytest.mark.parametrize("form", ["frame", "csv", "parquet"])
@pytest.mark.parametrize("own", [True, False])
def test_weather_of_series_is_in_the_units_of_the_contract_or_refused(tmp_path, form, own):
    def given(table):
        table = table if own else table[table.id == "a"].drop(columns="id")
        if form == "frame":
            return table
        path = tmp_path / f"weather.{form}"
        table.to_csv(path, index=False) if form == "csv" else table.to_parquet(path)
        return path

    right = summer()
    key = "a" if own else None
    read = series_table.read_weather(given(right))[key]
    np.testing.assert_allclose(read.sw_in, right.sw_in[right.id == "a"], rtol=1e-5)
    other = right.assign(sw_in=right.sw_in * 0.0864, vpd=right.vpd / 10)
    named = other.rename(columns={"sw_in": "sw_in (MJ m-2 d-1)", "vpd": "VPD_kPa"})
    same = series_table.read_weather(given(named))[key]
    np.testing.assert_allclose(same.sw_in, read.sw_in, rtol=1e-5)
    np.testing.assert_allclose(same.vpd, read.vpd, rtol=1e-5)
    for wrong, unit in (
        (other[["id", "date", "sw_in"]], "MJ"),
        (other[["id", "date", "vpd", "tair"]], "kPa"),
    ):
        with pytest.raises(InputError, match=unit):
            series_table.read_weather(given(wrong))
    with pytest.warns(DataWarning, match="vpd.* has no value"):
        assert "vpd" not in series_table.read_weather(given(right.assign(vpd=-9999)))[key]


def test_hidden_rows_come_back_in_their_order_and_are_not_seen(model):
    s2, s1 = optical(), radar()
    hide = s2.groupby("id").nth([3, 7])[["id", "date"]].iloc[::-1]
    found = reconstruct_series(s2, hide, s1, model=model)
    assert list(found["id"]) == list(hide["id"])
    np.testing.assert_array_equal(found["date"], hide["date"])
    assert list(found.columns[2:12]) == list(BANDS)
    truth = s2.merge(hide, on=["id", "date"]).set_index(["id", "date"])
    truth = truth.loc[list(zip(hide["id"], hide["date"], strict=True)), list(BANDS)]
    assert np.sqrt(((found[list(BANDS)].to_numpy() - truth) ** 2).mean().mean()) < 0.05
    assert list(found.columns[12:]) == [f"{band}_sigma" for band in BANDS]
    assert (found.iloc[:, 12:] > 0).all(axis=None)
    assert found.attrs["title"].startswith("hidden rows")
    assert "features" not in found.attrs
    # a hidden value that changes does not change what is told
    wild = s2.copy()
    at = s2.merge(hide.assign(hidden=True), how="left", on=["id", "date"])["hidden"].notna().to_numpy()
    wild.loc[at, list(BANDS)] = 0.9
    again = reconstruct_series(wild, hide, s1, model=model)
    np.testing.assert_array_equal(found[list(BANDS)], again[list(BANDS)])


def test_a_surface_the_model_does_not_know_is_corrected_by_what_is_shown_of_it(model):
    # Bright ground of a spectrum that no land has: the embedding misses it on all days alike.
    odd = np.array([0.30, 0.12, 0.33, 0.10, 0.36, 0.15, 0.30, 0.12, 0.40, 0.10], np.float32)
    day = np.arange(18700, 18820, 6)
    table = series_table.SeriesTable(
        np.array(["odd"]),
        {"s2": series_table.Observations(np.zeros(len(day), np.int64), day, np.tile(odd, (len(day), 1)))},
        np.array([np.nan]),
        np.array([np.nan]),
    )
    query = (np.array([0]), np.array([18762]))
    decoded, sigma = progress.run(series_reconstruct.decode(table, *query, model))
    mean, same = progress.run(series_reconstruct.reconstruct(table, *query, model))
    assert np.abs(mean - odd).mean() < 0.6 * np.abs(decoded - odd).mean()
    np.testing.assert_allclose(sigma, same, rtol=1e-4)


def test_missed_cloud_hardly_corrects_a_reconstruction_and_nothing_nearby_not_at_all():
    value, away = np.full((1, 10), 0.2, np.float32), np.arange(-20, 21, 5)[None]
    residual = np.full((1, 9, 10), 0.01, np.float32)
    calm = residuals.correct_by_residuals(value, away, residual)
    assert 0.206 < calm[0, 0] < 0.209
    cloudy = residual.copy()
    cloudy[0, 4] = 0.5
    np.testing.assert_allclose(residuals.correct_by_residuals(value, away, cloudy), calm, atol=2e-3)
    np.testing.assert_array_equal(residuals.correct_by_residuals(value, away[:, :0], residual[:, :0]), value)
    missing = residuals.correct_by_residuals(value, away, np.where(np.arange(10) < 5, residual, np.nan))
    np.testing.assert_array_equal(missing[0, 5:], value[0, 5:])
    np.testing.assert_allclose(missing[0, :5], calm[0, :5], rtol=1e-6)
    # A row without any measurement changes nothing, as padding does.
    padded = residuals.correct_by_residuals(
        value, np.append(away, [[0]], 1), np.append(residual, np.full((1, 1, 10), np.nan, np.float32), 1)
    )
    np.testing.assert_allclose(padded, calm, rtol=1e-6)


def test_acquisitions_of_the_same_orbit_correct_more_than_others_as_near():
    value, residual = np.zeros((2, 10), np.float32), np.full((2, 1, 10), 0.01, np.float32)
    same, other = residuals.correct_by_residuals(value, np.array([[10], [9]]), residual)[:, 0]
    assert same > 2 * other > 0
    # Many dates of one sign are believed, but never more than they say.
    away = np.tile(np.arange(-40, 41, 5), (2, 1))
    many = residuals.correct_by_residuals(value, away, np.full((2, 17, 10), 0.004, np.float32))
    assert ((many > 0.003) & (many <= 0.004)).all()


def test_residuals_of_a_known_process_are_predicted_as_well_as_its_variance_says():
    rng = np.random.default_rng(0)
    day = np.arange(0, 81, 4)
    away = np.append(day - 40, 0)
    # The last day is the target: a draw of the process, with the noise of the others.
    root = np.linalg.cholesky(residuals.covariance(away[:, None] - away[None]) + 1e-9 * np.eye(len(away)))
    unit = 1e-3  # small beside BRIGHT_RESIDUAL: no draw is taken for cloud
    drawn = unit * np.einsum("ij,njb->nib", root, rng.normal(size=(2000, len(away), 10)))
    noisy = drawn[:, :-1] + unit * rng.normal(size=(2000, len(day), 10))
    found = residuals.correct_by_residuals(np.zeros((2000, 10)), np.tile(day - 40, (2000, 1)), noisy)
    matrix = residuals.covariance(day[:, None] - day[None]) + np.eye(len(day))
    to = residuals.covariance(day - 40.0)
    expected = residuals.covariance(np.array(0.0)) - to @ np.linalg.solve(matrix, to)
    assert np.mean((found - drawn[:, -1]) ** 2) / unit**2 == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ({"id": ["z"], "date": ["2021-03-01"]}, "need ids"),
        ({"id": ["a"], "date": ["2020-01-01"]}, "need dates"),
    ],
)
def test_hidden_rows_that_are_not_there_are_told(model, rows, match):
    with pytest.raises(InputError, match=match):
        reconstruct_series(optical(), pd.DataFrame(rows), model=model)


def test_gpp_stands_beside_where_weather_is_given(model, embedded):
    time = pd.date_range("2021-01-01", "2021-12-31")
    weather = pd.DataFrame({"time": time, "sw_in": 200.0, "tair": 15.0, "vpd": 8.0, "precip": 2.0})
    found = embed_series(optical(), radar(), weather, model=model)
    assert list(found.columns[-3:]) == ["gpp", "gpp_lo", "gpp_hi"]
    assert (found.gpp_lo < found.gpp).all()
    assert (found.gpp < found.gpp_hi).all()
    np.testing.assert_array_equal(features(found), features(embedded))
    with pytest.warns(DataWarning, match="2 series have no weather"):
        some = embed_series(optical(), radar(), weather.assign(id="a"), model=model)
    np.testing.assert_allclose(some.gpp[some.id == "a"], found.gpp[found.id == "a"], rtol=1e-6)
    assert some.gpp[some.id == "b"].isna().all()
    with pytest.raises(InputError, match="lon, lat"):
        embed_series(optical().drop(columns=["lon", "lat"]), radar(), weather, model=model)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_file_is_written_in_parts_and_holds_what_memory_does(
    tmp_path, monkeypatch, model, embedded, suffix
):
    monkeypatch.setattr(batches, "CHUNK_PIXEL_DAYS", 150)
    monkeypatch.setattr(writers, "ROW_GROUP_ROWS", 100)
    path = tmp_path / f"daily{suffix}"
    steps = write_embedded_series(path, optical(), radar(), model=model)
    fractions = []
    while True:
        try:
            fractions.append(next(steps)[1])
        except StopIteration as stop:
            message = stop.value
            break
    assert "3 series" in message
    assert fractions == sorted(fractions)
    assert [*tmp_path.iterdir()] == [path]
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        assert pq.ParquetFile(path).num_row_groups >= 3
        assert pq.read_schema(path).metadata[b"model_digest"].decode() == model.digest
        back = pd.read_parquet(path)
    else:
        text = path.read_text()
        assert f"# model_digest: {model.digest}" in text
        back = pd.read_csv(io.StringIO(text), comment="#", parse_dates=["time"])
    assert list(back.columns) == list(embedded.columns)
    assert len(back) == len(embedded)
    steps = np.abs(features(back) - features(embedded)) / model.scale.numpy()
    assert steps.max() < EXACT_STEPS + 0.01
    assert (steps > 0.5).mean() < 1e-3


def test_a_failed_run_leaves_no_file(tmp_path, model):
    with pytest.raises(InputError):
        progress.run(write_embedded_series(tmp_path / "a.csv", optical().drop(columns="id"), model=model))
    with pytest.raises(InputError, match=r"need \.parquet or \.csv"):
        progress.run(write_embedded_series(tmp_path / "a.xlsx", optical(), model=model))
    assert not [*tmp_path.iterdir()]


def test_a_folder_of_tables_is_scored_beside_linear_interpolation(tmp_path, model):
    optical().assign(region=lambda t: np.where(t.id == "a", "north", "south")).to_csv(
        tmp_path / "s2.csv", index=False
    )
    radar().to_parquet(tmp_path / "s1.parquet")
    numbers, text = progress.run(series_tables.evaluate_reconstruction_tables(tmp_path, model))
    facts = {"data", "split", "baselines", "weights"}
    assert {"north", "south", "all"} == {key.split("_")[0] for key in numbers if key not in facts}
    assert facts <= set(numbers)
    assert "not trained on a folder of that name" in text
    for name in ("north_hidden", "south_within_30d", "north_hidden_without_s1"):
        assert 0 < numbers[f"{name}_rmse"] < 0.2
        assert 0 < numbers[f"{name}_linear"] < 0.1
        assert 0 <= numbers[f"{name}_coverage90"] <= 1
    assert "geometric mean" in text
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="without a table"):
        progress.run(series_tables.evaluate_reconstruction_tables(tmp_path / "empty", model))


def test_linear_interpolation_of_a_straight_line_is_exact_and_a_spike_is_contaminated(model):
    date = pd.date_range("2021-03-01", periods=30, freq="5D")
    table = pd.DataFrame({"id": "a", "date": date, **{b: np.linspace(0.1, 0.2, 30) for b in BANDS}})
    targets = progress.run(series_tables.hide_and_reconstruct(series_table.read_series(table), model, 15))
    np.testing.assert_allclose(targets.linear, targets.truth, atol=1e-6)
    assert not targets.contaminated[:-3].any()
    table.loc[13, list(BANDS)] = 0.9
    targets = progress.run(series_tables.hide_and_reconstruct(series_table.read_series(table), model, 0))
    np.testing.assert_array_equal(
        np.flatnonzero(targets.contaminated), np.flatnonzero(targets.truth[:, 0] > 0.8)
    )


def test_an_intake_entry_reads_the_table(tmp_path, embedded):
    from fluxlens.embeddings import catalog

    optical().to_csv(tmp_path / "s2.csv", index=False)
    radar().to_csv(tmp_path / "s1.csv", index=False)
    (tmp_path / "catalog.yaml").write_text(
        "metadata: {version: 1}\nsources:\n  plots: {driver: fluxlens_series, description: Plots.,"
        " args: {table: s2.csv, s1: s1.csv}}\n"
    )
    assert "plots" in catalog.check(tmp_path / "catalog.yaml")
    # paths of an entry are relative to its catalog, not to the process
    source = catalog.open(tmp_path / "catalog.yaml")["plots"]
    source.check()
    found = source.read()
    np.testing.assert_array_equal(features(found), features(embedded))
    assert found.attrs["model_digest"] == embedded.attrs["model_digest"]
    may = catalog.open(tmp_path / "catalog.yaml")["plots"](start="2021-05-01", end="2021-05-31").read()
    assert may["time"].between("2021-05-01", "2021-05-31").all()
    assert len(may) == 3 * 31


def test_the_package_itself_embeds_series(embedded):
    import fluxlens

    found = fluxlens.embed_series(optical(), s1=radar())
    np.testing.assert_array_equal(features(found), features(embedded))
    alone = fluxlens.embed_series(optical())
    assert (alone["days_from_s1"] == -1).all()


@pytest.mark.real
def test_linear_interpolation_of_measured_tables_is_what_was_published(real_data, model, tmp_path):
    """Plots of grassland, rows above 0.12 in blue left out: 0.0324, 0.0407, 0.0526 alone, in gaps of 30, 60 d."""
    folder = real_data / "s1s2_grassland_sk_ch"
    (tmp_path / "events.parquet").symlink_to(folder / "events.parquet")
    plots = pd.read_parquet(folder / "train_plots.parquet").query("region == 'LR'")
    plots.to_parquet(tmp_path / "train_plots.parquet")
    for name in ("train_s1.parquet", "train_s2.parquet"):
        table = pd.read_parquet(folder / name)
        table[table["plot"].isin(plots["plot"])].to_parquet(tmp_path / name)
    with pytest.warns(DataWarning, match=r"events\.parquet"):
        numbers, _ = progress.run(
            series_tables.evaluate_reconstruction_tables(tmp_path, model, max_blue=0.12)
        )
    for key, need in (("hidden", 0.0324), ("within_15d", 0.0407), ("within_30d", 0.0526)):
        assert numbers[f"LR_{key}_linear"] == pytest.approx(need, rel=0.02)
        assert numbers[f"LR_{key}_ratio"] < 1.2


def test_units_that_differ_within_a_table_are_refused_with_their_count():
    table = optical()
    rows = table["id"] == "b"
    other = table.assign(**{band: table[band].where(~rows, table[band] * 10_000) for band in BANDS})
    with pytest.raises(InputError, match=f"{rows.sum()} rows of digital numbers among reflectance"):
        series_table.read_series(other)
    rows = table["id"] != "b"
    other = table.assign(**{band: table[band].where(~rows, table[band] * 10_000) for band in BANDS})
    with pytest.raises(InputError, match=f"{(~rows).sum()} rows of reflectance 0-1 among digital numbers"):
        series_table.read_series(other)
    with pytest.raises(InputError, match=r"1 bands \(B08\) of digital numbers among reflectance"):
        series_table.read_series(table.assign(B08=table["B08"] * 10_000))
    # single bright cells and rows of no data are no other unit
    table.loc[0, "B02"] = 1.7
    table.loc[1, list(BANDS)] = 0.0
    with pytest.warns(DataWarning, match=r"1 of 46 rows .* or 0 in all bands: left out"):
        assert len(series_table.read_series(table).ids) == 3


@pytest.mark.parametrize("content", [b"\x00\x01\x02", b"", b"# only\n", b"id;date\n\x00"])
def test_what_is_no_table_is_told(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError):
        series_table.read_series(tmp_path / "a.csv")


def test_decimal_commas_between_commas_are_read_where_nothing_else_fits():
    with pytest.warns(DataWarning, match="commas"):
        table = text_table.parse_table("lon,lat\n4,0631,50,7460\n", "the points")
    assert table.to_dict("list") == {"lon": ["4.0631"], "lat": ["50.7460"]}
