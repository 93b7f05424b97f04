"""Catalog entries open by name, stored or computed alike, and a stranger's catalog does no harm."""

import subprocess
import sys
import threading
from pathlib import Path

import intake
import numpy as np
import pytest
import xarray as xr
import yaml
from fluxlens.embeddings import cache, catalog, progress
from fluxlens.embeddings.catalog import validation
from fluxlens.models import checkpoints
from fluxlens.models.errors import InputError

ROOT = Path(__file__).parents[3]
TINY = {
    "scene": "simulated",
    "name": "tiny",
    "seed": 3,
    "size_px": 8,
    "start": "2020-06-01",
    "end": "2020-06-20",
}


@pytest.fixture(scope="module")
def tiny_catalog(tmp_path_factory):
    """A catalog like the project's own, of a scene that is made in a moment and an untrained model."""
    import torch
    from fluxlens.models import checkpoints
    from fluxlens.models.embedder import Embedder

    folder = tmp_path_factory.mktemp("catalog")
    torch.manual_seed(0)
    checkpoints.save(Embedder(), folder / "untrained.safetensors", "untrained", {})
    model = "{{ CATALOG_DIR }}/untrained.safetensors"
    sources = {
        "demo_scene": {"driver": "fluxlens_scene", "args": TINY},
        "demo_embeddings": {"driver": "fluxlens_embeddings", "args": {"scene": "demo_scene", "model": model}},
        "embeddings_on_demand": {
            "driver": "fluxlens_on_demand",
            "args": {"scene": "demo_scene", "model": model},
        },
        "demo_tower": {"driver": "fluxlens_tower", "args": {"scene": "demo_scene"}},
    }
    path = folder / "catalog.yaml"
    path.write_text(yaml.safe_dump({"metadata": {"version": 1}, "sources": sources}, sort_keys=False))
    patch = pytest.MonkeyPatch()
    patch.setenv("FLUXLENS_CACHE", str(folder / "cache"))
    yield path
    patch.undo()


def written(folder: Path, sources: object, **more: object) -> Path:
    path = folder / "catalog.yaml"
    path.write_text(yaml.safe_dump({"sources": sources, **more}))
    return path


def test_the_four_entries_read_as_promised(tiny_catalog):
    cat = intake.open_catalog(str(tiny_catalog))
    scene = cat["demo_scene"].read()
    assert isinstance(scene, xr.DataTree)
    assert {"s2", "s1", "weather", "tower"} <= set(scene.children)
    stored = cat["demo_embeddings"].read()
    assert stored["embedding"].dtype == np.int8
    part = cat["embeddings_on_demand"](scene="demo_scene", start="2020-06-05", end="2020-06-09").read()
    assert part.sizes["time"] == 5
    # What users of intake call where data shall stay lazy.
    assert cat["demo_embeddings"].to_dask().equals(stored)
    assert cat["demo_embeddings"].to_dask()["embedding"].chunks
    assert isinstance(cat["demo_scene"].to_dask(), xr.DataTree)
    tower = cat["demo_tower"].read()
    assert {"gpp_nt", "gpp_dt", "qc"} <= set(tower.data_vars)
    assert tower["gpp_nt"].attrs["units"] == "gC m-2 d-1"
    assert all(values.attrs["long_name"] for values in tower.data_vars.values())


def test_stored_and_computed_cubes_are_identical(tiny_catalog):
    cat = catalog.open(tiny_catalog)
    stored, computed = cat["demo_embeddings"].read(), cat["embeddings_on_demand"].read()
    assert stored.sizes == computed.sizes
    assert stored["embedding"].chunks
    assert computed["embedding"].chunks
    assert {name: stored[name].dtype for name in stored.variables} == {
        name: computed[name].dtype for name in computed.variables
    }
    xr.testing.assert_identical(stored.compute(), computed.compute())


def test_the_stored_cube_is_made_once_and_carries_its_scene(tiny_catalog):
    source = catalog.source(catalog.open(tiny_catalog), "demo_embeddings")
    first = source.store()
    assert source.ready
    assert catalog.source(catalog.open(tiny_catalog), "demo_embeddings").store().snapshot == first.snapshot
    assert "weather" in first.scene().children


