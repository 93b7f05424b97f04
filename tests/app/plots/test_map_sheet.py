"""The map and the places leave the screen as files: each is opened again and compared with the store."""

import datetime as dt
import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import xarray as xr
from app_world import give, predict
from fluxlens.app.data import ExplorerData
from fluxlens.app.data.uploaded_file import PLACES_BYTES
from fluxlens.app.palette import CLASS_COLOURS
from fluxlens.app.plots import map_sheet
from fluxlens.app.state import LayerKey, Place, State
from fluxlens.app.views import export as view
from fluxlens.embeddings.export import extract, geometries, replay
from fluxlens.embeddings.store import Store
from fluxlens.models.errors import InputError
from PIL import Image


@pytest.fixture(scope="module")
def data(catalog) -> ExplorerData:
    return ExplorerData(Store.open(catalog.parent / "store"), predict)


@pytest.fixture
def state() -> State:
    return State(day=dt.date(2020, 7, 1), places=[Place(0, 20, 28), Place(1, 12, 54)])


def points(data, *pixels) -> list[geometries.Point]:
    return [geometries.Point(*map(float, data.grid.lonlat(*data.centre(row, col)))) for row, col in pixels]


def test_the_map_as_png_has_legend_scale_bar_and_origin(state, data):
    state.layer = "clusters"
    with Image.open(io.BytesIO(map_sheet.render_png(state, data))) as picture:
        assert picture.text["store_snapshot"] == data.store.snapshot
        assert picture.text["simulated"] == "1"
        assert picture.text["layer"] == "5 clusters"
        image = np.asarray(picture.convert("RGB"))
    zoom = -(-map_sheet.MIN_WIDTH_PX // data.grid.nx)
    kinds = data.layer_image(state.layer_key).values[..., 0].astype(int)
    for row, col in ((2, 3), (40, 20), (45, 58)):
        shown = image[map_sheet.ABOVE + row * zoom + 2, map_sheet.EDGE + col * zoom + 2]
        assert "#" + "".join(f"{c:02x}" for c in shown) == CLASS_COLOURS[kinds[row, col]]
    # the scale bar: 100 m are ten pixels of the map
    bar = image[-map_sheet.BELOW + 16 + 12, :].astype(int)
    dark = np.flatnonzero((np.abs(bar - [0x1A, 0x24, 0x30]) < 8).all(-1))
    assert dark.max() - dark.min() == pytest.approx(10 * zoom, abs=2)
    legend = image[-map_sheet.BELOW + 23, map_sheet.EDGE + 7]
    assert "#" + "".join(f"{c:02x}" for c in legend) == CLASS_COLOURS[0]


def test_the_png_shows_what_is_in_sight(state, data):
    state.layer = "feature"
    left, _, _, top = data.grid.extent
    with Image.open(
        io.BytesIO(map_sheet.render_png(state, data, (left + 100, top - 200, left + 300, top - 100)))
    ) as cut:
        assert cut.width - 2 * map_sheet.EDGE == 1000
        assert cut.height - map_sheet.ABOVE - map_sheet.BELOW == 500
        image = np.asarray(cut.convert("RGB"))[
            map_sheet.ABOVE : -map_sheet.BELOW, map_sheet.EDGE : -map_sheet.EDGE
        ]
    picture = data.layer_image(state.layer_key)
    expected = map_sheet.paint(picture.values[10:20, 10:30], picture.style)[..., :3]
    np.testing.assert_array_equal(image[25::50, 25::50][1:, 1:][:, :8], expected[1:, 1:][:, :8])


def test_every_layer_is_a_png_and_a_geotiff(state, data, tmp_path):
    from rio_cogeo.cogeo import cog_validate

    for layer in data.layers:
        state.layer = layer
        assert Image.open(io.BytesIO(map_sheet.render_png(state, data))).format == "PNG"
    state.layer = "gpp"
    path = tmp_path / "a.tif"
    path.write_bytes(view.file_content(state, data, ".tif").read())
    assert cog_validate(path, strict=True)[0]
    with rasterio.open(path) as file:
        band = dict(zip(file.descriptions, file.read(), strict=True))
        assert file.units[0] == "gC m-2 d-1"
        assert file.tags()["store_snapshot"] == data.store.snapshot
        assert file.xy(20, 28) == pytest.approx(data.centre(20, 28))
    np.testing.assert_allclose(band["gpp"], data.layer_image(LayerKey("gpp", state.day)).values[..., 0])
    stored = data.store.map("2020-07-01")
    np.testing.assert_allclose(band["sigma"], stored["sigma"].transpose("y", "x"))
    np.testing.assert_array_equal(band["observed"], stored["days_from_s2"].transpose("y", "x") == 0)


def test_pins_leave_in_every_form_with_the_numbers_of_the_store(state, data, tmp_path):
    expected = extract.tidy(data.store, points=points(data, (20, 28), (12, 54)))
    table = pd.read_csv(view.file_content(state, data, ".csv"), comment="#")
    np.testing.assert_allclose(table["e05"], expected["e05"], rtol=1e-6)
    np.testing.assert_allclose(table["sigma"], expected["sigma"], rtol=1e-6)
    assert (pd.read_parquet(view.file_content(state, data, ".parquet"))["e05"] == expected["e05"]).all()
    (tmp_path / "a.nc").write_bytes(view.file_content(state, data, ".nc").read())
    with zipfile.ZipFile(view.file_content(state, data, ".zarr.zip")) as packed:
        packed.extractall(tmp_path / "a.zarr")
    with (
        xr.open_dataset(tmp_path / "a.nc") as one,
        xr.open_zarr(tmp_path / "a.zarr", consolidated=False) as two,
    ):
        for found in (one, two):
            np.testing.assert_array_equal(found["e05"].values.ravel(), expected["e05"])
            assert found.attrs["store_snapshot"] == data.store.snapshot


def test_the_replay_of_the_screen_is_made_again_by_the_command_line(state, data, catalog, tmp_path, capsys):
    from fluxlens.app.cli import main

    (tmp_path / "r.json").write_bytes(view.file_content(state, data, ".json").read())
    assert str(catalog.parent) not in (tmp_path / "r.json").read_text()
    assert main(["export", "--again", str(tmp_path / "r.json")]) == 2
    assert "names no store" in capsys.readouterr().err
    words = ["export", str(catalog.parent / "store"), "--again", str(tmp_path / "r.json")]
    assert main(words) == 0
    assert "the same numbers" in capsys.readouterr().out
    name = view.file_name(state, data, ".csv")
    assert replay.load(tmp_path / "r.json").out == name
    table = pd.read_csv(tmp_path / name, comment="#")
    pd.testing.assert_frame_equal(table, pd.read_csv(view.file_content(state, data, ".csv"), comment="#"))


def test_many_points_of_a_file_are_exported_until_another_place_is_chosen(state, data):
    shown = view.ExportView(state, data)
    uploaded = points(data, (1, 1), (2, 50), (30, 7))
    text = "lon,lat,name\n" + "".join(f"{p.lon},{p.lat},<b>{n}</b>\n" for n, p in enumerate(uploaded))
    give(shown.points_upload, "../../etc/passwd.csv", text.encode())
    assert (shown.button.label, state.message) == ("Export 3 points", "")
    assert shown.button.filename == "fluxlens_3_points_2020-03-01_2020-10-31_simulated.csv"
    table = pd.read_csv(shown.make_file(), comment="#")
    expected = extract.tidy(data.store, points=uploaded)
    np.testing.assert_allclose(table["e00"], expected["e00"], rtol=1e-6)
    shown.format.value = ".png"
    assert shown.button.label == "Export map"
    shown.format.value = ".csv"
    state.pin(5, 5)
    assert shown.button.label == "Export 2 pins"


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.csv", b"lon,lat\n0,0\n", "inside lon"),
        ("a.csv", b"x" * (PLACES_BYTES + 1), "need 1 to 8,388,608"),
        ("a.csv", b"\xff\xfe\x00", "not text"),
        ("a.csv", b"\n", "without a header"),
        ("a.geojson", b"{", "Got a.geojson, which is not JSON"),
        ("a.geojson", b"[" * 100_000, "not JSON"),
        ("a.geojson", b'{"type": "Point", "coordinates": [9.004]}', "broken Point"),
        ("a.geojson", b'{"type": "Feature", "geometry": "x"}', "features that are none"),
        ("a.geojson", b'{"type": "Point", "coordinates": [9, 50], "properties": 3}', "inside lon"),
        ("a.csv", b"lon,lat\n" + b"9" * 200_000 + b",1\n", "no CSV"),
        ("a.csv", b"a<script>" * 10_000, "columns a<script>"),
        ("a.exe", b"MZ\x90", "not text"),
        ("a.csv", b"lon,lat\n" + b"9.004,50.55\n" * 3000, "use `fluxlens export`"),
    ],
)
def test_a_bad_upload_is_one_sentence_and_nothing_changes(state, data, name, content, match):
    shown = view.ExportView(state, data)
    give(shown.points_upload, name, content)
    assert match in state.message
    assert "/tmp" not in state.message
    assert shown.button.label == "Export 2 pins"


def test_an_area_too_large_for_the_screen_is_told(state, data, monkeypatch):
    monkeypatch.setattr(view, "MAX_ROWS", 1000)
    left, bottom, right, top = data.grid.extent
    lon, lat = data.grid.lonlat(np.array([left, right, right, left]), np.array([bottom, bottom, top, top]))
    ring = tuple(zip([*lon, lon[0]], [*lat, lat[0]], strict=True))
    state.places = [Place(0, 20, 20, shapely.Polygon(ring))]
    with pytest.raises(InputError, match="2,880 pixels"):
        view.file_content(state, data, ".csv")
    assert json.loads(view.file_content(state, data, ".geojson").read())["features"]
