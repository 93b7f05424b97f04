"""Flux tower files: daily GPP and weather, half-hourly turbulence, and the places of the sites."""

from fluxlens.embeddings.towers.data_files import files
from fluxlens.embeddings.towers.fluxnet import read
from fluxlens.embeddings.towers.site_table import sites
from fluxlens.embeddings.towers.wind import turbulence
from fluxlens.embeddings.towers.wind_units import WindUnitError

__all__ = ["WindUnitError", "files", "read", "sites", "turbulence"]
