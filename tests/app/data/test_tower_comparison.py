"""The tower's page: which days and lines it holds, and what its table says."""

import numpy as np
import pytest
from app_world import DAYS, predict
from fluxlens.app.data import ExplorerData
from fluxlens.app.data.towers.comparison import LINES
from fluxlens.app.plots.tower_layout import tower_tables
from fluxlens.embeddings.evaluation import gpp_at_tower
from fluxlens.embeddings.evaluation.tower_baselines import SPLITS, BaselineInputs
from fluxlens.embeddings.gpp.tower_light_use import light_use_of_other_towers


def test_scores_are_those_of_the_evaluation(data):
    comparison = data.compare_tower("gpp_nt", 0.75)
    pixel = data.pixel_series(*data.start_pixel)
    place = (float(data.tower.attrs[name]) for name in ("lon", "lat"))
    expected = gpp_at_tower.evaluate_at_tower(
        pixel[["gpp", "gpp_lo", "gpp_hi"]],
        data.tower,
        0.75,
        BaselineInputs.from_scene(data.scene.tree, data.scene.grid, *place),
    )
    shared = set(comparison.scores) & set(expected)
    assert {f"{name}.{scale}.nse" for name in LINES for scale in ("daily", "weekly", "monthly")} <= shared
    assert "days" in shared
    for name in shared:
        np.testing.assert_equal(comparison.scores[name], expected[name])


def test_the_switches_choose_flux_and_days(data):
    night, day = data.compare_tower("gpp_nt", 0.0), data.compare_tower("gpp_dt", 0.75)
    assert np.isfinite(night.measured).sum() == len(DAYS)
    assert np.isfinite(day.measured).sum() == int((data.tower.qc.sel(time=DAYS) >= 0.75).sum())
    assert night.scores["model.daily.rmse"] != day.scores["model.daily.rmse"]


def test_the_day_of_year_line_never_holds_the_year_it_stands_beside(store, data):
    before = data.compare_tower("gpp_nt", 0.0).lines["day_of_year"]
    tower = store._scene["tower"].to_dataset()
    tower["gpp_nt"] = tower.gpp_nt.where(tower.time.dt.year != 2020, 99.0)
    store._scene["tower"] = tower
    np.testing.assert_allclose(
        ExplorerData(store, predict).compare_tower("gpp_nt", 0.0).lines["day_of_year"], before
    )


def test_a_quality_nothing_reaches_says_so_instead_of_scores(store):
    tower = store._scene["tower"].to_dataset()
    store._scene["tower"] = tower.assign(qc=tower.qc * 0.5)
    comparison = ExplorerData(store, predict).compare_tower("gpp_nt", 0.75)
    assert comparison.scores == {}
    assert "lower the quality" in comparison.missing[0]


def test_a_tower_of_one_year_gets_nirv_with_the_factor_of_other_towers(data):
    comparison = data.compare_tower("gpp_nt", 0.75)
    assert set(comparison.lines) == set(LINES)
    found = light_use_of_other_towers("XX-Tst")
    nirv = comparison.lines["nirv"] / (found.k * data.weather.sw_in.values)
    assert np.isfinite(nirv).all()
    assert 0.1 < nirv.max() < 0.5
    assert f"{found.k:.3f}" in comparison.splits["nirv"]
    assert "30 other towers" in comparison.splits["nirv"]
    (note,) = comparison.missing
    assert note.startswith("NIRv × light has its factor, 0.129 gC m⁻² d⁻¹ per W m⁻², from 30 other towers: ")
    assert "nirv.daily.nse" in comparison.scores


def test_a_tower_that_teaches_the_factor_is_left_out_of_it(store):
    tower = store._scene["tower"].to_dataset()
    store._scene["tower"] = tower.assign_attrs(site="us-xbl")
    comparison = ExplorerData(store, predict).compare_tower("gpp_nt", 0.75)
    assert "29 other towers" in comparison.splits["nirv"]


def test_without_nirv_there_is_no_prediction_and_both_say_why(store):
    weather = store._scene["weather"].to_dataset()
    store._scene["weather"] = weather.drop_vars("sw_in")

    def predict_without_light(cube, weather):
        return predict(cube, weather.assign(sw_in=weather.tair))

    comparison = ExplorerData(store, predict_without_light).compare_tower("gpp_nt", 0.75)
    assert set(comparison.lines) == {"day_of_year"}
    assert (
        comparison.missing[0] == "No NIRv × light: Got a scene without shortwave radiation (sw_in), need it."
    )
    assert comparison.missing[-1].startswith(
        "The prediction is not drawn: on this page it stands beside NIRv"
    )
    tables = tower_tables(comparison)
    assert np.isnan(tables["band"]["low"]).all()  # no band without its line


def test_nirv_needs_no_other_weather_than_light(store):
    weather = store._scene["weather"].to_dataset()
    store._scene["weather"] = weather.drop_vars("vpd")
    comparison = ExplorerData(store, predict).compare_tower("gpp_nt", 0.75)
    assert set(comparison.lines) == set(LINES) - {"p_model"}
    assert "No P-model: Got a scene without vapour pressure deficit (vpd), need it." in comparison.missing


@pytest.mark.parametrize(
    ("line", "split"),
    [("model", "not known: the prediction does not say which head it is of"), ("p_model", SPLITS["p_model"])],
)
def test_the_table_has_a_row_at_every_scale_and_names_the_split(data, line, split):
    from fluxlens.app.views.tower import scores_table

    table = scores_table(data.compare_tower("gpp_nt", 0.75), [line])
    assert table.count("<tr") == 5  # its head, and anomalies need two years
    assert split in table


def test_the_split_of_the_shipped_head_says_what_it_was_trained_on(store):
    from fluxlens.app.views.tower import scores_table
    from fluxlens.embeddings import gpp

    store._cube = store._cube.assign_attrs(lat=50.5)
    comparison = ExplorerData(store, gpp.predict).compare_tower("gpp_nt", 0.75)
    card = gpp.load().card
    assert comparison.splits["model"] == SPLITS["model"]  # XX-Tst taught nothing
    score = card["left_out_towers"]["table"]
    assert comparison.training_data.startswith(card["taught_by"])
    assert f"{score['sites']} towers left out in turn: NSE {score['nse']:.2f}" in comparison.training_data
    assert comparison.training_data in scores_table(comparison, ["model"])
