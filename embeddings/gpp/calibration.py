"""Calibration of a GPP head to measured towers: a hierarchical linear model of what the head gets wrong at a site.

    measured = head + head x (a . factors(day)) + b . offsets(day) + error

``a`` and ``b`` are a site's own, normally distributed around 0 with a covariance learnt at the towers that taught the
head, each predicted by a head that never saw it (empirical Bayes: Laird and Ware 1982, doi:10.2307/2529876). A few days
move them little, a year moves them far. Factors and offsets depend on the weather of the day alone and offsets vanish
in the dark, so that one pair of numbers a day calibrates a whole map.

Long on purpose: terms, prior, posterior and their use on a prediction must agree with each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.drivers import DRIVERS, LEAST_CLEAR_SKY, NORMAL_90, NORMALISATIONS

LEAST_DAYS = 3
"""Measured days below which nothing is calibrated: two tell no error from an outlier."""
MEMORY_DAYS = 15.0
"""Errors of days closer than this are alike: a row counts by one over the number of rows within it, so that a year of
days counts as about a dozen. A judgement, not tuned."""
SHARED = 0.5
"""Share of the prior variance that towers of one set have in common; the rest is each tower's own."""
CAUTION = 1.2
"""Factor on the error of a row when terms are estimated: without it a quarter of the towers that need no calibration
get worse by more than 0.02 NSE from five rows, with it a tenth, for 0.004 of the pooled gain."""
SCALES = (0.1, 1.0, 3.0)
"""Factors on the prior covariance that are weighed against each other by the evidence of the days: most towers need
hardly any calibration and some a large one, which one normal distribution does not say."""
SCALE_SHARES = (0.4, 0.4, 0.2)
"""Their shares before any day is seen."""
SPREAD_MEMORY = 12.0
"""Effective days after which a tower's own errors decide as much on its spread as those of all towers."""
REFERENCE_LIGHT = 200.0
"""W m-2: the offset is that of a day with this shortwave radiation."""
FACTORS = ("gain", "warmth", "clearness")
"""Relative change of the prediction: on every day, per scaled mean temperature of the recent past, and per departure
of the light from half of a clear day's."""
OFFSETS = ("offset",)
"""gC m-2 d-1 on a day with ``REFERENCE_LIGHT``, in proportion to the light."""
TERMS = (*FACTORS, *OFFSETS)


@dataclass(frozen=True)
class Prior:
    """What a head's errors at a site it never saw are like.

    Parameters
    ----------
    covariance
        (term, term) of the site's own terms, in the order of ``TERMS``.
    spread
        Standard deviation of the errors left, once the site's terms are known, in units of the head's own spread (half
        of the 90 % band over 1.645).
    band
        Factor on the calibrated spread with which the band holds 90 % of days not calibrated on.
    """

    covariance: np.ndarray
    spread: float
    band: float = 1.0


PRIORS = {
    "daily": Prior(
        np.array(
            [
                [0.04698, -0.02335, -0.00301, 0.10793],
                [-0.02335, 0.01645, -0.00087, -0.07362],
                [-0.00301, -0.00087, 0.02057, -0.00613],
                [0.10793, -0.07362, -0.00613, 0.48504],
            ]
        ),
        spread=1.006,
        band=0.97,
    ),
}
"""By kind of head, of ``learn_prior`` at the 30 towers seen at 30 m, each predicted by a head that never saw it.
``fluxlens evaluate gpp --towers`` gives it anew."""


