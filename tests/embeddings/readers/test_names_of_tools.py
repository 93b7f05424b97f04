"""Rasters as FORCE, MAJA, HLS, Digital Earth Australia and ESA name them: their values, or one sentence."""

from contextlib import nullcontext

import numpy as np
import pytest
import rasterio
from fluxlens.embeddings.readers import open_scene
from fluxlens.models.errors import DataWarning, InputError
from raster_files import as_array, as_variables, assert_same, truth
from test_other_conventions import geotiff

FORCE = dict(
    B02="BLUE", B03="GREEN", B04="RED", B05="RE1", B06="RE2", B07="RE3", B08="BNIR", B8A="NIR", B11="SWIR1",
    B12="SWIR2",
)  # fmt: skip
QAI = {4: 0, 5: 0, 6: 1 << 5, 3: 1 << 3, 8: 0b100, 9: 0b110}
"""FORCE's bits of each class of the scene classification: shadow, less and more certain cloud, water stays clear."""


def of_classes(of, table) -> np.ndarray:
    return np.vectorize(table.get)(of.scl)


@pytest.mark.parametrize("form", ["variables", "dimension"])
def test_nir_beside_bnir_is_the_narrow_band_of_force(tmp_path, form):
    of = truth()
    names = {band: FORCE[band] for band in of.numbers}
    if form == "variables":
        cube = as_variables(of, names)
    else:
        labels = [*names.values(), "SCL"]
        cube = as_array(of, labels).to_dataset(name="boa").assign_attrs(crs="EPSG:32631")
    cube.to_netcdf(tmp_path / "cube.nc")
    with pytest.warns(DataWarning) if form == "dimension" else nullcontext():
        assert_same(open_scene(tmp_path / "cube.nc"), of)


def test_a_folder_of_force_has_its_bands_and_its_quality_bits(tmp_path):
    of = truth(holes=0)
    bits = of_classes(of, QAI)
    for index, time in enumerate(of.times):
        images = [values[index].astype("i2") for values in of.numbers.values()]
        name = f"{time:%Y%m%d}_LEVEL2_SEN2A"
        geotiff(tmp_path / f"{name}_BOA.tif", images, [FORCE[band] for band in of.numbers], nodata=-9999)
        image = [bits[index].astype("i2")]
        geotiff(tmp_path / f"{name}_QAI.tif", image, ["Quality assurance information"], nodata=1)
    assert_same(open_scene(tmp_path), of)


@pytest.mark.parametrize("level", ["FRE", "SRE"])
def test_bands_of_maja_are_known(tmp_path, level):
    of = truth()
    names = {band: f"{level}_{band.replace('B0', 'B')}" for band in of.numbers}
    as_variables(of, names).to_netcdf(tmp_path / "maja.nc")
    assert_same(open_scene(tmp_path / "maja.nc"), of)


def test_the_mask_of_s2cloudless_of_digital_earth_has_one_for_clear(tmp_path):
    of = truth()
    cube = as_variables(of, {band: f"nbart_{band}" for band in of.numbers})
    cube["oa_s2cloudless_mask"] = (
        ("time", "y", "x"),
        np.where(np.isin(of.scl, (4, 5, 6)), 1, 2).astype("u1"),
    )
    cube.drop_vars("SCL").to_netcdf(tmp_path / "dea.nc")
    assert_same(open_scene(tmp_path / "dea.nc"), of)


LANDSAT = [
    "LC08_198025_{:%Y%m%d}.tif",
    "HLS.L30.T31UES.{:%Y%j}T105031.v2.0.tif",
    "{:%Y%m%d}_LEVEL2_LND08_BOA.tif",
]


@pytest.mark.parametrize("style", LANDSAT)
def test_landsat_is_not_read_as_sentinel_2(tmp_path, style):
    of = truth()
    for time in of.times:
        geotiff(tmp_path / style.format(time), [of.scl[0].astype("u2")] * 3, ["B3", "B4", "B5"])
    with pytest.raises(InputError, match="which is Landsat, need Sentinel-2"):
        open_scene(tmp_path)
    for index, time in enumerate(of.times):
        images = [values[index] for values in of.numbers.values()]
        geotiff(tmp_path / f"S2_{time:%Y%m%d}.tif", [*images, of.scl[index].astype("u2")])
    with pytest.warns(DataWarning, match="3 of 6 files are Landsat's and are left out"):
        assert_same(open_scene(tmp_path), of)


def test_bands_called_as_earth_engine_calls_those_of_landsat_are_refused(tmp_path):
    of = truth()
    geotiff(tmp_path / "plot_20190512.tif", [of.scl[0].astype("u2")] * 3, ["SR_B3", "SR_B4", "SR_B5"])
    with pytest.raises(InputError, match="with SR_B4, which is Landsat"):
        open_scene(tmp_path)


@pytest.mark.parametrize("keys", [("scale", "offset"), ("scale_factor", "add_offset")])
def test_scale_and_offset_among_the_metadata_of_a_band_are_used(tmp_path, keys):
    of = truth(holes=0)
    for index, time in enumerate(of.times):
        path = tmp_path / f"S2_{time:%Y%m%d}.tif"
        images = [values[index] + np.uint16(1000) for values in of.numbers.values()]
        geotiff(path, [*images, of.scl[index].astype("u2")])
        with rasterio.open(path, "r+") as file:
            for band in range(1, len(images) + 1):
                file.update_tags(band, **dict(zip(keys, ("0.0001", "-0.1"), strict=True)))
    assert_same(open_scene(tmp_path), of)


def test_products_of_esa_and_nested_folders_are_named_for_what_they_are(tmp_path):
    safe = tmp_path / "S2A_MSIL2A_20190512T105031_N0212_R051_T31UES_20190512T134655.SAFE"
    (safe / "GRANULE").mkdir(parents=True)
    (safe / "MTD_MSIL2A.xml").write_text("<xml/>")
    for path in (safe, tmp_path):
        with pytest.raises(
            InputError, match=r"SAFE, a product of ESA in JPEG 2000, need .* fluxlens scene stac"
        ):
            open_scene(path)
    nested = tmp_path / "dates"
    (nested / "2019-05-12").mkdir(parents=True)
    geotiff(nested / "2019-05-12" / "response.tif", [truth().scl[0].astype("u2")], ["B4"])
    with pytest.raises(InputError, match=r"dates with 1 folders of GeoTIFFs .* move them together"):
        open_scene(nested)


@pytest.mark.parametrize("name", ["{}_mean", "mean_{}", "{}_surf", "S2_{}", "{}_reflectance"])
def test_words_around_names_of_bands_do_not_matter(tmp_path, name):
    of = truth()
    as_variables(
        of, {band: name.format(band) for band in of.numbers}, scl="quality_scene_classification"
    ).to_netcdf(tmp_path / "cube.nc")
    assert_same(open_scene(tmp_path / "cube.nc"), of)
