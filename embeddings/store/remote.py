"""Zarr stores of object stores, whose errors say in one sentence what is wrong with the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

from fluxlens.embeddings.object_url import ObjectUrl
from fluxlens.embeddings.store import location as locations
from zarr.storage import WrapperStore

T = TypeVar("T")


class RemoteStore(WrapperStore):
    """A session's Zarr store: a lost connection becomes an InputError wherever it is read, in lazy arrays too.

    Parameters
    ----------
    store
        Of an Icechunk session.
    location
        Where it lies.
    """

    def __init__(self, store: Any, location: ObjectUrl) -> None:
        super().__init__(store)
        self.location = location

    def _with_store(self, store: Any) -> RemoteStore:
        return type(self)(store, self.location)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Read ``key``, or its ``byte_range``, into a buffer of ``prototype``."""
        return await self._answer(self._store.get(key, prototype, byte_range))

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]) -> list[Any]:
        """Read ``key_ranges``, pairs of key and range, into buffers of ``prototype``."""
        return await self._answer(self._store.get_partial_values(prototype, key_ranges))

    async def exists(self, key: str) -> bool:
        """Whether there is a ``key``."""
        return await self._answer(self._store.exists(key))

    async def set(self, key: str, value: Any) -> None:
        """Write ``value``, a buffer, at ``key``."""
        await self._answer(self._store.set(key, value))

    async def _answer(self, request: Awaitable[T]) -> T:
        """The answer to a request, or an InputError where the connection is at fault."""
        try:
            # The client has no time limit for a server that accepts a request and never answers it.
            return await asyncio.wait_for(request, locations.READ_DEADLINE_S)
        except Exception as error:
            if lost := locations.connection_error(self.location, error):
                raise lost from error
            raise
