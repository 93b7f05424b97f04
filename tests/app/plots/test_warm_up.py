"""What is compiled ahead is what pictures need: after it Numba compiles nothing, whatever the axes."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.app.plots import warm_up
from fluxlens.app.plots.area_lines import density_image
from fluxlens.app.plots.later import WORKER
from numba.core.event import install_recorder


@pytest.fixture(scope="module", autouse=True)
def compiled():
    # What fails in the thread is seen by nobody there.
    for step in (warm_up.compile_area_lines, warm_up.compile_feature_space):
        step()
    warm_up.compile_in_background()
    # One thread: when this is done, so is what was submitted before.
    WORKER.submit(lambda: None).result(120)


@pytest.mark.parametrize("axes", [("PC1", "PC2"), ("e00", "gpp")])
@pytest.mark.parametrize("color", ["density", "gpp", "class"])
def test_no_axes_and_no_colour_of_feature_space_are_compiled_anew(axes, color):
    from fluxlens.app.plots.pixel_cloud import rasterize_points

    rng = np.random.default_rng(1)
    points = pd.DataFrame(rng.normal(size=(50, 3)).astype("float32"), columns=[*axes, "gpp_color"])
    points["class"] = pd.Categorical.from_codes(rng.integers(0, 2, 50), ["one", "two"])
    with install_recorder("numba:compile") as recorder:
        shown = rasterize_points(points, *axes, color)[()]
    assert [dimension.name for dimension in shown.kdims] == list(axes)
    assert recorder.buffer == []


def test_the_lines_of_an_area_are_not_compiled_anew():
    rng = np.random.default_rng(2)
    days = pd.date_range("2020-03-01", periods=100)
    values = rng.random((100, 7)).astype("float32")
    lines = xr.DataArray(values, dims=("time", "pixel"), coords={"time": days})
    with install_recorder("numba:compile") as recorder:
        drawn = density_image(lines, 300, 120, (days[10], days[60]))
    assert drawn["rgba"][..., 3].any()
    assert recorder.buffer == []