@dataclass(frozen=True)
class DayTerms:
    """What a calibration needs to know of a day beside the head's prediction.

    Parameters
    ----------
    factors
        (day, factor) in the order of ``FACTORS``, unitless.
    offsets
        (day, offset) in the order of ``OFFSETS``, unitless; 0 in the dark.
    """

    factors: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_drivers(cls, sw: np.ndarray, drivers: np.ndarray) -> DayTerms:
        """Terms from the inputs of the daily head.

        Parameters
        ----------
        sw
            (day,) daily mean shortwave radiation, W m-2.
        drivers
            (day, driver) scaled, in the order of ``models.gpp.drivers.DRIVERS``; 0 where the weather is unknown, which
            takes the term away.

        Returns
        -------
        DayTerms
            Of the same days.
        """
        sw = np.maximum(np.asarray(sw, float), 0)
        clear_sky = NORMALISATIONS["clear_sky"].denormalise(
            drivers[:, DRIVERS.index("clear_sky")].astype(float)
        )
        # On the clearest days measured light exceeds the clear-sky estimate; a fifth is the most that counts.
        clearness = np.clip(sw / np.maximum(clear_sky, LEAST_CLEAR_SKY), 0, 1.2) - 0.5
        # Within -10 to 30 degC: beyond, a linear term would go on without bound.
        warmth = np.clip(drivers[:, DRIVERS.index("tair_recent")].astype(float), -2, 2)
        factors = np.stack([np.ones_like(sw), warmth, clearness], 1)
        return cls(factors, (sw / REFERENCE_LIGHT)[:, None])

    def take(self, rows: np.ndarray | slice) -> DayTerms:
        """Some of the days, given by number, mask or slice ``rows`` of (day,)."""
        return DayTerms(self.factors[rows], self.offsets[rows])

    def design(self, gpp: np.ndarray) -> np.ndarray:
        """Derivative of a calibrated prediction by the terms.

        Parameters
        ----------
        gpp
            (day,) prediction of the head, gC m-2 d-1.

        Returns
        -------
        ndarray
            (day, term), gC m-2 d-1 per unit of each term.
        """
        return np.concatenate([self.factors * np.asarray(gpp, float)[:, None], self.offsets], 1)


@dataclass(frozen=True)
class SiteRows:
    """Measured days of one site beside the head's prediction of them.

    Parameters
    ----------
    day
        (row,) days since 1970-01-01, in any order; a day may come twice.
    gpp
        (row,) measured, gC m-2 d-1, finite.
    predicted
        (row,) of the head, gC m-2 d-1, finite.
    spread
        (row,) its standard deviation, gC m-2 d-1, above 0.
    terms
        Of the same rows.
    """

    day: np.ndarray
    gpp: np.ndarray
    predicted: np.ndarray
    spread: np.ndarray
    terms: DayTerms

    def take(self, rows: np.ndarray) -> SiteRows:
        """Some of the rows, given by number or mask ``rows`` of (row,)."""
        columns = (self.day, self.gpp, self.predicted, self.spread)
        return SiteRows(*(column[rows] for column in columns), self.terms.take(rows))

    @property
    def residual(self) -> np.ndarray:
        """(row,) measured less predicted, gC m-2 d-1."""
        return self.gpp - self.predicted

    @cached_property
    def row_weights(self) -> np.ndarray:
        """What each row counts among its neighbours in time, (row,) 0 to 1; the sum is the effective number of days."""
        # Neighbouring days have like errors: a day counts as one over the sum of its correlations with all days, which
        # fall with the distance in time. Long records so count for less than their number of rows.
        every, of, count = np.unique(self.day, return_inverse=True, return_counts=True)
        fade = np.exp(-np.diff(every) / MEMORY_DAYS).tolist()
        before, after = count.astype(float), count.astype(float)
        # The sum over all pairs of exp(-|distance| / memory), in one pass forwards and one backwards.
        for i, share in enumerate(fade):
            before[i + 1] += share * before[i]
        for i in range(len(fade) - 1, -1, -1):
            after[i] += fade[i] * after[i + 1]
        # Both sums hold the day itself: it is taken away once.
        return 1 / (before + after - count)[of]


