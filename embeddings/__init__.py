"""The data: scenes in, daily embedding cubes out."""

__version__ = "0.1.0"
