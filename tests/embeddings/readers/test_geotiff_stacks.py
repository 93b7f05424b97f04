"""GeoTIFFs whose bands carry their dates, or no names: read by what tells them, or one sentence with what to do."""

import json

import numpy as np
import pytest
from fluxlens.embeddings.readers import open_scene
from fluxlens.embeddings.scenes import schema
from fluxlens.models.errors import DataWarning, InputError
from raster_files import assert_same, truth
from test_other_conventions import geotiff

GRANULE = "{:%Y%m%dT%H%M%S}_{:%Y%m%dT%H%M%S}_T31UES_{}"
EARTH_ENGINE = [band.replace("B0", "B") for band in schema.S2_BANDS]


def bands_of(of, index):
    return [*(values[index] for values in of.numbers.values()), of.scl[index].astype("u2")]


@pytest.mark.parametrize("style", [GRANULE, "{:%Y-%m-%d}_{:%Y}_{}", "S2_{:%Y%m%d}_{:%Y}_{}"])
@pytest.mark.parametrize("name", ["stack.tif", "S2_20180101_20201231.tif"])
def test_a_stack_of_earth_engine_has_the_dates_of_its_bands(tmp_path, style, name):
    of = truth()
    images, names = [], []
    # band by band and not date by date, with a band of no interest between
    for at, band in enumerate([*EARTH_ENGINE, "SCL", "AOT"]):
        for index, time in enumerate(of.times):
            images.append(bands_of(of, index)[at] if band != "AOT" else of.scl[index].astype("u2"))
            names.append(style.format(time, time, band))
    geotiff(tmp_path / name, images, names)
    assert_same(open_scene(tmp_path / name), of)


@pytest.mark.parametrize("style", ["{0}_{1}", "{1}_{0}"])
def test_a_stack_whose_bands_count_images_is_refused_with_what_to_do(tmp_path, style):
    of = truth()
    names = [style.format(index, band) for index in range(3) for band in EARTH_ENGINE]
    images = [image for index in range(3) for image in bands_of(of, index)[:-1]]
    geotiff(tmp_path / "S2_20190512.tif", images, names)
    with pytest.raises(InputError, match=r"30 bands such as .*B2.*count their images.*system:index") as error:
        open_scene(tmp_path)
    assert "\n" not in str(error.value)


def test_a_file_without_names_is_told_what_it_needs(tmp_path):
    of = truth()
    images = bands_of(of, 0)
    geotiff(tmp_path / "openEO_2020-05-01Z.tif", images, [""] * len(images))
    with pytest.raises(
        InputError, match=r"11 bands have no names, need descriptions .*openEO_2020-05-01Z\.json"
    ):
        open_scene(tmp_path)


ITEMS = {
    "assets with eo:bands": lambda name, bands: {
        "assets": {"openEO": {"href": f"./{name}", "eo:bands": [{"name": band} for band in bands]}}
    },
    "assets with bands": lambda name, bands: {
        "assets": {"data": {"href": name, "bands": [{"name": band} for band in bands]}}
    },
    "properties": lambda name, bands: {"properties": {"eo:bands": [{"name": band} for band in bands]}},
    "a list": lambda name, bands: {"bands": bands},
}


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
@pytest.mark.parametrize("suffix", [".json", ".tif.json"])
def test_a_stac_item_beside_a_file_names_its_bands(tmp_path, item, suffix):
    of = truth()
    bands = [*schema.S2_BANDS, "SCL"]
    for index, time in enumerate(of.times):
        path = tmp_path / f"openEO_{time:%Y-%m-%dT%H:%M:%S}Z.tif"
        geotiff(path, bands_of(of, index), [""] * len(bands))
        path.with_suffix(suffix).write_text(json.dumps({"type": "Feature", **item(path.name, bands)}))
    assert_same(open_scene(tmp_path), of)


def test_the_date_may_stand_in_the_item(tmp_path):
    of = truth()
    bands = [*schema.S2_BANDS, "SCL"]
    for index, time in enumerate(of.times):
        geotiff(tmp_path / f"part{index}.tif", bands_of(of, index), [""] * len(bands))
        content = {"bands": bands, "properties": {"datetime": f"{time:%Y-%m-%dT%H:%M:%S}Z"}}
        (tmp_path / f"part{index}.json").write_text(json.dumps(content))
    assert_same(open_scene(tmp_path), of)


@pytest.mark.parametrize("content", ["[]", "{", '{"bands": ["B02"]}', '{"assets": 3, "properties": []}'])
def test_an_item_that_does_not_fit_is_passed_over(tmp_path, content):
    of = truth()
    images = bands_of(of, 0)
    geotiff(tmp_path / "openEO_2020-05-01Z.tif", images, [""] * len(images))
    (tmp_path / "openEO_2020-05-01Z.json").write_text(content)
    with pytest.raises(InputError, match="11 bands have no names"):
        open_scene(tmp_path)


def test_an_undated_image_beside_dated_ones_is_named(tmp_path):
    of = truth(holes=0.0)
    for index, time in enumerate(of.times):
        geotiff(tmp_path / f"S2_{time:%Y%m%d}.tif", bands_of(of, index), [*schema.S2_BANDS, "SCL"])
    geotiff(
        tmp_path / "mean.tif", [image * 0 + np.uint16(9) for image in bands_of(of, 0)[:-1]], schema.S2_BANDS
    )
    with pytest.warns(DataWarning, match=r"1 of 4 files have no date in their name .*mean\.tif"):
        assert_same(open_scene(tmp_path), of)
