"""The page of one session; `panel serve app/dashboard.py` runs this file."""

from pathlib import Path

import panel as pn
from fluxlens.app.session.explorer import Explorer
from fluxlens.app.session.panel_setup import TITLE, setup
from fluxlens.app.views.browser import skip_document_validation
from fluxlens.app.views.connection import add_connection_line
from fluxlens.models.errors import InputError


def page(catalog_path: str | Path | None = None) -> pn.Column:
    """The screen of a new session; a catalog that cannot be read becomes a message on it.

    Parameters
    ----------
    catalog_path : str or Path, optional
        The catalog; None for the default one.
    """
    from fluxlens.embeddings import catalog

    skip_document_validation()
    setup()
    add_connection_line()
    try:
        cat = catalog.open(catalog_path)
    except InputError as error:
        explorer = Explorer()
        explorer.fail(str(error))
        return explorer.panel()
    explorer = Explorer(cat)
    explorer.start(query=pn.state.location.search if pn.state.location else "")
    return explorer.panel()


if __name__.startswith("bokeh_app"):
    # `panel serve` runs this file anew for every session; the imported module is made once per process.
    from fluxlens.app.dashboard import page as shared_page
    from fluxlens.embeddings.readers import zarr

    zarr.ignore_text_warning()
    shared_page().servable(title=TITLE)
