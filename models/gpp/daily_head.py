"""Daily GPP of a pixel: absorbed light times light-use efficiency, saturating in light, with a predictive spread.

With A = PAR x absorbed(z),

    GPP = pmodel_lue(t, d) x frost(t) x efficiency(z, s) x A / (1 + saturation(z, s) x L),

L being the light relative to that of a clear day. Zero in the dark, never negative, rising and levelling off in light,
whatever the weights are (light-use efficiency: Monteith 1972; rectangular hyperbola: Michaelis and Menten 1913, for
canopies Ruimy et al. 1995). Temperature ``t`` and vapour pressure deficit ``d`` act through the P-model and the frost
factor alone. Departures from it come from the embedding ``z`` and the soil water ``s``: dry air goes with dry soil in
one climate and with irrigated fields in another, and a head that can take one for the other fails outside the climates
it was fitted on.

The file is long since the form and its fast path for maps (``for_days``), which must agree, are read together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import torch
from fluxlens.models.gpp.drivers import (
    DRIVERS,
    LEAST_CLEAR_SKY,
    NORMALISATIONS,
    PHOTONS,
    PIXEL,
    PIXEL_DRIVERS,
    PMODEL_DRIVERS,
    PMODEL_MISSING,
    TEMPERATURE,
    driver_indices,
)
from fluxlens.models.gpp.fast_silu import silu_
from fluxlens.models.gpp.pmodel import pmodel_lue
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

MAX_EFFICIENCY = 2.5
"""Upper limit of the efficiency relative to the P-model's; above one for C4 plants and diffuse light."""
OOD_QUANTILE = 0.995
"""Share of the fitting embeddings whose distance is within the out-of-distribution threshold."""
MAX_CORRECTION = 1.5
"""Largest change of the logarithm of GPP, and of its spread, by the correction: factors of 0.2 to 4.5."""
AIR = driver_indices("tair", "tair_recent", "vpd", "vpd_recent")
"""Weather by which a day is out of distribution."""
WEATHER_MISSING = driver_indices("no_tair", "no_vpd", "no_sw")
"""Flags of weather without which there is no correction: it rests on measured rows that had it."""
RIDGE = 0.02
"""Added to the variances (of scaled features) before inverting, so that nearly constant features do not decide."""


@dataclass(frozen=True)
class Config:
    """Sizes of the head.

    Parameters
    ----------
    features
        Length of the embedding.
    hidden
        Width of the hidden layers.
    correction
        Width of the branch that ``correction.fit_correction`` fits; 0: none, as in heads of earlier releases.
    """

    features: int = 32
    hidden: int = 48
    correction: int = 0


