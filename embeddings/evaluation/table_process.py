"""GPP of single spectra with weather by Gaussian processes on hand-made features: what statistics of one table reach.

A reference for ``evaluate gpp --data`` and a probe of embeddings beside raw bands; no file of it is shipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from fluxlens.embeddings.gpp import table_features
from fluxlens.embeddings.gpp.table_features import GROUPS, GaussianImputer
from fluxlens.models.gpp.drivers import COVERAGE, NORMAL_90


def signed_sqrt(gpp: np.ndarray) -> np.ndarray:
    """Square root of the size, with the sign: errors of GPP grow with GPP, those of its root hardly.

    Parameters
    ----------
    gpp
        gC m-2 d-1, any shape; measurements may be negative.

    Returns
    -------
    ndarray
        The same shape.
    """
    return np.sign(gpp) * np.sqrt(np.abs(gpp))


def signed_square(value: np.ndarray) -> np.ndarray:
    """Undo ``signed_sqrt``.

    Parameters
    ----------
    value
        Signed root of GPP, any shape.

    Returns
    -------
    ndarray
        gC m-2 d-1, the same shape.
    """
    return np.sign(value) * np.square(value)


@dataclass
class TableProcess:
    """An equal mixture of Gaussian processes with different kernels, on the signed root of GPP.

    Parameters
    ----------
    processes
        ``models.gpp.gaussian_process.SiteGaussianProcess``, one per kernel.
    imputer
        Completes rows with missing columns.
    interval_scale
        Factor on the spread that gave the band its coverage at left-out sites.
    groups
        Features by group, as ``gpp.table_features.GROUPS``.
    """

    processes: list
    imputer: GaussianImputer
    interval_scale: float = 1.0
    groups: dict[str, tuple[str, ...]] = field(default_factory=lambda: GROUPS)

    @classmethod
    def fit(
        cls,
        table: pd.DataFrame,
        kernels: tuple[str, ...] = ("gaussian", "cauchy", "matern"),
        steps: int = 25,
        groups: dict[str, tuple[str, ...]] = GROUPS,
        by: str = "site",
    ) -> TableProcess:
        """Fit imputer, processes and the width of the band to a table.

        Parameters
        ----------
        table
            As ``gpp.tables.read`` returns it, with ``gpp``; rows without GPP are left out.
        kernels
            Names in ``models.gpp.gaussian_process.SHAPES``, one process each.
        steps
            Optimiser steps of each process.
        groups
            Features by group.
        by
            Column whose groups are left out whole to set the width of the band.

        Returns
        -------
        TableProcess
            Calibrated, conditioned on the rows.
        """
        import torch
        from fluxlens.models.gpp.gaussian_process import SiteGaussianProcess

        table = table[table["gpp"].notna()]
        x, imputer, y, site = _training_tensors(table, groups)
        index = torch.from_numpy(table_features.group_index(groups))  # (feature,)
        # Several kernels: how smooth GPP is in its drivers nobody knows, and the mixture is wider where they differ.
        processes = [SiteGaussianProcess(index, kernel).fit(x, y, site, steps) for kernel in kernels]
        return cls(processes, imputer, groups=groups).calibrate(table[by])

    def conditioned_on(self, table: pd.DataFrame) -> TableProcess:
        """Copy with the same hyperparameters, scaling and imputer, conditioned on other rows.

        Parameters
        ----------
        table
            With ``gpp``; rows without GPP are left out.

        Returns
        -------
        TableProcess
            A new one.
        """
        x, _, y, site = _training_tensors(table[table["gpp"].notna()], self.groups, self.imputer)
        return replace(self, processes=[process.conditioned_on(x, y, site) for process in self.processes])

    def calibrate(self, group: pd.Series) -> TableProcess:
        """Set the width of the band.

        The band is scaled, in the manner of conformal prediction (Vovk et al. 2005), so that it holds its share of the
        rows when each group is left out in turn.

        Parameters
        ----------
        group
            (row,) label of the rows conditioned on.

        Returns
        -------
        TableProcess
            This one.
        """
        # Errors in units of the predicted spread: one factor widens sure and unsure rows alike.
        mean, spread = self.leave_group_out(group)
        error = np.abs(self.processes[0].y.numpy() - mean) / spread
        self.interval_scale = float(np.quantile(error, COVERAGE)) / NORMAL_90
        return self

    def leave_group_out(self, group: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Predict each row from all rows outside its group.

        Parameters
        ----------
        group
            (row,) label of the rows conditioned on.

        Returns
        -------
        mean, spread
            (row,) mean and standard deviation of the signed root of GPP.
        """
        import torch

        index = torch.from_numpy(pd.factorize(group)[0])
        return _mixture([[moment.numpy() for moment in p.leave_group_out(index)] for p in self.processes])


def gpp_with_band(mean: np.ndarray, spread: np.ndarray, interval_scale: float) -> dict[str, np.ndarray]:
    """Back from the signed root to GPP and its 90 % band.

    Parameters
    ----------
    mean, spread
        (row,) mean and standard deviation of the signed root of GPP.
    interval_scale
        Factor on the spread.

    Returns
    -------
    dict
        ``gpp`` (not negative), ``gpp_lo`` and ``gpp_hi`` (which may be, as measurements are), (row,) gC m-2 d-1.
    """
    half = NORMAL_90 * interval_scale * spread  # (row,) of the signed root
    return {
        # The median: a square of the mean root, without its variance.
        "gpp": np.square(np.maximum(mean, 0)),
        # Quantiles pass through a monotonic map as they are: the ends of the root's band are squared, not its width.
        "gpp_lo": signed_square(mean - half),
        "gpp_hi": signed_square(mean + half),
    }


def _training_tensors(
    table: pd.DataFrame, groups: dict[str, tuple[str, ...]], imputer: GaussianImputer | None = None
):
    """Features (row, feature), imputer, signed root of GPP (row,) and site numbers (row,)."""
    import torch

    table = table.reset_index(drop=True)
    # Of left-out rows too the imputer is that of the rows of the fit.
    base = table_features.base(table)
    imputer = imputer or GaussianImputer.fit(base)
    drawn = imputer.impute(base)
    # Training rows are completed by the mean of their imputations: draws would add noise to the kernels' inputs.
    complete = sum(drawn[1:], drawn[0]) / len(drawn)
    x = table_features.features(complete, table, groups).values  # (row, feature)
    site = np.unique(table["site"], return_inverse=True)[1]  # (row,) integers
    return torch.tensor(x), imputer, torch.tensor(signed_sqrt(table["gpp"].values)), torch.tensor(site)


def _mixture(predictions: list) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of an equal mixture of (mean, variance); total variance is within plus between."""
    means, variances = (np.stack(moment) for moment in zip(*predictions, strict=True))  # (process, row)
    return means.mean(0), np.sqrt(variances.mean(0) + means.var(0))
