"""Writes anew the part of the golden files that hangs on the shipped weights; run it when weights are trained anew:

    PYTHONPATH=.:tests FLUXLENS_CACHE=$(mktemp -d) python tests/golden/renew_weights.py

``golden.json`` gets new digests of the weights and of the demo's arrays, ``samples.npz`` a new sample of these,
``predicted_rows.csv`` the GPP of the release's table. What
release 45e744a wrote stays, and must open with the new weights as before.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from fluxlens.app.cli import main
from fluxlens.embeddings import catalog, progress
from fluxlens.models import checkpoints
from golden_world import DEMO_ARRAYS, GOLDEN, GPP_ARRAYS, SAMPLE, digest, file_digest, machine_class
from safetensors import safe_open

ROOT = GOLDEN.parents[1]


def demo() -> tuple[dict, dict]:
    """Digests of the demo's embeddings and GPP, and the sample of them."""
    source = catalog.source(catalog.open(ROOT / "catalog.yaml"), "demo_embeddings")
    store = progress.run(source.store_steps())
    cube = store.cube().load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gpp.nc"
        assert main(["predict", "gpp", str(store.path), "--out", str(path)]) == 0
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
    return numbers, sample | {name: maps[name].isel(SAMPLE).values for name in GPP_ARRAYS}


def weights() -> dict[str, dict[str, str]]:
    """Digests of each file of weights and of its tensors."""
    out = {}
    for path in sorted(checkpoints.WEIGHTS.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            out[path.stem] = {"digest": file.metadata()["digest"], "sha256": file_digest(path)}
    return out


if __name__ == "__main__":
    recorded = json.loads((GOLDEN / "golden.json").read_text())
    numbers, sample = demo()
    recorded |= {"machine": machine_class(), "demo": numbers, "weights": weights()}
    (GOLDEN / "golden.json").write_text(json.dumps(recorded, indent=1) + "\n")
    np.savez_compressed(GOLDEN / "samples.npz", **sample)
    table, rows = (GOLDEN / name for name in ("release_45e744a/table.csv", "predicted_rows.csv"))
    rows.unlink(missing_ok=True)
    assert main(["predict", "gpp", "--table", str(table), "--out", str(rows)]) == 0
