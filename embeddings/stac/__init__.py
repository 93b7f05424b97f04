"""Scenes from a STAC API: Sentinel-2 and Sentinel-1 over a square, found, fetched date by date, written whole."""

from embeddings.stac.fetch import fetch
from embeddings.stac.request import PROVIDERS, S1_PRODUCTS, Request
from embeddings.stac.search import estimate, passes

__all__ = ["PROVIDERS", "S1_PRODUCTS", "Request", "estimate", "fetch", "passes"]
