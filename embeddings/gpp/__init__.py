"""GPP: prediction for cubes and tables, drivers and baselines."""

from fluxlens.embeddings.gpp.cubes import DailyGppHead, is_compatible, load, load_for, predict

__all__ = ["DailyGppHead", "is_compatible", "load", "load_for", "predict"]
