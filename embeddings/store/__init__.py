"""The store of daily embeddings: Icechunk, two layouts of the same numbers, one writer, many readers."""

from fluxlens.embeddings.object_url import ObjectUrl, is_url, locate
from fluxlens.embeddings.store.layout import DTYPES, LAYOUTS, QUALITY, to_bytes
from fluxlens.embeddings.store.locking import remove_leftovers, writable
from fluxlens.embeddings.store.mosaic import Mosaic
from fluxlens.embeddings.store.reader import Store
from fluxlens.embeddings.store.repository import Snapshot, exists, is_store
from fluxlens.embeddings.store.updating import open_update
from fluxlens.embeddings.store.writer import Conflict, StoreWriter, open_writer, write, write_steps

__all__ = [
    "DTYPES",
    "LAYOUTS",
    "QUALITY",
    "Conflict",
    "Mosaic",
    "ObjectUrl",
    "Snapshot",
    "Store",
    "StoreWriter",
    "exists",
    "is_store",
    "is_url",
    "locate",
    "open_update",
    "open_writer",
    "remove_leftovers",
    "to_bytes",
    "writable",
    "write",
    "write_steps",
]
