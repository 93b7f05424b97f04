"""fluxlens: daily 10 m embeddings of Sentinel-1 and Sentinel-2, the GPP they imply, and the flux towers beside them.

The folders ``app``, ``embeddings`` and ``models`` stand at the top level of the repository and are subpackages of
``fluxlens``: ``fluxlens.app``, ``fluxlens.embeddings``, ``fluxlens.models``. A wheel holds them inside this package.
In a checkout (an editable install) they lie beside it, so that folder is added to the package's search path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__version__ = "0.2.0"
"""Written into files and stores; the build and the documentation read it here."""

_HERE = Path(__file__).parent
if not (_HERE / "models").is_dir():
    # Appended, not inserted: nothing beside the checkout can shadow a module of the package itself.
    __path__.append(str(_HERE.parent))

_LATE = {
    "Explorer": ("fluxlens.app.dashboard", "Explorer"),
    "open_catalog": ("fluxlens.embeddings.catalog", "open"),
    "embed_series": ("fluxlens.embeddings.series.embed", "embed_series"),
    "summarise": ("fluxlens.embeddings.export.summary", "summarise"),
}


def __getattr__(name: str) -> Any:
    # Late: `import fluxlens` and the command line must not load Panel, torch or xarray.
    from importlib import import_module

    if name in _LATE:
        module, attribute = _LATE[name]
        return getattr(import_module(module), attribute)
    # So that `fluxlens.embeddings` needs no import of its own in a notebook.
    if name in ("app", "embeddings", "models"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'fluxlens' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATE])
