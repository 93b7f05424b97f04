"""Figures of the map, the charts and the tower, and the map as a file."""
