"""Writes the golden files: what release 45e744a embeds, predicts and exports. Run once, at that release:

    PYTHONPATH=. FLUXLENS_CACHE=$(mktemp -d) python tests/golden/make_golden.py

``golden.json`` holds digests, ``schemas.json`` the forms of written files, ``samples.npz`` a few numbers of the
demo for machines whose sums differ in the last bits, ``release_45e744a/`` files that later releases must open.
Running it on later code defeats its purpose: a number that must change gets a new golden file with a line in
CHANGELOG.md that says why.
"""

import json
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from safetensors import safe_open

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.labels import Label
from golden_world import (
    DEMO_ARRAYS,
    GOLDEN,
    GPP_ARRAYS,
    RELEASE,
    SAMPLE,
    commands,
    digest,
    file_digest,
    machine_class,
    schema_of,
    state_of,
    table_rows,
    unpack_release,
)

from app import link
from app.cli import main
from app.data import Data
from app.state import Place, State
from embeddings import catalog, gpp
from embeddings.cache import finish
from embeddings.store import Store
from models import checkpoints

ROOT = Path(__file__).parents[2]
CATALOG = """\
metadata:
  version: 1
sources:
  golden_scene:
    driver: fluxlens_scene
    description: A small simulated scene.
    args: {scene: simulated, name: golden, seed: 5, size_px: 8, start: "2020-05-01", end: "2020-06-05"}
  golden_store:
    driver: fluxlens_embeddings
    description: Its embeddings, as release 45e744a wrote them.
    args: {store: store}
  golden_tower:
    driver: fluxlens_tower
    description: Its tower.
    args: {scene: golden_scene}
"""


def fluxlens(*words: str) -> None:
    """One command line, which must succeed."""
    if code := main(list(words)):
        raise SystemExit(code)


def demo() -> tuple[dict, dict]:
    """Digests of the demo's embeddings and GPP, and the sample of them."""
    source = catalog.source(catalog.open(ROOT / "catalog.yaml"), "demo_embeddings")
    store = finish(source.store_steps())
    cube = store.cube().load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gpp.nc"
        fluxlens("predict", "gpp", str(store.path), "--out", str(path))
        with xr.open_dataset(path) as maps:
            maps = maps[list(GPP_ARRAYS)].load()
    numbers = {
        "embedding": {name: digest(cube[name]) for name in DEMO_ARRAYS},
        "scene_digest": cube.attrs["scene_digest"],
        "model_digest": cube.attrs["model_digest"],
        "sizes": dict(cube.sizes),
        "gpp": {name: digest(maps[name]) for name in GPP_ARRAYS},
        "gpp_mean_gc_m2_d": {name: round(float(maps[name].mean()), 4) for name in GPP_ARRAYS},
    }
    sample = {name: cube[name].isel(SAMPLE, missing_dims="ignore").values for name in DEMO_ARRAYS}
    sample |= {name: maps[name].isel(SAMPLE).values for name in GPP_ARRAYS}
    return numbers, sample


def release() -> None:
    """A store, a catalog that names it, an export with its replay file, and permalinks."""
    shutil.rmtree(RELEASE, ignore_errors=True)
    RELEASE.mkdir()
    os.chdir(RELEASE)
    Path("catalog.yaml").write_text(CATALOG)
    table_rows().to_csv("table.csv", index=False)
    fluxlens("embed", "golden_scene", "--catalog", "catalog.yaml", "--out", "store", "--device", "cpu")
    store = Store.open("store")
    grid = store.grid
    (west, north), (east, south) = (grid.lonlat(grid.x[i], grid.y[i]) for i in (1, 5))
    Path("points.csv").write_text(
        f"lon,lat,name\n{float(west):.6f},{float(north):.6f},oak\n{float(east):.6f},{float(south):.6f},ash\n"
    )
    ring = [
        [float(lon), float(lat)] for lon, lat in ((west, north), (east, north), (east, south), (west, south))
    ]
    shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    Path("polygon.geojson").write_text(json.dumps(shape) + "\n")
    days = ["--start", "2020-05-10", "--end", "2020-05-19"]
    fluxlens("export", "store", "--points", "points.csv", *days, "--out", "a.csv", "--replay", "replay.json")
    fluxlens("predict", "gpp", "--table", "table.csv", "--out", "predicted.csv")
    Path("permalinks.json").write_text(json.dumps(permalinks(store, ring), indent=1) + "\n")
    with tarfile.open("store.tar.xz", "w:xz") as archive:
        archive.add("store")
    shutil.rmtree("store")


def permalinks(store: Store, ring: list) -> list[dict]:
    """Queries of addresses, and what each stands for."""
    import datetime as dt

    data = Data(store, gpp.predict)
    day = dt.date(2020, 5, 20)
    series = State(entry="golden_store", day=day, layer="feature", feature=3, charts=["ndvi", "gpp"])
    series.places = [Place(0, 2, 3), Place(3, 6, 1)]
    series.current = 3
    tower = State(entry="golden_store", day=day, layer="gpp", page="tower")
    tower.places = [Place(0, 4, 4)]
    tower.param.update(flux="gpp_dt", least_qc=0.5, sight="radius", radius_m=120.0)
    area = tuple((round(lon, 7), round(lat, 7)) for lon, lat in ring)
    labels = State(entry="golden_store", day=day, layer="labels", year=True, places=[Place(0, 1, 1)])
    labels.labels = [Label(1, 2, "forest"), Label(5, 6, "meadow")]
    labels.pin(3, 3, area=(((*area, area[0]),),))
    return [{"query": link.query(state, data), "state": state_of(state)} for state in (series, tower, labels)]


def weights() -> dict[str, dict[str, str]]:
    """Of each shipped file: the digest in its header, and that of its bytes."""
    out = {}
    for path in sorted(checkpoints.WEIGHTS.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            out[path.stem] = {"digest": file.metadata()["digest"], "sha256": file_digest(path)}
    return out


def schemas() -> dict[str, dict]:
    """The form of each file that the commands write."""
    with tempfile.TemporaryDirectory() as folder:
        root = unpack_release(Path(folder))
        (root / "out").mkdir()
        for words in commands(root).values():
            fluxlens(*words)
        return {name: schema_of(root / "out" / name) for name in commands(root)}


if __name__ == "__main__":
    numbers, sample = demo()
    release()
    golden = {"machine": machine_class(), "demo": numbers, "weights": weights()}
    (GOLDEN / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    lines = (f"{json.dumps(name)}: {json.dumps(schema)}" for name, schema in schemas().items())
    (GOLDEN / "schemas.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    np.savez_compressed(GOLDEN / "samples.npz", **sample)
