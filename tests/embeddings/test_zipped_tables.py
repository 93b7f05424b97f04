"""Tables in a zip, as people send them: the numbers of the table, or one sentence."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from fluxlens.app.cli.inputs import is_series_table
from fluxlens.embeddings import text_table, unpacking
from fluxlens.embeddings.gpp import daily_table, tables
from fluxlens.embeddings.readers import weather_table
from fluxlens.embeddings.readers.series_table import read_series
from fluxlens.embeddings.text_table import read_table
from fluxlens.models.errors import InputError

DAYS = pd.date_range("2019-05-01", periods=6, freq="5D")
PLOTS = pd.DataFrame({"id": "007", "date": DAYS.strftime("%Y-%m-%d"), "B2": 0.04, "B4": 0.05, "B8": 0.3 + np.arange(6)
                      / 100})  # fmt: skip
BESIDE = {"__MACOSX/._plots.csv": b"\0", "README.txt": b"made in May", "folder/": b"", "map.pdf": b"%PDF"}


def zipped(path, members: dict[str, bytes | pd.DataFrame]):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            if isinstance(content, pd.DataFrame):
                stream = io.BytesIO()
                if name.endswith(".parquet"):
                    content.to_parquet(stream)
                else:
                    content.to_csv(stream, index=False)
                content = stream.getvalue()
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["plots.csv", "folder/plots.tsv", "plots.parquet"])
def test_the_table_of_a_zip_has_the_numbers_of_the_table(tmp_path, name):
    path = zipped(tmp_path / "plots.zip", BESIDE | {name: PLOTS})
    assert is_series_table(str(path))
    found = read_series(path)
    assert list(found.ids) == ["007"]
    np.testing.assert_allclose(found.sensors["s2"].values[:, 6], PLOTS["B8"], atol=1e-7)
    np.testing.assert_array_equal(found.sensors["s2"].day.astype("datetime64[D]"), DAYS)


def test_weather_in_a_zip_is_weather(tmp_path):
    table = pd.DataFrame({"date": pd.date_range("2019-05-01", periods=9).strftime("%Y-%m-%d"), "tair": 12.5})
    weather = weather_table.open(zipped(tmp_path / "weather.zip", BESIDE | {"weather.csv": table}))
    np.testing.assert_allclose(weather["tair"], 12.5)


def test_names_of_columns_of_a_packed_table_are_told_by_its_head(tmp_path, monkeypatch):
    rows = PLOTS.iloc[np.zeros(20_000, int)]
    rows.to_csv(tmp_path / "plots.csv", index=False)
    rows.to_csv(tmp_path / "plots.csv.gz", index=False)
    zipped(tmp_path / "plots.zip", BESIDE | {"plots.csv": rows})
    zipped(tmp_path / "inside.zip", {"plots.csv.gz": (tmp_path / "plots.csv.gz").read_bytes()})
    read = []
    whole = text_table.read_text_table
    monkeypatch.setattr(
        text_table, "read_text_table", lambda head, what: read.append(len(head)) or whole(head, what)
    )
    for name in ("plots.csv", "plots.csv.gz", "plots.zip", "inside.zip"):
        assert text_table.column_names(tmp_path / name) == list(PLOTS)
    assert max(read) <= 2**18 < (tmp_path / "plots.csv").stat().st_size
    (tmp_path / "broken.csv.gz").write_bytes(b"\x1f\x8b" + b"no gzip" * 9)
    with pytest.raises(InputError, match=r"broken.csv.gz, a damaged zip or gz"):
        text_table.column_names(tmp_path / "broken.csv.gz")


def test_spectra_of_sites_in_a_zip_or_gzip_are_those_of_the_table(tmp_path):
    table = pd.DataFrame({"SITE_ID": ["007", "008"], "date": "2019-05-12"})
    table = table.assign(**dict.fromkeys(["b2", "b3", "b4", "b5", "b6", "b7"], 0.1))
    table.to_csv(tmp_path / "rows.csv.gz", index=False)
    for path in (zipped(tmp_path / "rows.zip", {"rows.csv": table}), tmp_path / "rows.csv.gz"):
        assert not daily_table.is_daily_file(path)
        rows = tables.read(path)
        assert list(rows["site"]) == ["007", "008"]
        np.testing.assert_allclose(rows["b5"], 0.1)
    daily = zipped(tmp_path / "daily.zip", {"daily.csv": table.assign(swir1640=0.2, swir2130=0.1)})
    assert daily_table.is_daily_file(daily)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"a.csv": PLOTS, "b.csv": PLOTS},
            r"a zip with 2 tables in it \(a.csv, b.csv\), need one; unpack it",
        ),
        ({"map.pdf": b"%PDF"}, "a zip with no tables in it, need one; unpack it and give a table"),
        ({"plots.csv": b"\0" * 70 * 2**20}, "unpacks to more than 200 times its packed size"),
    ],
)
def test_a_zip_without_one_table_is_refused_with_its_cause(tmp_path, members, message):
    path = zipped(tmp_path / "plots.zip", members)
    for read in (read_series, read_table, lambda one: tables.read_rows(one, ("date",)), weather_table.open):
        with pytest.raises(InputError, match=message):
            read(path)


def test_a_damaged_zip_is_named(tmp_path, monkeypatch):
    path = zipped(tmp_path / "plots.zip", {"plots.csv": PLOTS})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="a damaged zip or one with a password"):
        read_table(path)
    monkeypatch.setattr(unpacking, "MAX_IN_MEMORY_BYTES", 100)
    with pytest.raises(InputError, match="unpacks to more than 0 MiB"):
        read_table(zipped(tmp_path / "large.zip", {"plots.csv": PLOTS}))


def test_a_zip_of_images_is_no_table(tmp_path):
    assert not is_series_table(str(zipped(tmp_path / "scene.zip", {"a.tif": b"II", "notes.txt": b"x"})))
    assert is_series_table(str(zipped(tmp_path / "two.zip", {"a.csv": PLOTS, "b.csv": PLOTS})))
