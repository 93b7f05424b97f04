"""GPP: prediction for cubes and tables, calibration to measured towers, drivers and baselines."""

from fluxlens.embeddings.gpp.calibrate import calibrate_series, calibrate_table
from fluxlens.embeddings.gpp.calibration_file import Calibration
from fluxlens.embeddings.gpp.calibration_file import load as load_calibration
from fluxlens.embeddings.gpp.cubes import DailyGppHead, is_compatible, load, load_for, predict

__all__ = [
    "Calibration",
    "DailyGppHead",
    "calibrate_series",
    "calibrate_table",
    "is_compatible",
    "load",
    "load_calibration",
    "load_for",
    "predict",
]
