"""The fusion: acquisitions of all sensors around a day become the embedding of that day.

Two rounds of kernel regression over time (Nadaraya 1964, Watson 1964), both learned; in the words of transformers,
attention whose weights depend on the distance in time alone (Tsai et al. 2019, doi:10.18653/v1/D19-1443).

1. *Contextualise*: every acquisition is compared with what all the others predict for its own day, and is corrected
   and weighted by that. Haze, snow and speckle that disagree with their neighbours lose weight: the learned counterpart
   of the robustness weights of LOWESS (Cleveland 1979, doi:10.1080/01621459.1979.10481038).
2. *Query*: a query day takes a locally linear average (Fan 1993, doi:10.1214/aos/1176349022) of the corrected
   acquisitions, with several kernels (heads) of different width in time.

A kernel depends on dates, not on the pixel, so that both rounds are plain matrix products over whole blocks of pixels;
and it is smooth in time, so that an embedding moves when the land does, not when a satellite passes.

The regression itself is in ``kernel_regression``. Axes in the comments: area ``a``, acquisition ``t``, query day ``q``,
pixel ``p``, head ``h``, value ``v``, and ``c = 1 + v`` (weight, then weighted values).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from fluxlens.models.batch import FusionOutput, Tokens
from fluxlens.models.kernel_regression import WINDOW_DAYS, KernelRegression
from fluxlens.models.sensors import SensorSpec
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class ContextualisedSeries:
    """Corrected acquisitions of one sensor, computed once and queried for any day.

    Parameters
    ----------
    day
        Days since 1970-01-01 UTC.
    values
        Of ``KernelRegression.weighted_values``.
    """

    day: Int[Tensor, "a t"]
    values: Float[Tensor, "a h t p c"]

    def around(self, days: Int[Tensor, "a q"], causal: bool = False) -> ContextualisedSeries:
        """Drop acquisitions at either end that are out of the window of all query days.

        Parameters
        ----------
        days
            Query days since 1970-01-01 UTC.
        causal
            Whether those after the last query day are out of it too.

        Returns
        -------
        ContextualisedSeries
            Views; at least one acquisition where there was one.
        """
        # One span for all query days, so that it is a slice and costs no copy; which acquisition counts for which day
        # is cut exactly in ``_time_distance``.
        ahead = 0 if causal else WINDOW_DAYS
        near = (self.day >= days.min() - WINDOW_DAYS) & (self.day <= days.max() + ahead)
        at = near.any(0).nonzero().flatten().tolist() or [0]
        window = slice(at[0], at[-1] + 1)
        return ContextualisedSeries(self.day[:, window], self.values[:, :, window])


class Fusion(nn.Module):
    """Tokens of all sensors to the embedding of any day, and the expected error of what is decoded from it.

    Names of layers are keys of shipped weights: ``context`` and ``memory`` hold the kernel regressions of the first and
    of the second round; ``straight`` is the linear branch of the joining network, ``first`` and ``bend`` its nonlinear
    branch, ``doubt`` the network of ``log_sigma``.

    Parameters
    ----------
    specs
        Facts of the sensors, in the order of the inputs of the joining network.
    features
        Length of the embedding.
    hidden
        Width of the joining network.
    season_heads
        Kernels of months per sensor, beside those of days: they carry what the place is and how its season goes.
    """

    CONTEXT_HEADS, CONTEXT_VALUE = 4, 6

    def __init__(
        self, specs: dict[str, SensorSpec], features: int, hidden: int, season_heads: int = 0
    ) -> None:
        super().__init__()
        # The order of ``specs`` is the order of columns of the joining network, hence part of the weights.
        self.sensors = tuple(specs)
        self.bands = {name: len(spec.bands) for name, spec in specs.items()}
        # Round one reads the tokens of each sensor by themselves.
        # Viewing geometry (``cycles``) counts here only: two acquisitions can share an orbit, a query day has none.
        self.context = nn.ModuleDict(
            {
                name: KernelRegression(spec.token, self.CONTEXT_HEADS, self.CONTEXT_VALUE, 24, cycles=True)
                for name, spec in specs.items()
            }
        )
        # Round two reads a token beside what round one says of its day, of all sensors: (token + context).
        context_width = sum(regression.width for regression in self.context.values())
        self.memory = nn.ModuleDict(
            {
                name: KernelRegression(
                    spec.token + context_width, spec.heads, 8, 64, season_heads=season_heads
                )
                for name, spec in specs.items()
            }
        )
        values = sum(regression.heads * regression.value for regression in self.memory.values())
        # Per head the log of the total weight and the centre in time, see ``KernelRegression.query``.
        evidence = sum(regression.heads * 2 for regression in self.memory.values())
        # The linear branch takes the values alone, the nonlinear one also how much evidence they have.
        self.straight = nn.Linear(values, features)
        self.first = nn.Linear(values + evidence, hidden)
        self.bend = nn.Sequential(
            nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, features)
        )
        self.doubt = nn.Sequential(
            nn.Linear(evidence + features, 32), nn.GELU(), nn.Linear(32, sum(self.bands.values()))
        )

    def init_from(self, other: Fusion) -> None:
        """Start from a trained fusion of fewer sensors, kernels or units and give its very outputs.

        Weights of new inputs are zero.

        A sensor that both have brings its kernel regressions. The joining network is taken over only from a fusion
        whose sensors come first here.

        Parameters
        ----------
        other
            Trained fusion with the same number of features and no more units; all its sensors must be here too.
        """
        # Inputs of the joining network are in the order of the sensors.
        is_prefix = self.sensors[: len(other.sensors)] == other.sensors
        for name in other.sensors:
            self.context[name].load_state_dict(other.context[name].state_dict())
            _copy_known_inputs(
                self.memory[name],
                other.memory[name],
                self._regression_inputs(name),
                other._regression_inputs(name),
            )
        if not is_prefix:
            return
        mine, theirs = self._joining_inputs(), other._joining_inputs()
        _copy_known_inputs(self.straight, other.straight, mine["values"], theirs["values"])
        _copy_known_inputs(
            self.first, other.first, mine["values"] + mine["evidence"], theirs["values"] + theirs["evidence"]
        )
        # Further units of a layer keep their initial weights, but the layer above reads them with weight 0.
        units = [f"unit {i}" for i in range(self.first.out_features)]
        # The linear layers of ``bend``; 0 and 2 are activations.
        for layer in (1, 3):
            _copy_known_inputs(self.bend[layer], other.bend[layer], units, units[: other.first.out_features])
        # Labels of inputs alone: their equality says which columns are copied.
        features = [f"feature {i}" for i in range(self.straight.out_features)]
        _copy_known_inputs(
            self.doubt[0], other.doubt[0], mine["evidence"] + features, theirs["evidence"] + features
        )
        # Bands of further sensors come last.
        _copy_known_inputs(self.doubt[2], other.doubt[2], [], [])

    def _regression_inputs(self, name: str) -> list[str]:
        """Label of each input of a sensor's second regression."""
        # The token comes first, then the context of each sensor, as ``contextualise`` joins them.
        own = [f"token {i}" for i in range(self.memory[name].read[0].in_features)]
        context = []
        for other, regression in self.context.items():
            context += [f"{other} {i}" for i in range(regression.width)]
        return own[: len(own) - len(context)] + context

    def _joining_inputs(self) -> dict[str, list[str]]:
        """Label of each input of the joining network."""
        labels: dict[str, list[str]] = {"values": [], "evidence": []}
        for name, regression in self.memory.items():
            labels["values"] += [f"{name} value {i}" for i in range(regression.heads * regression.value)]
            labels["evidence"] += [f"{name} evidence {i}" for i in range(regression.heads * 2)]
        return labels

    def forward(
        self, tokens: dict[str, Tokens], days: Int[Tensor, "a q"], causal: bool = False
    ) -> FusionOutput:
        """Embed query days: ``contextualise``, then ``query``.

        Parameters
        ----------
        tokens
            Per sensor; sensors may be missing.
        days
            Days since 1970-01-01 UTC, the same for all pixels of an area.
        causal
            Whether only acquisitions up to a query day count.

        Returns
        -------
        FusionOutput
            Of each area, day and pixel.
        """
        return self.query(self.contextualise(tokens, causal), days, causal)

    def contextualise(
        self, tokens: dict[str, Tokens], causal: bool = False, group_days: int | None = None
    ) -> dict[str, ContextualisedSeries]:
        """Round one: correct and weight every acquisition by what all the others predict for its day.

        Parameters
        ----------
        tokens
            Per sensor; unknown sensors and those without acquisitions are left out.
        causal
            Whether only earlier acquisitions count.
        group_days
            Take the acquisitions of so many days at a time, groups aligned to 1970-01-01, each with the acquisitions
            within reach of it alone: its numbers then do not depend, in the last bit, on whether there are others
            farther away. Days must increase. None: all at once, which areas of different days need.

        Returns
        -------
        dict
            Per sensor.
        """
        # Sensors that the model does not know, and those without acquisitions, are as if they were not there.
        tokens = {name: t for name, t in tokens.items() if name in self.memory and t.day.shape[1]}
        groups = {name: _groups(t.day, group_days) for name, t in tokens.items()}
        weighted = {
            name: _cat_time(
                [self.context[name].weighted_values(t.token[:, g], t.valid[:, g]) for g in groups[name]]
            )
            for name, t in tokens.items()
        }
        series = {}
        for name, own in tokens.items():
            values = []
            for group in groups[name]:
                token, valid, day = own.token[:, group], own.valid[:, group], own.day[:, group]
                inputs = [token]  # (a, t, p, d), then values and evidence of each sensor, (a, t, p, .)
                for other, regression in self.context.items():
                    if other not in tokens:
                        inputs += regression.empty_output(token, *valid.shape)
                        continue
                    near = ContextualisedSeries(tokens[other].day, weighted[other])
                    if group_days is not None:
                        # Zeros of acquisitions out of reach would change how a long sum is cut into parts.
                        # The whole aligned group and not its first and last acquisition: what is near must not depend
                        # on which days of it happen to have one.
                        first = day.min() // group_days * group_days
                        near = near.around(torch.stack([first, first + group_days - 1])[None], causal)
                    dt, used = _time_distance(near.day, day, causal)
                    if other == name:
                        # An acquisition must not predict itself, or its noise would confirm itself.
                        used = used & (dt != 0)
                    inputs += regression.query(dt, used, near.values)
                values.append(self.memory[name].weighted_values(torch.cat(inputs, -1), valid))
            series[name] = ContextualisedSeries(own.day, _cat_time(values))
        return series

    def query(
        self, series: dict[str, ContextualisedSeries], days: Int[Tensor, "a q"], causal: bool = False
    ) -> FusionOutput:
        """Round two: embed query days from the corrected acquisitions.

        Parameters
        ----------
        series
            Of ``contextualise``, with the same ``causal``; sensors may be missing.
        days
            Days since 1970-01-01 UTC.
        causal
            Whether only acquisitions up to a query day count.

        Returns
        -------
        FusionOutput
            Of each area, day and pixel (one pixel where no sensor has acquisitions).
        """
        # For dtype and device of sensors without acquisitions.
        like = self.straight.weight
        # No tensor tells the number of pixels where no sensor has acquisitions; one is broadcast by the caller.
        p = next((one.values.shape[3] for one in series.values()), 1)
        values, evidence = [], []
        for name, regression in self.memory.items():
            if name in series:
                near = series[name].around(days, causal)
                dt, used = _time_distance(near.day, days, causal)
                output = regression.query(dt, used, near.values)
            else:
                output = regression.empty_output(like, *days.shape, p)
            values.append(output[0])
            evidence.append(output[1])
        x, known = torch.cat(values, -1), torch.cat(evidence, -1)  # (a, q, p, values), (a, q, p, evidence)
        z = self.straight(x) + self.bend(self.first(torch.cat([x, known], -1)))  # (a, q, p, f)
        # Detached: the error is read off the embedding and must not shape it.
        log_sigma = self.doubt(torch.cat([known.detach(), z.detach()], -1))  # (a, q, p, bands of all sensors)
        per_sensor = log_sigma.split(list(self.bands.values()), -1)
        return FusionOutput(z, dict(zip(self.bands, per_sensor, strict=True)))