@dataclass(frozen=True)
class Adjustment:
    """What a calibration does to a head: posterior of the site's terms, and of its spread.

    Parameters
    ----------
    mean
        (term,) in the order of ``TERMS``.
    covariance
        (term, term)
    spread
        Standard deviation of the errors left, in units of the head's spread, band factor included.
    days
        Rows calibrated on.
    effective_days
        What they count for, see ``SiteRows.row_weights``.
    """

    mean: np.ndarray
    covariance: np.ndarray
    spread: float
    days: int = 0
    effective_days: float = 0.0

    def of_days(self, terms: DayTerms) -> DayAdjustment:
        """The adjustment of each day, the same for all pixels.

        Parameters
        ----------
        terms
            Of (day,).

        Returns
        -------
        DayAdjustment
            Arrays of (day,).
        """
        # Gain = 1 + factors a, offset = offsets b: terms of the gain come first in ``TERMS``.
        count = len(FACTORS)
        a, b = self.mean[:count], self.mean[count:]
        v = self.covariance
        f, o = terms.factors, terms.offsets
        # Variance of gain and offset and their covariance on each day: f' V f and the like, without a loop over days.
        quadratic = [
            np.einsum("df,fg,dg->d", left, block, right)
            for left, block, right in (
                (f, v[:count, :count], f),
                (f, v[:count, count:], o),
                (o, v[count:, count:], o),
            )
        ]
        # A negative gain would turn the season upside down; no tower is that wrong.
        return DayAdjustment(np.maximum(1 + f @ a, 0.0), o @ b, *quadratic, self.spread)

    def apply(
        self, gpp: np.ndarray, low: np.ndarray, high: np.ndarray, terms: DayTerms
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Calibrate predictions of rows with a day each.

        Parameters
        ----------
        gpp, low, high
            (row,) prediction of the head and its 90 % band, gC m-2 d-1.
        terms
            Of the same rows.

        Returns
        -------
        gpp, low, high
            (row,) calibrated, gC m-2 d-1.
        """
        return self.of_days(terms).apply(gpp, low, high)

    def check(self, rows: SiteRows) -> tuple[np.ndarray, np.ndarray]:
        """Calibrate measured rows, and see which lie inside the calibrated band.

        Parameters
        ----------
        rows
            That it was not calibrated on.

        Returns
        -------
        gpp, inside
            (row,) calibrated, gC m-2 d-1, and (row,) bool, of the 90 % band.
        """
        half = NORMAL_90 * rows.spread
        mean, low, high = self.apply(rows.predicted, rows.predicted - half, rows.predicted + half, rows.terms)
        return mean, (rows.gpp >= low) & (rows.gpp <= high)


@dataclass(frozen=True)
class DayAdjustment:
    """An adjustment on given days.

    Parameters
    ----------
    gain, offset
        (day,) factor on the prediction, and what is added to it in gC m-2 d-1.
    var_gain, cov, var_offset
        (day,) variance of the gain, its covariance with the offset, variance of the offset.
    spread
        As of ``Adjustment``.
    """

    gain: np.ndarray
    offset: np.ndarray
    var_gain: np.ndarray
    cov: np.ndarray
    var_offset: np.ndarray
    spread: float

    def apply(
        self, gpp: np.ndarray, low: np.ndarray, high: np.ndarray, days: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Calibrate predictions whose first dim is the day.

        Parameters
        ----------
        gpp, low, high
            (day, pixel dims) prediction of the head and its 90 % band, gC m-2 d-1.
        days
            Which days of this adjustment they are.

        Returns
        -------
        gpp, low, high
            Calibrated, the same shape and unit. The band is stretched on either side by the same factor.
        """
        shape = (-1,) + (1,) * (np.ndim(gpp) - 1)
        gain, offset, vgg, vgo, voo = (
            # (day, 1, ...) in the precision of the prediction: float64 terms would turn a float32 map into twice its
            # memory.
            term[days].reshape(shape).astype(np.result_type(gpp, np.float32))
            for term in (self.gain, self.offset, self.var_gain, self.cov, self.var_offset)
        )
        # The offset may outweigh the prediction on a dim day, and GPP is not negative.
        mean = np.maximum(gain * gpp + offset, 0)
        sd = np.maximum(high - low, 1e-3) / (2 * NORMAL_90)
        # Var(gain * gpp + offset), from the posterior of the terms; rounding may leave it below zero.
        terms = np.maximum(gpp * gpp * vgg + 2 * gpp * vgo + voo, 0)
        # Two independent errors add up in squares: the head's own, scaled by ``spread``, and that of the calibration.
        # In units of the head's standard deviation, so that a band that is wider on one side stays so.
        stretch = np.sqrt(self.spread**2 + terms / sd**2)
        return mean, mean - stretch * (gpp - low), mean + stretch * (high - gpp)


def fit(sites: dict[str, SiteRows], prior: Prior) -> tuple[Adjustment, dict[str, Adjustment]]:
    """Posterior of a set of towers: of each, and of a further place of the same kind.

    Parameters
    ----------
    sites
        Measured days by tower.
    prior
        Of the head that predicted them.

    Returns
    -------
    pooled, own
        For places that are none of the towers (with one tower: that tower's), and by tower.

    Raises
    ------
    InputError
        With fewer than ``LEAST_DAYS`` measured days.
    """
    days = sum(len(np.unique(rows.day)) for rows in sites.values())
    if days < LEAST_DAYS:
        raise InputError(
            f"Got {days} measured day{'' if days == 1 else 's'}, need {LEAST_DAYS} or more to calibrate; give more"
            " days."
        )
    information = {name: _information(rows, prior) for name, rows in sites.items()}
    # One scale for the set: towers of one set are wrong alike or right alike.
    scale_fits = [_fit_scale(information, scale * prior.covariance) for scale in SCALES]
    evidence = np.array([scale_fit.evidence for scale_fit in scale_fits]) + np.log(SCALE_SHARES)
    # Log evidences of hundreds overflow without the subtraction.
    share = np.exp(evidence - evidence.max())
    share /= share.sum()
    own = {}
    for name, rows in sites.items():
        mean, covariance = _mixture(share, [scale_fit.own[name] for scale_fit in scale_fits])
        # Own errors, in units of the head's spread, shrunk to those of all towers.
        left = rows.residual - rows.terms.design(rows.predicted) @ mean
        ratio = float((rows.row_weights * (left / rows.spread) ** 2).sum())
        effective = information[name][2]
        spread = np.sqrt((SPREAD_MEMORY * prior.spread**2 + ratio) / (SPREAD_MEMORY + effective))
        own[name] = Adjustment(mean, covariance, float(spread * prior.band), len(rows.day), effective)
    # Nothing to tell the tower's own departure from what a set would have in common.
    if len(own) == 1:
        return next(iter(own.values())), own
    # A further place: the set's mean, with the variance between towers in its covariance.
    effective = sum(one.effective_days for one in own.values())
    spread = float(np.sqrt(np.mean([one.spread**2 for one in own.values()])))
    mean, covariance = _mixture(share, [scale_fit.pooled for scale_fit in scale_fits])
    return Adjustment(mean, covariance, spread, sum(one.days for one in own.values()), effective), own


@dataclass(frozen=True)
class _Posterior:
    """Mean and covariance of a further place's terms and of each tower's, and log evidence, under one prior."""

    pooled: tuple[np.ndarray, np.ndarray]
    own: dict[str, tuple[np.ndarray, np.ndarray]]
    evidence: float


def _fit_scale(information: dict[str, tuple], covariance: np.ndarray) -> _Posterior:
    count = len(TERMS)
    # Two levels: what the set has in common, and each tower's departure from it.
    shared, alone = SHARED * covariance, (1 - SHARED) * covariance
    # A tower's likelihood of what the set has in common, with its own departure integrated out.
    precision, weighted, evidence = np.linalg.inv(shared), np.zeros(count), 0.0
    for j, h, _ in information.values():
        # (I + J V)^-1 keeps its condition where J is nearly singular, unlike (J^-1 + V)^-1.
        shrinkage = np.linalg.inv(np.eye(count) + j @ alone)
        precision = precision + shrinkage @ j
        weighted = weighted + shrinkage @ h
        # Log density of the residuals, less what does not depend on the prior.
        evidence -= 0.5 * np.linalg.slogdet(np.eye(count) + covariance @ j)[1]
        evidence += 0.5 * h @ np.linalg.inv(j + np.linalg.inv(covariance)) @ h
    set_covariance = _symmetric(np.linalg.inv(precision))
    set_mean = set_covariance @ weighted
    own, prior_precision = {}, np.linalg.inv(alone)
    for name, (j, h, _) in information.items():
        conditional = np.linalg.inv(j + prior_precision)  # with what the set has in common known
        # How far the tower is drawn to the set's mean: fully without days, not at all with many.
        pull = conditional @ prior_precision
        own[name] = (
            conditional @ h + pull @ set_mean,
            _symmetric(conditional + pull @ set_covariance @ pull.T),
        )
    return _Posterior((set_mean, set_covariance + alone), own, float(evidence))


def _mixture(
    share: np.ndarray, moments: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a mixture of normal distributions; total covariance is within plus between."""
    mean = sum(w * m for w, (m, _) in zip(share, moments, strict=True))
    return mean, sum(w * (v + np.outer(m - mean, m - mean)) for w, (m, v) in zip(share, moments, strict=True))


def _information(rows: SiteRows, prior: Prior) -> tuple[np.ndarray, np.ndarray, float]:
    """Precision (term, term) and weighted sum (term,) of a site's likelihood, and its effective days."""
    weight = rows.row_weights
    # Normal equations of weighted least squares: J = X' W X and h = X' W r.
    design = rows.terms.design(rows.predicted)  # (row, term)
    scaled = weight / (CAUTION * prior.spread * rows.spread) ** 2
    # Measured outliers, such as a failed partitioning, pull no harder than three standard deviations.
    limit = 3 * prior.spread * rows.spread + 3 * np.sqrt(
        np.einsum("rt,ts,rs->r", design, prior.covariance, design)
    )
    residual = np.clip(rows.residual, -limit, limit)
    return (design * scaled[:, None]).T @ design, design.T @ (scaled * residual), float(weight.sum())


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2


def learn_prior(sites: dict[str, SiteRows], rounds: int = 60) -> Prior:
    """Covariance and spread of the towers' own terms, by expectation and maximisation (Dempster et al. 1977).

    Parameters
    ----------
    sites
        By tower: measured days beside predictions by a head that never saw the tower, gC m-2 d-1.
    rounds
        Of the two steps.

    Returns
    -------
    Prior
        Without a band factor.
    """
    # Standard deviations to start from, in the order of ``TERMS``; sixty rounds forget them.
    covariance, spread = np.diag([0.3, 0.1, 0.2, 0.7]) ** 2, 1.0
    for _ in range(rounds):
        prior = Prior(covariance, spread)
        # Half a tower's worth of the start, so that few towers give no singular covariance.
        moment, ratio, total = 0.5 * np.diag([0.15, 0.05, 0.1, 0.3]) ** 2, 0.0, 0.0
        for rows in sites.values():
            j, h, effective = _information(rows, prior)
            # Expectation: posterior covariance and mean of the tower's terms under the present prior.
            v = np.linalg.inv(j + np.linalg.inv(covariance))
            mean = v @ h
            moment = moment + np.outer(mean, mean) + v
            design = rows.terms.design(rows.predicted)
            left = rows.residual - design @ mean
            # Squared error expected under the posterior: of its mean, and of its uncertainty.
            expected = left**2 + np.einsum("rt,ts,rs->r", design, v, design)
            # Each tower counts by its effective days: a long record is many days, but one place.
            ratio += float((rows.row_weights * expected / rows.spread**2).sum())
            total += effective
        # Maximisation: the mean of the second moments.
        covariance, spread = _symmetric(moment / (len(sites) + 0.5)), float(np.sqrt(ratio / total))
    return Prior(covariance, spread)
