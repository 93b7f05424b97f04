"""Boxes on demand: the numbers of the engine, one queue, and nothing left of a cancelled job."""

import datetime as dt
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from app_world import predict, write_store
from fluxlens.app.background.embed_jobs import EmbedBox, EmbedJob, EmbedQueue, available_models
from fluxlens.app.data import ExplorerData
from fluxlens.app.session.explorer import Explorer
from fluxlens.app.state import LayerKey
from fluxlens.embeddings import catalog as catalogs
from fluxlens.embeddings.inference import batched_forward, device_queue, engine
from fluxlens.embeddings.store import Store
from fluxlens.models import checkpoints
from fluxlens.models.errors import InputError

MAY = {"first": dt.date(2020, 5, 1), "last": dt.date(2020, 5, 3)}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The tiny world from disk."""
    folder = tmp_path_factory.mktemp("queue")
    write_store(folder / "store")
    return ExplorerData(Store.open(folder / "store"), predict)


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLUXLENS_CACHE", str(tmp_path))


def test_a_box_holds_what_the_engine_says_and_is_an_entry(world, tmp_path):
    job = EmbedJob(world.scene, EmbedBox(slice(28, 36), slice(40, 52), **MAY))
    job.run()
    assert (job.state, job.error) == ("done", "")
    assert (job.done, job.total) == (2, 2)
    store = Store.open(job.path)
    model = checkpoints.load("default")
    expected = engine.compute(
        world.scene.tree, model, MAY["first"], MAY["last"], (slice(28, 36), slice(40, 52))
    )
    np.testing.assert_array_equal(store.cube().embedding.values, expected.embedding.values)
    np.testing.assert_array_equal(store.cube().x.values, world.grid.x[40:52])
    assert "tower" not in store.scene().children
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("sources: {}\n")
    found = catalogs.open(catalog)
    catalogs.add_store(found, "mine", job.path, "A box.")
    assert [entry.kind for entry in catalogs.entries(found)] == ["embeddings"]
    assert catalogs.source(found, "mine").store().snapshot == store.snapshot
    again = EmbedJob(world.scene, job.box)
    again.run()
    assert (again.path, again.total) == (job.path, 0)


def test_the_models_offered_are_those_whose_sensors_are_there(world):
    assert list(available_models(world.scene)) == ["fusion", "simulated", "s2", "s1"]
    bare = SimpleNamespace(tree=SimpleNamespace(children=["s2", "weather"]))
    assert list(available_models(bare)) == ["s2"]
    three = SimpleNamespace(tree=SimpleNamespace(children=["s2", "s1", "landsat8"]))
    assert set(available_models(three)) == set(checkpoints.shipped()) - set(checkpoints.EARLIER)


@pytest.mark.parametrize("name", ["s2", "s1"])
def test_one_sensor_alone_makes_a_box(world, name):
    job = EmbedJob(world.scene, EmbedBox(slice(0, 4), slice(0, 4), **MAY, model=name))
    job.run()
    assert (job.state, job.error) == ("done", "")
    result = ExplorerData(Store.open(job.path))
    other = {"s2": "days_from_s1", "s1": "days_from_s2"}[name]
    assert (result.store.cube()[other].values == -1).all()
    assert np.isfinite(result.layer_image(LayerKey("pca", MAY["first"])).values).all()
    assert result.pixel_series(1, 1).sizes["time"] == 3


def test_a_cancelled_job_stops_inside_a_block_and_leaves_nothing(world, tmp_path, monkeypatch):
    job = EmbedJob(world.scene, EmbedBox(slice(0, 8), slice(0, 8), **MAY))
    blocks, answer = [], batched_forward.predict_days

    def query(model, *rest):
        for block in answer(model, *rest):
            blocks.append(block)
            job.stop.set()
            time.sleep(3 * device_queue.PAUSE_S)  # a strip that takes longer than a waiting job is left alone
            yield block

    monkeypatch.setattr(batched_forward, "predict_days", query)
    job.run()
    assert job.state == "cancelled"
    assert 1 <= len(blocks) <= device_queue.QUEUES["cpu"].places  # each core may be in the middle of a strip
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_jobs_wait_in_the_order_they_were_added_and_may_leave(world, monkeypatch):
    going, go = [], threading.Event()

    def run_job(job):
        going.append(job)
        job.state = "running"
        go.wait(120)
        job.state = "done"

    monkeypatch.setattr(EmbedJob, "run", run_job)
    queue, box = EmbedQueue(), EmbedBox(slice(0, 8), slice(0, 8), **MAY)
    first, second, third = (queue.add(world.scene, box) for _ in range(3))
    assert [queue.position(job) for job in (first, second, third)] == [0, 1, 2]
    queue.cancel(second)
    assert (second.state, queue.position(third)) == ("cancelled", 1)
    go.set()
    until = threading.Event()
    for _ in range(2400):
        if third.state == "done":
            break
        until.wait(0.05)
    assert going == [first, third]


def test_a_box_is_cut_to_whole_pixels_of_the_grid(world):
    left, _, _, top = world.grid.extent
    box = EmbedBox.from_corners(world.grid, (left + 133, left - 500), (top - 61, top - 9), **MAY)
    assert (box.rows, box.cols) == (slice(0, 8), slice(0, 16))
    edge = EmbedBox.from_corners(world.grid, (left + 9e5, left + 8e5), (top - 9e5, top - 8e5), **MAY)
    assert (edge.rows, edge.cols) == (slice(44, 48), slice(56, 60))


def test_a_box_too_large_is_one_sentence_and_no_job(world, monkeypatch):
    queue, box = EmbedQueue(), EmbedBox(slice(0, 48), slice(0, 60), **MAY)
    estimate = queue.estimate(world.scene, box)
    assert (estimate.pixels, estimate.days, estimate.nbytes) == (48 * 60, 3, 2 * 48 * 60 * 3 * 37)
    monkeypatch.setattr("fluxlens.app.background.embed_jobs.LARGEST_BYTES", 1000)
    with pytest.raises(InputError, match=r"^Got a box of up to .* need at most"):
        queue.add(world.scene, box)


def test_what_fails_is_a_sentence_and_the_queue_goes_on(world):
    job = EmbedJob(world.scene, EmbedBox(slice(0, 8), slice(0, 8), model="no_such_model", **MAY))
    job.run()
    assert job.state == "failed"
    assert "no_such_model" in job.error


def test_a_job_that_ends_while_it_is_shown_is_shown_to_its_end(world):
    explorer = Explorer(data=world)
    view = explorer.compute
    job = view.job = EmbedJob(world.scene, EmbedBox(slice(28, 36), slice(40, 52), **MAY))
    job.state = "running"
    ending = view.progress.param.watch(lambda _: job.run(), "object")
    view.update_progress()
    view.progress.param.unwatch(ending)
    assert job.state == "done"
    assert not view.open.visible, "it polls no more once the result can be opened"
    view.update_progress()
    assert "Done in" in view.progress.object
    assert view.open.visible
