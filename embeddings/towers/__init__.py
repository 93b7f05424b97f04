"""Flux tower files: daily GPP and weather, half-hourly turbulence, and the places of the sites."""

from embeddings.towers.data_files import files
from embeddings.towers.fluxnet import read
from embeddings.towers.gpp_columns import PERCENTILES
from embeddings.towers.site_table import sites
from embeddings.towers.wind import turbulence

__all__ = ["PERCENTILES", "files", "read", "sites", "turbulence"]