def test_what_is_asked_twice_or_at_the_same_moment_is_computed_once(tiny_catalog, tmp_path, monkeypatch):
    from fluxlens.embeddings.inference import engine, request

    monkeypatch.setattr(request, "BLOCK_PX", 4)
    computed, original = [], engine.BlockTask.steps

    def counted(work, part, *more):
        computed.append(part)
        return original(work, part, *more)

    monkeypatch.setattr(engine.BlockTask, "steps", counted)
    arguments = {"scene": "demo_scene", "start": "2020-06-06", "end": "2020-06-08"}
    found: list = []

    def user():
        found.append(catalog.open(tiny_catalog)["embeddings_on_demand"](**arguments).read().compute())

    users = [threading.Thread(target=user) for _ in range(2)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join()
    user()
    assert len(computed) == 4
    source = catalog.open(tiny_catalog)["embeddings_on_demand"]
    model = checkpoints.load(source._model(source.model), "cpu")
    alone = engine.compute(
        source._scene_source("demo_scene").read(), model, arguments["start"], arguments["end"]
    )
    for cube in found:
        xr.testing.assert_identical(cube, alone)


def test_a_damaged_block_is_told_not_shown(tiny_catalog):
    source = catalog.open(tiny_catalog)["embeddings_on_demand"](start="2020-06-12", end="2020-06-12")
    before = set(cache.folder().rglob("*.safetensors"))
    source.read().compute()
    (block,) = set(cache.folder().rglob("*.safetensors")) - before
    content = bytearray(block.read_bytes())
    for damaged in (
        content[:-1] + bytes([content[-1] ^ 1]),
        content[:-5],
        b"",
        content[:9] + b"\xff" + content[10:],
    ):
        block.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged; remove it"):
            source.read().compute()
    block.unlink()
    source.read().compute()


def test_cancelled_on_demand_keeps_finished_blocks(tiny_catalog, monkeypatch):
    from fluxlens.embeddings.inference import engine, request

    monkeypatch.setattr(request, "BLOCK_PX", 4)
    computed, original = [], engine.BlockTask.steps

    def counted(work, part, *more):
        computed.append(part)
        return original(work, part, *more)

    monkeypatch.setattr(engine.BlockTask, "steps", counted)
    arguments = {"scene": "demo_scene", "start": "2020-06-07", "end": "2020-06-10"}
    source = catalog.open(tiny_catalog)["embeddings_on_demand"](**arguments)
    steps = source.compute_steps()
    while len(computed) < 3:
        next(steps)
    steps.close()
    whole = progress.run(source.compute_steps())
    assert computed == [*computed[:3], *computed[2:3], *computed[4:]]
    assert len(computed) == 4 + 1
    xr.testing.assert_identical(whole, source.read().compute())
    assert len(computed) == 4 + 1


def test_steps_tell_how_far_they_are(tiny_catalog, tmp_path, monkeypatch):
    monkeypatch.setenv("FLUXLENS_CACHE", str(tmp_path))
    steps = list(catalog.read_steps(catalog.open(tiny_catalog), "demo_embeddings"))
    assert all(isinstance(message, str) and 0 <= fraction <= 1 for message, fraction in steps)
    assert any("embedding" in message for message, _ in steps)


def test_an_unknown_entry_lists_the_known_and_the_nearest(tiny_catalog):
    with pytest.raises(InputError, match=r"demo_embeddings, demo_scene.*did you mean demo_scene\?"):
        catalog.source(catalog.open(tiny_catalog), "demo_scen")
    with pytest.raises(InputError, match="is a scene"):
        catalog.open(tiny_catalog)["embeddings_on_demand"](scene="demo_tower").read()
    with pytest.raises(InputError, match="need one of"):
        catalog.open(tiny_catalog)["embeddings_on_demand"](scene="../../secret").read()


def test_the_project_s_own_catalog_is_sound():
    assert [entry.name for entry in catalog.entries(catalog.open(ROOT / "catalog.yaml"))] == [
        "demo_scene",
        "demo_embeddings",
        "embeddings_on_demand",
        "demo_tower",
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"driver": "csv", "args": {"urlpath": "/etc/passwd"}},
        {"driver": "os.system"},
        {"driver": ["fluxlens_scene"]},
        {"driver": "fluxlens_scene", "args": {"path": "{{ ''.__class__.__mro__ }}"}},
        {"driver": "fluxlens_scene", "args": {"path": "{{ env(HOME) }}"}},
        {"driver": "fluxlens_scene", "args": {"path": "{% for x in y %}{% endfor %}"}},
        {"driver": "fluxlens_scene", "description": "env(HOME)"},
        {"driver": "fluxlens_scene", "args": {"path": "x"}, "parameters": {"a": {"default": "shell(ls)"}}},
        {"driver": "fluxlens_scene", "cls": "os.system", "args": ["ls"]},
        {"driver": "fluxlens_on_demand", "args": {"urlpath": "x"}},
        {"driver": "fluxlens_tower", "args": ["x"]},
        "fluxlens_scene",
    ],
)
def test_a_hostile_entry_is_refused_before_intake_sees_it(tmp_path, entry, monkeypatch):
    monkeypatch.setattr(intake, "open_catalog", lambda *_, **__: pytest.fail("intake saw it"))
    with pytest.raises(InputError):
        catalog.open(written(tmp_path, {"entry": entry}))


