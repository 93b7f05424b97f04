"""Embeddings of tables of single spectra, as further columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from fluxlens.embeddings.gpp import table_features
from fluxlens.embeddings.gpp.table_features import BANDS
from fluxlens.models.batch import Tokens
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import HALO_PX


def embed_spectra(
    model: Embedder, bands: np.ndarray, names: tuple[str, ...], sensor: str = "s2"
) -> np.ndarray:
    """Embeddings of single spectra without neighbours in space or time.

    Each spectrum is the only acquisition of its series and is evaluated on its own day. The fusion knows days only by
    their distance to each other, so that which day it was does not matter.

    Parameters
    ----------
    model
        On the CPU.
    bands
        (n, band) in the sensor's unit, NaN where not measured.
    names
        Of the bands.
    sensor
        Name of the sensor.

    Returns
    -------
    numpy.ndarray
        (n, feature) float32.
    """
    spec = model.config.specs[sensor]
    # A square as large as the receptive field, all missing but its centre: the encoder gives one token for it.
    side = 2 * HALO_PX + 1
    values = np.full((len(bands), len(spec.bands), side, side), np.nan, np.float32)
    for i, name in enumerate(names):
        values[:, spec.bands.index(name), HALO_PX, HALO_PX] = bands[:, i]
    valid = ~np.isnan(values).all(1)  # (n, y, x)
    with torch.inference_mode():
        token = model.encode(sensor, torch.from_numpy(values), torch.from_numpy(valid))[:, :, 0, 0]
        day = torch.zeros(1, 1, dtype=torch.int64)
        # spectra take the place of pixels: (1, time, n, channel)
        tokens = Tokens(token[None, None], torch.ones(1, 1, len(bands), dtype=torch.bool), day)
        return model.embed({sensor: tokens}, day).z[0, 0].numpy()


def add_embeddings(table: pd.DataFrame, model: str | Embedder = "default") -> pd.DataFrame:
    """Add the embedding of each row's day, from all spectra of its site as a series of one pixel.

    Bands stand for those of Sentinel-2 of the same wavelengths; spectra of one day are averaged, those of cloud or
    snow left out where the site has others.

    Parameters
    ----------
    table
        As ``read`` returns it.
    model
        Name or path of the embedder, or one that is loaded.

    Returns
    -------
    DataFrame
        The table with the columns ``e00`` and so on.
    """
    import torch
    from fluxlens.embeddings.inference import batched_forward
    from fluxlens.embeddings.scenes.acquisitions import AcquisitionSeries, to_epoch_day
    from fluxlens.models import checkpoints, encoder
    from fluxlens.models.sensors import HLS_BANDS

    net = model if isinstance(model, Embedder) else checkpoints.load(model, "cpu")
    spec, middle = net.config.specs["s2"], encoder.HALO_PX
    day, z = to_epoch_day(table["date"].values), np.empty((len(table), net.features), np.float32)
    where = [spec.bands.index(name) for name in HLS_BANDS]
    # Site by site: spectra of other sites must not enter.
    for rows in table.groupby("site").indices.values():
        days, of = np.unique(day[rows], return_inverse=True)
        spectra = table[list(BANDS)].iloc[rows].groupby(of).mean()
        clear = table_features.is_clear(*(spectra[name] for name in ("b2", "b3", "b6"))).values
        # An image of one pixel: the halo around it is missing.
        values = np.full((len(days), len(spec.bands), 2 * middle + 1, 2 * middle + 1), np.nan, np.float32)
        values[:, where, middle, middle] = np.where(clear[:, None] | ~clear.any(), spectra, np.nan)
        tokens = batched_forward.encode(
            net, "s2", AcquisitionSeries(values, np.isfinite(values).any(1), days)
        )
        with torch.inference_mode():
            z[rows] = net.embed({"s2": tokens}, torch.from_numpy(days)[None]).z[0, :, 0].numpy()[of]
    return table.assign(**{f"e{i:02d}": column for i, column in enumerate(z.T)})