class DailyHead(nn.Module):
    """Mean and standard deviation of the daily GPP that a tower would measure, gC m-2 d-1.

    The names of layers and buffers are keys of the shipped weights. ``centre`` and ``size`` scale the embedding;
    ``precision`` is the inverse covariance of the scaled embedding and ``far`` the distance beyond which it is out of
    distribution; ``widen`` is the factor on the spread that gives the 90 % band its coverage in climates left out of
    the fit. ``leaf`` and ``absorbed`` give the absorbed share of light; ``awake`` the frost factor; ``of_leaf``
    (from the embedding), ``of_air`` (from the drivers) and ``physiology`` the efficiency and the saturation;
    ``doubt_leaf``, ``doubt_air`` and ``doubt`` the spread. ``correction_leaf``, ``correction_air`` and
    ``correction`` change the mean and the spread by a factor for land seen at 10 to 30 m; a factor keeps what
    the form guarantees. ``widen_level`` widens the spread further by the level of the mean, per gC m-2 d-1;
    ``widen_of_coarse`` is to rows without the correction (land at 100 m or more, missing weather) what ``widen`` is
    to others; ``far_of_rows`` is the limit of single spectra of a table. ``map_centre``, ``map_precision`` and
    ``map_far`` are to maps and series, whose embeddings of many bands, neighbours and radar lie elsewhere, what 0,
    ``precision`` and ``far`` are to rows; ``air_centre``, ``air_precision`` and ``air_far`` are the same of the
    weather.

    Parameters
    ----------
    config
        Sizes; the defaults are those of the shipped head.
    """

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config = config or Config()
        self.register_buffer("centre", torch.zeros(config.features))
        self.register_buffer("size", torch.ones(config.features))
        self.register_buffer("widen", torch.ones(()))
        self.register_buffer("far", torch.full((), torch.inf))
        self.register_buffer("precision", torch.eye(config.features))
        # Absorbed light from the land alone: (*n, f) -> (*n, hidden) -> (*n, 1).
        self.leaf = nn.Sequential(nn.Linear(config.features, config.hidden), nn.SiLU())
        self.absorbed = nn.Linear(config.hidden, 1)
        # The frost factor from temperatures alone, so that it cannot learn what the land looks like.
        self.awake = nn.Sequential(nn.Linear(len(TEMPERATURE), 12), nn.SiLU(), nn.Linear(12, 1))
        # One layer over [embedding, drivers], held as two: on a map the drivers' half is computed once a day, not per
        # pixel.
        self.of_leaf = nn.Linear(config.features, config.hidden)
        self.of_air = nn.Linear(len(DRIVERS), config.hidden)
        self.physiology = nn.Sequential(
            nn.SiLU(), nn.Linear(config.hidden, config.hidden), nn.SiLU(), nn.Linear(config.hidden, 2)
        )
        # The spread in the same form: (*n, 16) -> (*n, 2), a constant part and a part in proportion to the mean.
        self.doubt_leaf = nn.Linear(config.features, 16)
        self.doubt_air = nn.Linear(len(DRIVERS), 16)
        self.doubt = nn.Sequential(nn.SiLU(), nn.Linear(16, 2))
        # Only then, so that the state dict of heads of earlier releases has the very keys of their files.
        if config.correction:
            self.correction_leaf = nn.Linear(config.features, config.correction)
            self.correction_air = nn.Linear(len(DRIVERS), config.correction)
            # Inputs of the correction: the first layers of the other branches, and its own units.
            first = 2 * config.hidden + 16 + config.correction
            self.correction = nn.Linear(first, 2)
            self.reset_correction()
            self.register_buffer("widen_level", torch.zeros(()))
            self.register_buffer("widen_of_coarse", torch.ones(()))
            self.register_buffer("air_centre", torch.zeros(len(AIR)))
            self.register_buffer("air_precision", torch.eye(len(AIR)))
            self.register_buffer("air_far", torch.full((), torch.inf))
            self.register_buffer("far_of_rows", torch.full((), torch.inf))
            self.register_buffer("map_centre", torch.zeros(config.features))
            self.register_buffer("map_precision", torch.eye(config.features))
            self.register_buffer("map_far", torch.full((), torch.inf))

    def forward(
        self,
        z: Float[Tensor, "*n f"],
        sw: Float[Tensor, "*#n"],
        drivers: Float[Tensor, "*#n w"],
        corrected: bool = True,
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
        """Predict GPP of single pixel-days; differentiable.

        Parameters
        ----------
        z
            Embedding, dequantised.
        sw
            Daily mean shortwave radiation, W m-2; may be broadcast over pixels.
        drivers
            Scaled drivers in the order of ``DRIVERS``; may be broadcast over pixels.
        corrected
            Whether the land is seen at 10 to 30 m, as by Sentinel-2 and Landsat; the correction was learnt there.

        Returns
        -------
        mean, spread
            Mean and standard deviation, gC m-2 d-1.
        """
        # (*n, hidden), (*n, hidden), (*n, 16)
        leaf, physiology, spread_features = self._first_layers(z, drivers)
        # Light-use efficiency: potential x absorbed share x efficiency, saturating with light; (*n), (*n).
        mean, spread = self._combine(leaf, physiology, spread_features, *self._potential(sw, drivers))
        if not (corrected and self.config.correction):
            return mean, spread
        return self._correct(mean, spread, self.correction_of(z, drivers).exp(), _has_weather(drivers))

    def _correct(
        self,
        mean: Float[Tensor, "*n"],
        spread: Float[Tensor, "*n"],
        factors: Float[Tensor, "*n 2"],
        has_weather: Float[Tensor, "*#n"],
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
        """Mean and spread with the correction, and with a spread that suits ``interval_scale`` where it is off."""
        # A factor and no addend: no light stays no GPP.
        mean = mean * factors[..., 0]
        # Errors grow with GPP: the spread is widened by the level of the mean as well.
        corrected = spread * factors[..., 1] * (1 + self.interval_scale_slope * mean)
        # Without weather the correction is off, and ``interval_scale``, by which the caller multiplies, is not for such
        # spreads.
        uncorrected = spread * (self.coarse_interval_scale / self.interval_scale)
        return mean, torch.where(has_weather > 0, corrected, uncorrected)

    def _first_layers(self, z: Float[Tensor, "*n f"], drivers: Float[Tensor, "*#n w"]) -> tuple[Tensor, ...]:
        """Activated first layers of absorbed light, physiology and spread, each (*n, hidden)."""
        # (*n, f), each feature of mean 0 and standard deviation 1 over the rows of the fit.
        scaled = (z - self.centre) / self.size
        return (
            self.leaf(scaled),
            # The P-model's drivers reach GPP through the P-model alone.
            F.silu(self.of_leaf(scaled) + self.of_air(_without_pmodel_drivers(drivers))),
            F.silu(self.doubt_leaf(scaled) + self.doubt_air(drivers)),
        )

    def correction_of(
        self, z: Float[Tensor, "*n f"], drivers: Float[Tensor, "*#n w"]
    ) -> Float[Tensor, "*n 2"]:
        """Logarithms of the factors on mean and spread; differentiable.

        Parameters
        ----------
        z
            Embedding ``(*n, f)``, dequantised (dimensionless).
        drivers
            Scaled drivers in the order of ``DRIVERS``.

        Returns
        -------
        Tensor
            ``(*n, 2)`` mean and spread, within ``MAX_CORRECTION`` of 0; 0 where the weather is not known.
        """
        scaled = (z - self.centre) / self.size
        own = F.silu(self.correction_leaf(scaled) + self.correction_air(drivers))  # (*n, correction)
        # What the network has found already serves too: a quarter of the units would be needed again.
        hidden = torch.cat([*self._first_layers(z, drivers), own], -1)
        return self._limit_correction(hidden, _has_weather(drivers))

    def _limit_correction(
        self, hidden: Float[Tensor, "*n k"], has_weather: Float[Tensor, "*#n"]
    ) -> Float[Tensor, "*n 2"]:
        # Smoothly bounded: near 0 the layer's output itself, never beyond ``MAX_CORRECTION``.
        limited = torch.tanh(self.correction(hidden) / MAX_CORRECTION)
        return limited * (MAX_CORRECTION * has_weather[..., None])

    def reset_correction(self) -> None:
        """Give the correction initial weights with which it changes nothing."""
        for layer in (self.correction_leaf, self.correction_air):
            layer.reset_parameters()
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def correction_parameters(self) -> list[nn.Parameter]:
        """Parameters of the correction alone."""
        layers = (self.correction_leaf, self.correction_air, self.correction)
        return [parameter for layer in layers for parameter in layer.parameters()]

    def base_parameters(self) -> list[nn.Parameter]:
        """All parameters but those of the correction."""
        return [value for name, value in self.named_parameters() if not name.startswith("correction")]

    def for_days(
        self,
        scale: Float[Tensor, "f"],
        sw: Float[Tensor, "d"],
        drivers: Float[Tensor, "d w"],
        with_distance: bool = True,
    ) -> Callable[
        [slice | Tensor, Float[Tensor, "d n f"], Float[Tensor, "d n 2"]], tuple[Tensor, Tensor, Tensor | None]
    ]:
        """Prepare the prediction of many pixels on the same days, without gradient, on the CPU.

        Gives what ``forward`` and ``map_distance`` give. All that depends on the day alone is computed here; the first
        layers of the three branches, the dequantisation and the scaling of the embedding become one matrix product.

        Parameters
        ----------
        scale
            Step of the int8 quantisation of each feature.
        sw
            Daily mean shortwave radiation, W m-2.
        drivers
            Scaled drivers, shared by all pixels; the ``PIXEL_DRIVERS`` in it must be 0.
        with_distance
            Whether the Mahalanobis distance is computed, a seventh of the time.

        Returns
        -------
        callable
            ``predict(days, steps, pixel)`` with a slice or the positions (day) of the days, the quantised
            embedding (day, pixel, feature) and the ``PIXEL_DRIVERS`` (day, pixel, driver), as float32. It returns
            mean, spread (gC m-2 d-1) and Mahalanobis distance (None without it), each (day, pixel).
        """
        layers = [self.leaf[0], self.of_leaf, self.doubt_leaf]
        if self.config.correction:
            layers.append(self.correction_leaf)
        sizes = [layer.out_features for layer in layers]
        leaf, physiology, spread_features, *correction = (
            slice(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)
        )
        # W ((steps * scale - centre) / size) + b  =  (W / size * scale) steps + (b - (W / size) centre)
        weight = torch.cat([layer.weight for layer in layers]) / self.size  # (hidden, feature)
        shift = torch.cat([layer.bias for layer in layers]) - weight @ self.centre  # (hidden,)
        shift = shift.repeat(len(drivers), 1)  # (day, hidden)
        pixel_weight = torch.zeros(len(weight), len(PIXEL_DRIVERS))  # (hidden, pixel driver)
        branches = [
            (physiology, self.of_air, _without_pmodel_drivers(drivers)),
            (spread_features, self.doubt_air, drivers),
        ]
        branches += [(hidden_span, self.correction_air, drivers) for hidden_span in correction]
        for hidden_span, layer, inputs in branches:
            shift[:, hidden_span] += layer(inputs)
            pixel_weight[hidden_span] = layer.weight[:, PIXEL]
        # A pixel axis: (day, 1, hidden), (day, 1), (day, 1), (day, 1).
        shift, potential, relative_light, has_weather = (
            per_day[:, None] for per_day in (shift, *self._potential(sw, drivers), _has_weather(drivers))
        )
        # (feature + pixel driver, hidden); contiguous, since it is multiplied once per chunk of pixels.
        first = torch.cat([weight * scale, pixel_weight], 1).T.contiguous()
        map_centre, map_precision, _ = self._map_domain
        step, middle = scale / self.size, self.centre / self.size + map_centre

        def predict(
            days: slice | Tensor, steps: Tensor, pixel: Tensor
        ) -> tuple[Tensor, Tensor, Tensor | None]:
            hidden = silu_((torch.cat([steps, pixel], -1) @ first).add_(shift[days]))  # (day, pixel, hidden)
            # Views: the correction below reads all of ``hidden``, so that ``_combine`` activates its own results in
            # place and never these.
            branch_inputs = (hidden[..., hidden_span] for hidden_span in (leaf, physiology, spread_features))
            mean, spread = self._combine(*branch_inputs, potential[days], relative_light[days], silu_)
            if correction:
                factors = self._limit_correction(hidden, has_weather[days]).exp_()
                mean, spread = self._correct(mean, spread, factors, has_weather[days])
            distance = mahalanobis_distance(steps * step - middle, map_precision) if with_distance else None
            return mean, spread, distance

        return predict

    def _potential(
        self, sw: Float[Tensor, "*#n"], drivers: Float[Tensor, "*#n w"]
    ) -> tuple[Float[Tensor, "*#n"], Float[Tensor, "*#n"]]:
        """GPP of a canopy that absorbs all light at highest efficiency, and light relative to that of a clear day."""
        light = sw.clamp_min(0)
        # (*n), 0-1: canopies are idle for weeks after frost, whatever the light.
        frost = torch.sigmoid(self.awake(drivers[..., TEMPERATURE])[..., 0])
        # The driver is scaled; the ratio needs it in W m-2 again.
        clear_sky = NORMALISATIONS["clear_sky"].denormalise(drivers[..., DRIVERS.index("clear_sky")])
        potential = MAX_EFFICIENCY * pmodel_lue(drivers) * frost * light * PHOTONS
        # Bounded below: at polar night the ratio of two small numbers would mean nothing.
        return potential, light / clear_sky.clamp_min(LEAST_CLEAR_SKY)

    def _combine(
        self,
        leaf: Float[Tensor, "*n h"],
        physiology: Float[Tensor, "*n h"],
        spread_features: Float[Tensor, "*n k"],
        potential: Float[Tensor, "*#n"],
        relative_light: Float[Tensor, "*#n"],
        silu: Callable[[Tensor], Tensor] = F.silu,
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
        """Mean and spread from the activated first layers and ``_potential``."""
        absorbed = torch.sigmoid(self.absorbed(leaf)[..., 0])  # (*n), 0-1
        _, second, _, last = self.physiology  # the first activation is in the argument already
        efficiency, saturation = last(silu(second(physiology))).unbind(-1)
        # gC m-2 d-1: the potential reduced by the absorbed share, the efficiency and saturation in bright light.
        mean = (
            potential * absorbed * torch.sigmoid(efficiency) / (1 + F.softplus(saturation) * relative_light)
        )
        # Measured GPP has an error that grows with GPP and a part that does not (Richardson et al. 2006).
        level, share = F.softplus(self.doubt[1](spread_features)).unbind(-1)
        spread = (level.square() + (share * mean.detach()).square() + 1e-4).sqrt()
        return mean, spread

    def mahalanobis(self, z: Float[Tensor, "*n f"]) -> Float[Tensor, "*n"]:
        """Mahalanobis distance of embeddings from those the head was fitted on.

        Parameters
        ----------
        z
            Embedding, dequantised.

        Returns
        -------
        Tensor
            Distance in standard deviations; rows are out of distribution above the buffer ``far_of_rows``.
        """
        return mahalanobis_distance((z - self.centre) / self.size, self.precision)

    def map_distance(self, z: Float[Tensor, "*n f"]) -> Float[Tensor, "*n"]:
        """Mahalanobis distance of embeddings from those of ordinary land, as maps and series show it.

        Parameters
        ----------
        z
            Embedding, dequantised.

        Returns
        -------
        Tensor
            Distance in standard deviations; out of distribution above ``map_limit``. In heads of earlier releases the
            same as ``mahalanobis``.
        """
        centre, precision, _ = self._map_domain
        return mahalanobis_distance((z - self.centre) / self.size - centre, precision)

    # Buffers under the field's terms: their own names are keys of the shipped weights.

    @property
    def interval_scale(self) -> Tensor:
        """Factor on the spread that gives the 90 % band its coverage: the buffer ``widen``, a unitless scalar."""
        return self.widen

    @property
    def interval_scale_slope(self) -> Tensor:
        """Growth of the spread with the level of the mean, per gC m-2 d-1: the buffer ``widen_level``, a scalar."""
        return self.widen_level

    @property
    def coarse_interval_scale(self) -> Tensor:
        """``interval_scale`` of rows without the correction: the buffer ``widen_of_coarse``, a unitless scalar."""
        return self.widen_of_coarse

    @property
    def map_limit(self) -> float:
        """Limit of ``map_distance``, standard deviations."""
        return float(self._map_domain[2])

    @property
    def _map_domain(self) -> tuple[Tensor, Tensor, Tensor]:
        """Centre and precision of scaled embeddings of maps, and their limit."""
        if self.config.correction:
            return self.map_centre, self.map_precision, self.map_far
        return torch.zeros_like(self.centre), self.precision, self.far

    def set_map_domain(self, centre: Float[Tensor, "f"], precision: Float[Tensor, "f f"], far: float) -> None:
        """Set what ``map_distance`` measures from.

        Parameters
        ----------
        centre, precision
            Mean and inverse covariance of the scaled embedding, unitless.
        far
            Distance beyond which maps and series are out of distribution.
        """
        self.map_centre.copy_(centre)
        self.map_precision.copy_(precision)
        self.map_far.fill_(far)

    def air_distance(self, drivers: Float[Tensor, "*n w"]) -> Float[Tensor, "*n"]:
        """Mahalanobis distance of the air of days from that the head was fitted on.

        Parameters
        ----------
        drivers
            Scaled drivers in the order of ``DRIVERS``.

        Returns
        -------
        Tensor
            Distance in standard deviations, 0 where weather is missing and in heads of earlier releases; out of
            distribution above the buffer ``air_far``.
        """
        if not self.config.correction:
            return torch.zeros(drivers.shape[:-1])
        # Times 0 without weather: the drivers then hold the placeholder of a mild day, which is no evidence of strange
        # air.
        return mahalanobis_distance(drivers[..., AIR] - self.air_centre, self.air_precision) * _has_weather(
            drivers
        )

    def is_air_ood(self, drivers: Float[Tensor, "*n w"]) -> Bool[Tensor, "*n"]:
        """Whether days have air unlike any that the head was fitted on.

        Parameters
        ----------
        drivers
            Scaled drivers in the order of ``DRIVERS``.

        Returns
        -------
        Tensor
            Never true in heads of earlier releases.
        """
        if not self.config.correction:
            return torch.zeros(drivers.shape[:-1], dtype=torch.bool)
        return self.air_distance(drivers) > self.air_far

    def fit_air(self, drivers: Float[Tensor, "n w"], share: float = OOD_QUANTILE) -> None:
        """Set centre, covariance and threshold of ``air_distance``.

        Parameters
        ----------
        drivers
            Scaled drivers of the rows to fit on; those without weather do not count.
        share
            Share of them that is within the threshold.
        """
        rows = drivers[_has_weather(drivers) > 0]
        # A covariance of few rows would call all other weather strange.
        if not self.config.correction or len(rows) < 100:
            return
        air = rows[:, AIR]
        self.air_centre.copy_(air.mean(0))
        self.air_precision.copy_(_precision(air - self.air_centre))
        # The same limit of ``torch.quantile`` as below.
        self.air_far.copy_(torch.quantile(self.air_distance(rows[:200_000]), share))

    def fit_normalisation(self, z: Float[Tensor, "n f"], share: float = OOD_QUANTILE) -> None:
        """Set the scaling of the embedding and the out-of-distribution thresholds.

        Parameters
        ----------
        z
            Embeddings to fit on, dequantised.
        share
            Share of them that is within the threshold.
        """
        self.centre.copy_(z.mean(0))
        # A feature that never varies must not divide by zero.
        self.size.copy_(z.std(0).clamp_min(1e-4))
        self.precision.copy_(_precision((z - self.centre) / self.size))
        # torch.quantile takes 16 million values at most; a sample of 200 000 rows settles the threshold.
        distance = self.mahalanobis(z[torch.randperm(len(z))[:200_000]])
        self.far.copy_(torch.quantile(distance[:1_000_000], share))
        if self.config.correction:
            self.far_of_rows.copy_(self.far)
            # Until `gpp_domain` knows how maps show land, of all that taught.
            self.set_map_domain(torch.zeros_like(self.centre), self.precision, float(self.far))


def mahalanobis_distance(away: Float[Tensor, "*n f"], precision: Float[Tensor, "f f"]) -> Float[Tensor, "*n"]:
    """Length of departures from a centre (Mahalanobis 1936).

    Parameters
    ----------
    away
        Departures ``(*n, f)``.
    precision
        Their inverse covariance.

    Returns
    -------
    Tensor
        ``(*n)`` standard deviations.
    """
    # Rounding may leave the square of a tiny distance below zero.
    return ((away @ precision) * away).sum(-1).clamp_min(0).sqrt()


def _precision(away: Float[Tensor, "n f"]) -> Float[Tensor, "f f"]:
    """Inverse covariance of departures from a centre."""
    return torch.linalg.inv(away.T @ away / len(away) + RIDGE * torch.eye(away.shape[1]))


def _without_pmodel_drivers(drivers: Float[Tensor, "*n w"]) -> Float[Tensor, "*n w"]:
    """The drivers with those of the P-model set to 0, except in rows where it lacks temperature or deficit."""
    out = drivers.clone()
    out[..., PMODEL_DRIVERS] *= drivers[..., PMODEL_MISSING].amax(-1, keepdim=True)
    return out


def _has_weather(drivers: Float[Tensor, "*n w"]) -> Float[Tensor, "*n"]:
    """1 where temperature, vapour pressure deficit and light are known, else 0."""
    return 1 - drivers[..., WEATHER_MISSING].amax(-1)
