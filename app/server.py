"""The server behind `fluxlens serve`: one process for all sessions."""

import asyncio
import gc
import logging
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask.threaded
import panel as pn
from fluxlens.app.background.catalog_loader import LOADER, EntryLoad, open_entry
from fluxlens.app.dashboard import page
from fluxlens.app.plots.first_page import draw_first_page
from fluxlens.app.plots.warm_up import compile_in_background
from fluxlens.app.session.panel_setup import TITLE
from fluxlens.app.views.connection import is_no_message_after_its_session
from fluxlens.embeddings.readers import zarr
from fluxlens.models.errors import InputError
from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

FIRST_ENTRY_TIMEOUT_S = 3.5
"""Seconds that the server waits for its first entry: a stored one is open by then, before the first session is
answered; one that is still to be made shows its progress on the page."""

SESSION_TOKEN_S = 3600
"""Seconds in which a page must open its connection after the server has written it. Bokeh's 300 are too few for a phone
that loads the scripts for the first time on a slow line, or that sleeps meanwhile."""

COMPILE_AFTER_S = 30.0
"""Seconds from a page to the compiling of what is drawn later: 4 s of processor time that the first pages of a server
need themselves. Again where an entry is still being opened then, whose own kernels would wait for Numba's lock."""


def serve(
    catalog_path: str | Path | None = None,
    port: int = 5006,
    show: bool = False,
    address: str = "localhost",
    origins: tuple[str, ...] = (),
    login: Path | None = None,
    prefix: str = "",
) -> None:
    """Serve the dashboard until stopped.

    Parameters
    ----------
    catalog_path : str or Path, optional
        The catalog; None for the default one.
    port : int
        TCP port.
    show : bool
        Open a browser.
    address : str
        Address to listen on.
    origins : tuple of str
        HOST[:PORT] under which browsers may reach the server besides localhost.
    login : Path, optional
        JSON file of user names and passwords. A login ends with the server.
    prefix : str
        Path under which a hub or a proxy hands on its requests unchanged, such as "/user/ada/fluxlens".
    """
    zarr.ignore_text_warning()
    # All sessions share this process. The function and not its name: at a name Dask imports distributed, which takes
    # 0.8 s, to look for a cluster.
    dask.config.set(scheduler=dask.threaded.get)
    if (first := _load_first_entry(catalog_path)) is not None:
        first.wait(FIRST_ENTRY_TIMEOUT_S)
    # A page makes so many objects that the collector runs often; it need not look through the modules each time.
    gc.freeze()
    # A new secret at every start: cookies of an earlier run no longer open the page.
    login_options = {
        "basic_auth": str(login),
        "cookie_secret": secrets.token_hex(32),
        "login_template": str(Path(__file__).parent / "views" / "login.html"),
        "logout_template": str(Path(__file__).parent / "views" / "logout.html"),
    }
    IOLoop.current().add_callback(forget_closed_connections)
    for name in ("bokeh.server.protocol_handler", "tornado.application"):
        logging.getLogger(name).addFilter(is_no_message_after_its_session)

    def show_page() -> pn.Column:
        # After the first page has been drawn in its browser, whose time counts more; nobody draws an area before.
        pn.state.onload(lambda: IOLoop.current().call_later(COMPILE_AFTER_S, compile_when_open))
        return page(catalog_path)

    # One process for all sessions: they share open stores and caches.
    pn.serve(
        {"/": show_page},
        port=port,
        show=show,
        title=TITLE,
        address=address,
        prefix=prefix,
        session_token_expiration=SESSION_TOKEN_S,
        # Bokeh refuses other hosts by default; localhost stays allowed for the administrator.
        websocket_origin=[*origins, f"localhost:{port}"] if origins else None,
        **(login_options if login else {}),
    )


def compile_when_open() -> None:
    """Compile what is drawn later, once no entry is being opened any more."""
    if LOADER.is_opening:
        IOLoop.current().call_later(COMPILE_AFTER_S, compile_when_open)
    else:
        compile_in_background()


async def forget_closed_connections() -> None:
    """Keep what was written to a connection that had just broken out of the log of the running loop.

    Bokeh does not wait for its messages to be written, so that asyncio would print a traceback for each that a page
    never got. The session itself is told by the websocket's close.
    """

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), WebSocketClosedError | StreamClosedError):
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(handle)


def _load_first_entry(catalog_path: str | Path | None) -> EntryLoad | None:
    """Start with what the first session will see; what is wrong with the catalog is shown to that session."""
    from fluxlens.embeddings import catalog

    # A broken catalog is reported on the page, where users look; the server starts.
    with suppress(InputError):
        cat = catalog.open(catalog_path)
        if first := next((entry.name for entry in catalog.entries(cat) if entry.kind == "embeddings"), ""):
            return LOADER.get(
                str(getattr(cat, "path", "")), first, lambda: open_entry(cat, first, prepare=draw_first_page)
            )
    return None
