"""Mowing dates: a drop is found where it was, nowhere else, by detectors that never saw the plot."""

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import progress
from fluxlens.embeddings.evaluation import mowing
from fluxlens.models.errors import InputError

EPOCH = np.datetime64("2021-01-01", "D").astype(int)
GREEN = {"B02": 0.03, "B03": 0.06, "B04": 0.04, "B08": 0.40, "B11": 0.20, "B12": 0.10}
CUT = {"B02": 0.06, "B03": 0.10, "B04": 0.12, "B08": 0.26, "B11": 0.28, "B12": 0.20}


@pytest.fixture(scope="module")
def meadows(tmp_path_factory):
    """Ten meadows at ten places; all but two are cut once, and are green again a month later."""
    folder = tmp_path_factory.mktemp("meadows")
    rng = np.random.default_rng(0)
    rows, events = [], []
    for plot in range(10):
        place = {"lon": 19.0 + 0.1 * plot, "lat": 48.5}
        mown = 150 + 12 * plot if plot < 8 else None
        for day in range(int(rng.integers(0, 5)), 364, 5):
            share = 0.0 if mown is None or day < mown else max(0.0, 1 - (day - mown) / 35)
            bands = {
                name: round(GREEN[name] + share * (CUT[name] - GREEN[name]) + 0.004 * rng.normal(), 4)
                for name in GREEN
            }
            rows.append({"id": f"m{plot}", "date": EPOCH + day, **bands})
        event = {"plot": f"m{plot}", "site": "hills", **place}
        if mown is None:
            events.append({**event, "type": "grazing", "date": EPOCH + 200})
        else:
            events.append({**event, "type": "mowing", "date": EPOCH + mown})
    for table, name in ((rows, "s2.csv"), (events, "events.csv")):
        frame = pd.DataFrame(table)
        frame["date"] = frame["date"].to_numpy().astype("datetime64[D]")
        frame.to_csv(folder / name, index=False)
    return folder


@pytest.mark.filterwarnings("ignore::fluxlens.models.errors.DataWarning")
def test_cuts_are_found_on_interpolated_ndvi_and_on_the_daily_answer(meadows):
    numbers, text = progress.run(mowing.evaluate(meadows, device="cpu"))
    assert {"data", "split", "baselines", "weights"} <= set(numbers)
    assert (numbers["plot_years"], numbers["mowings"]) == (10, 8)
    assert numbers["all_ndvi_linear_drop_f1"] > 0.8
    assert numbers["all_ndvi_daily_drop_f1"] > 0.8
    assert numbers["all_embedding_learned_recall"] > 0.5
    # The gain is the difference of the two scores it names.
    gain = numbers["all_ndvi_daily_drop_f1"] - numbers["all_ndvi_linear_drop_f1"]
    assert numbers["gain_ndvi_daily_drop_f1"] == pytest.approx(gain)
    assert "8 in 10 seasons" in text


def test_a_found_day_counts_for_one_mowing_and_only_near_it():
    found, mown = np.array([100, 105, 300]), np.array([101, 160])
    assert list(mowing._matches(found, mown)) == [1]
    assert list(mowing._matches(np.array([100, 150]), mown)) == [1, 10]


def test_peaks_lie_apart_and_above_the_threshold():
    score = np.array([0.0, 3.0, 2.9, 0.0, 2.0, 0.5])
    day = np.array([0, 10, 12, 20, 40, 70])
    assert mowing._peaks(score, day, 1.0).tolist() == [10, 40]


@pytest.mark.filterwarnings("ignore::fluxlens.models.errors.DataWarning")
def test_events_without_a_type_or_of_other_plots_are_refused(meadows, tmp_path):
    table = pd.read_csv(meadows / "events.csv")
    table.drop(columns="type").to_csv(tmp_path / "untyped.csv", index=False)
    table.assign(plot="elsewhere").to_csv(tmp_path / "others.csv", index=False)
    for name in ("untyped.csv", "others.csv"):
        with pytest.raises(InputError, match="need the id of a series, date and type"):
            progress.run(mowing.evaluate(meadows, tmp_path / name))
    with pytest.raises(InputError, match="need dated mowing"):
        progress.run(mowing.evaluate(meadows, tmp_path / "none.csv"))
