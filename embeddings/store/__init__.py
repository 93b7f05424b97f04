"""The store of daily embeddings: Icechunk, two layouts of the same numbers, one writer, many readers."""

from fluxlens.embeddings.store.layout import DTYPES, LAYOUTS, QUALITY, to_bytes
from fluxlens.embeddings.store.locking import writable
from fluxlens.embeddings.store.reader import Store
from fluxlens.embeddings.store.repository import Snapshot, is_store
from fluxlens.embeddings.store.writer import StoreWriter, open_writer, write, write_steps

__all__ = [
    "DTYPES",
    "LAYOUTS",
    "QUALITY",
    "Snapshot",
    "Store",
    "StoreWriter",
    "is_store",
    "open_writer",
    "to_bytes",
    "writable",
    "write",
    "write_steps",
]
