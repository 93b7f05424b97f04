"""GPP of a scene calibrated to the tower on screen."""

from fluxlens.app.data.imagery import Imagery
from fluxlens.app.data.scene import SceneData
from fluxlens.app.data.series import SeriesReader
from fluxlens.app.data.towers.footprint import Footprint, predict_over
from fluxlens.app.data.towers.observations import TowerObservations
from fluxlens.embeddings import gpp
from fluxlens.embeddings.variables import GPP_COLUMNS
from fluxlens.models.errors import InputError


def calibrate(
    scene: SceneData,
    imagery: Imagery,
    observations: TowerObservations,
    flux: str,
    min_qc: float,
    footprint: Footprint,
) -> gpp.Calibration:
    """Calibrate the head that predicts for a scene to its tower.

    Parameters
    ----------
    scene : SceneData
        Uncalibrated.
    imagery : Imagery
        Of the same scene.
    observations : TowerObservations
        With GPP.
    flux : str
        "gpp_nt" or "gpp_dt".
    min_qc : float
        Days of a lower quality flag (0-1) do not count.
    footprint : Footprint
        Pixels that stand for the tower.

    Returns
    -------
    Calibration
        Of one tower.

    Raises
    ------
    InputError
        Where fewer than three days are measured and predicted, or no head predicts here.
    """
    # A calibration belongs to a head; of a predictor that a notebook hands in nobody knows which it is.
    if scene.predictor is not gpp.predict:
        raise InputError(
            "Got a scene without GPP of the shipped head, need it to calibrate; embed the scene again."
        )
    # Over the footprint and not the pixel of the mast: a tower measures what the wind brings.
    predicted = predict_over(scene, SeriesReader(scene, imagery), footprint)
    weights = gpp.load_for(scene.attrs).digest
    return gpp.calibrate_series(
        predicted[list(GPP_COLUMNS)],
        observations.dataset,
        scene.weather,
        scene.latitude,
        weights,
        least_qc=min_qc,
        flux=flux,
    )
