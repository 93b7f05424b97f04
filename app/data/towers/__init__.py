"""A flux tower in the scene: its observations, its footprint, and its GPP compared with predictions."""
