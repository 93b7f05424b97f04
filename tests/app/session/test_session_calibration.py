"""Calibrate with this tower: maps, charts and exports of the visit use it, and a button takes it away."""

import asyncio

import numpy as np
import pytest
from fluxlens.app.cli import main
from fluxlens.app.data import ExplorerData
from fluxlens.app.session.explorer import Explorer
from fluxlens.app.state.layer_key import LayerKey
from fluxlens.embeddings import gpp
from fluxlens.models.errors import InputError


@pytest.fixture
def data(store):
    store._cube = store._cube.assign_attrs(lat=50.5)
    return ExplorerData(store, gpp.predict)


@pytest.fixture
def explorer(data):
    explorer = Explorer()
    explorer.show_store(data)
    explorer.state.page = "tower"
    return explorer


def press(explorer) -> None:
    """What the button does once the page is served."""
    asyncio.run(explorer.tower_calibration._calibrate())


def test_the_button_calibrates_maps_and_charts_of_this_visit_alone(explorer, data):
    pixel, key = data.start_pixel, LayerKey("gpp", data.start_day)
    plain, plain_map = data.pixel_series(*pixel)["gpp"].values, data.layer_image(key).values
    press(explorer)
    own = explorer.data
    assert own is not data
    measured = data.tower["gpp_nt"].sel(time=data.days).values
    fitted = own.pixel_series(*pixel)["gpp"].values
    # By a few percent only: a season of a head that does not know this made-up land has another form than the tower's.
    assert np.abs(fitted - measured).mean() < 0.97 * np.abs(plain - measured).mean()
    image = own.layer_image(key)
    assert image.style.label == "GPP, calibrated with XX-Tst"
    assert not np.allclose(image.values, plain_map, rtol=0.02)
    assert explorer.state.notes == ["GPP of all maps and charts is calibrated with XX-Tst."]
    assert own.store.calibration.name == "XX-Tst"
    # Other sessions share the first one.
    assert data.scene.calibration is None
    np.testing.assert_array_equal(data.pixel_series(*pixel)["gpp"].values, plain)


def test_the_page_says_what_it_did_and_how_to_go_back(explorer, data):
    press(explorer)
    control = explorer.tower_calibration
    assert "calibrated with XX-Tst" in control.text.object
    assert "On days left out in blocks: RMSE" in control.text.object
    assert "NSE −" in control.text.object  # a typographic minus, while hyphens of names stay
    assert control.remove.visible
    assert not control.button.visible
    comparison = explorer.data.compare_tower("gpp_nt", 0.75)
    assert comparison.splits["model"].startswith("not independent: calibrated with XX-Tst: ")
    assert comparison.training_data.startswith(gpp.load().card["taught_by"])
    control.on_calibration(None)
    assert explorer.data is data
    assert explorer.tower_calibration.button.visible


def test_the_numbers_are_those_of_the_command(data, explorer, tmp_path, catalog):
    """On screen and on the command line one engine calibrates: the same days give the same adjustment."""
    path = tmp_path / "cal.json"
    assert main(["calibrate", "gpp", "--store", str(catalog.parent / "store"), "--out", str(path)]) == 0
    command = gpp.load_calibration(path)
    on_screen = ExplorerData(data.store, gpp.predict).calibrate_tower("gpp_nt", 0.75)
    mean = [one.heads[0].pooled.mean for one in (command, on_screen)]
    np.testing.assert_allclose(*mean, atol=0.02)


def test_too_few_days_are_told_on_the_page(store):
    scene = store._scene
    tower = scene["tower"].to_dataset()
    scene["tower"] = tower.assign(gpp_nt=tower.gpp_nt.where(tower.time >= tower.time[-2]))
    store._cube = store._cube.assign_attrs(lat=50.5)
    with pytest.raises(InputError, match="need"):
        ExplorerData(store, gpp.predict).calibrate_tower("gpp_nt", 0.0)
    explorer = Explorer()
    explorer.show_store(ExplorerData(store, gpp.predict))
    explorer.state.param.update(page="tower", flux="gpp_nt", min_qc=0.0)
    press(explorer)
    assert explorer.state.message.startswith("Got ")
    assert explorer.data.scene.calibration is None
