"""What is compiled ahead is what pictures need: after it Numba compiles nothing, whatever the axes."""

import os
import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fluxlens.app import server
from fluxlens.app.background.catalog_loader import EntryLoad
from fluxlens.app.plots import warm_up
from fluxlens.app.plots.area_lines import density_image
from fluxlens.app.plots.later import WORKER
from fluxlens.embeddings.analysis import similarity
from numba.core.event import install_recorder


@pytest.fixture(scope="module", autouse=True)
def compiled():
    # What fails in the thread is seen by nobody there.
    for step in (warm_up.load_own_kernels, warm_up.compile_area_lines, warm_up.compile_feature_space):
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


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_similarity_loads_no_kernel_anew(dtype):
    rng = np.random.default_rng(3)
    pixels = rng.integers(-9, 9, (40, 8)).astype(dtype)
    scale, centre, like = (rng.random(8) for _ in range(3))
    with install_recorder("numba:compile") as recorder:
        dot, length = similarity.agreement(pixels, scale, centre, like)
        similarity.cosine(dot, length, 2.0)
        similarity.project(pixels, rng.random((8, 2)), rng.random(2))
    assert recorder.buffer == []


def test_the_thread_that_compiles_has_the_priority_of_the_server():
    # One of a lower priority has the interpreter and Numba's lock for minutes where the cores are busy.
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert WORKER.submit(priority).result(60) == priority()


def test_nothing_is_compiled_while_an_entry_is_being_opened(monkeypatch):
    # Kernels that the entry needs would wait for Numba's lock.
    load, later, compiled = EntryLoad("slow"), [], []
    monkeypatch.setattr(server.LOADER, "_loads", {("catalog", "slow", ""): load})
    monkeypatch.setattr(server, "compile_in_background", lambda: compiled.append(True))
    monkeypatch.setattr(
        server.IOLoop, "current", lambda: SimpleNamespace(call_later=lambda s, f: later.append(f))
    )
    server.compile_when_open()
    assert (compiled, later) == ([], [server.compile_when_open])
    load.error = "Got no store."
    later.pop()()
    assert compiled == [True]
    assert later == []
