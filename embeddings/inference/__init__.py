"""Embedding a scene: each acquisition is encoded once, then every day of every pixel is queried block by block."""