@torch.no_grad()
def _copy_known_inputs(mine: nn.Module, theirs: nn.Module, inputs: list[str], available: list[str]) -> None:
    """Copy weights for the inputs that ``theirs`` has, set those of other inputs to zero; all else is copied.

    Heads and units that ``theirs`` lacks come last and keep their initial weights.
    """
    state, source = mine.state_dict(), theirs.state_dict()
    # Weights that read the inputs have as many columns as the source has inputs; biases, kernels and layers further on
    # have equal columns in both and are copied whole.
    at = [inputs.index(label) for label in available]
    for key, value in source.items():
        if value.ndim == 2 and value.shape[1] == len(available) != len(inputs):
            # Columns that the source lacks stay zero: its outputs do not change.
            wide = value.new_zeros(len(value), len(inputs))
            wide[:, at] = value
            value = wide
        state[key][: len(value)] = value
    mine.load_state_dict(state)


def _time_distance(
    acquired: Int[Tensor, "a t"], days: Int[Tensor, "a q"], causal: bool
) -> tuple[Float[Tensor, "a q t"], Bool[Tensor, "a q t"]]:
    """Day of the acquisition minus query day (days), and which acquisitions count."""
    # (a, 1, t) - (a, q, 1) = (a, q, t)
    dt = (acquired[:, None] - days[:, :, None]).to(torch.float32)
    # Without the bound an acquisition of another year would still count: a power law never reaches zero.
    used = dt.abs() <= WINDOW_DAYS
    return dt, used & (dt <= 0) if causal else used


def _groups(day: Int[Tensor, "a t"], group_days: int | None) -> list[slice]:
    """Acquisitions cut into aligned groups of days; those of a group follow each other."""
    if group_days is None:
        return [slice(0, day.shape[1])]
    sizes = torch.unique_consecutive(day[0] // group_days, return_counts=True)[1]
    ends = sizes.cumsum(0).tolist()
    # One more start than ends: the last start is the end of the axis.
    return [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]


def _cat_time(sensors: list[Float[Tensor, "a h _ p c"]]) -> Float[Tensor, "a h t p c"]:
    """Join groups of acquisitions along time."""
    # ``torch.cat`` copies a single tensor too.
    return sensors[0] if len(sensors) == 1 else torch.cat(sensors, 2)
