"""Scenes from a STAC API: Sentinel-2 and Sentinel-1 over a square, found, fetched date by date, written whole."""

from fluxlens.embeddings.stac.fetch import fetch
from fluxlens.embeddings.stac.request import PROVIDERS, S1_PRODUCTS, Request
from fluxlens.embeddings.stac.search import estimate, passes
from fluxlens.embeddings.stac.weather import NAME as NASA_POWER
from fluxlens.embeddings.stac.weather import fetch as weather

__all__ = ["NASA_POWER", "PROVIDERS", "S1_PRODUCTS", "Request", "estimate", "fetch", "passes", "weather"]