def test_a_hostile_file_is_refused(tmp_path):
    for more in (
        {"plugins": {"source": [{"module": "os"}]}},
        {"metadata": {"parameters": {"a": {"default": "shell(ls)"}}}},
        {"metadata": {"version": 2}},
    ):
        with pytest.raises(InputError):
            catalog.check(written(tmp_path, {}, **more))
    bad = tmp_path / "bad.yaml"
    for text in ("sources: [", "sources: !!python/object/apply:os.system [ls]", "- a", "", "sources:\n  - a"):
        bad.write_text(text)
        with pytest.raises(InputError):
            catalog.check(bad)
    bad.write_text("sources:\n  a: {driver: fluxlens_scene}\n  a: {driver: fluxlens_tower}\n")
    with pytest.raises(InputError, match="'a' a second time at line 3"):
        catalog.check(bad)
    bad.write_text("sources:\n  a: {driver: fluxlens_scene, args: {start: 2020-13-45}}\n")
    with pytest.raises(InputError, match="month must be in"):
        catalog.check(bad)
    bad.write_text("sources:\n  a: {driver: fluxlens_scene, metadata: {7: x}}\n")
    with pytest.raises(InputError, match="the name 7"):
        catalog.check(bad)
    bad.write_text("#" * (validation.LARGEST_BYTES + 1))
    with pytest.raises(InputError, match="1 MiB"):
        catalog.check(bad)
    with pytest.raises(InputError, match="not a file"):
        catalog.open(tmp_path / "nowhere.yaml")


def test_yaml_that_refers_to_itself_ends(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text("sources: {}\nmetadata: &a\n  again: *a\n")
    assert catalog.check(path) == {}


def test_an_argument_with_a_template_is_refused(tiny_catalog):
    with pytest.raises(InputError, match="without braces"):
        catalog.source(catalog.open(tiny_catalog), "embeddings_on_demand", scene="{{ ''.__class__ }}")


def test_a_wrong_request_names_what_is_wrong(tmp_path):
    for args, match in [
        ({**TINY, "size_px": 7}, "even"),
        ({**TINY, "size": 8}, "size_px"),
        ({**TINY, "climate": "lunar"}, "climate|temperate"),
        ({"path": "nowhere"}, "does not exist"),
        ({"path": "x", "scene": "simulated"}, "both"),
    ]:
        cat = catalog.open(written(tmp_path, {"entry": {"driver": "fluxlens_scene", "args": args}}))
        with pytest.raises(InputError, match=match):
            catalog.source(cat, "entry").read()


def test_two_threads_that_want_the_same_build_it_once(tmp_path, monkeypatch):
    monkeypatch.setenv("FLUXLENS_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "LOCK_POLL_S", 0.01)
    built, start = [], threading.Barrier(2)

    def build(path):
        built.append(path)
        for i in range(5):
            yield "building", i / 5
            threading.Event().wait(0.01)
        path.mkdir()

    def want():
        start.wait()
        assert progress.run(cache.build_once("thing", build)) == tmp_path / "thing"

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def test_a_cancelled_build_leaves_nothing_and_the_lock_free(tmp_path, monkeypatch):
    monkeypatch.setenv("FLUXLENS_CACHE", str(tmp_path))

    def build(path):
        path.mkdir()
        yield "half", 0.5
        raise AssertionError("not reached")

    steps = cache.build_once("thing", build)
    assert next(steps) == ("half", 0.5)
    steps.close()
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []

    def again(path):
        path.mkdir()
        yield "done", 1.0

    assert progress.run(cache.build_once("thing", again)).exists()


def test_listing_a_catalog_does_not_load_torch():
    code = (
        "import sys; from fluxlens.embeddings import catalog; print(catalog.entries(catalog.open()));"
        "assert not {'torch', 'panel', 'holoviews'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
