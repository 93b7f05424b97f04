"""Writes the digests of the demo's embeddings and GPP to ``golden.json``, where a change of numbers was decided.

    PYTHONPATH=. FLUXLENS_CACHE=$(mktemp -d) python tests/golden/renew_demo.py

Last used when acquisitions began to take their context in groups of days (docs/decisions/0012). The samples stay those
of release 45e744a: the last bits move, the numbers do not.
"""

import json
import sys
import tempfile
from pathlib import Path

import xarray as xr

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from fluxlens.app.cli import main
from fluxlens.embeddings import catalog
from golden_world import DEMO_ARRAYS, GOLDEN, GPP_ARRAYS, digest

store = catalog.source(catalog.open(ROOT / "catalog.yaml"), "demo_embeddings").store()
cube = store.cube().load()
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "gpp.nc"
    assert main(["predict", "gpp", str(store.path), "--out", str(path)]) == 0
    with xr.open_dataset(path, engine="netcdf4") as maps:
        gpp = {name: maps[name].load() for name in GPP_ARRAYS}
file = GOLDEN / "golden.json"
text = file.read_text()
demo = json.loads(text)["demo"]
arrays = {"embedding": {name: cube[name] for name in DEMO_ARRAYS}, "gpp": gpp}
for part, found in arrays.items():
    for name, values in found.items():
        # In place, so that all else of the file, its form included, stays as it is.
        text = text.replace(demo[part][name], digest(values))
file.write_text(text)
