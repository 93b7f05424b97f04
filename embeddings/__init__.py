"""The data: scenes in, daily embedding cubes out."""

from fluxlens import __version__ as __version__


def __getattr__(name: str) -> object:
    """Subpackages by their name, imported when they are first asked for: ``fluxlens.embeddings.catalog.open()``.

    Without it the name would exist only after some other module has imported the subpackage.
    """
    from importlib import import_module
    from importlib.util import find_spec

    # ``find_spec`` first: an ImportError inside a subpackage must stay that error.
    if name.startswith("_") or find_spec(f"{__name__}.{name}") is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
