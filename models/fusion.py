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

Axes in the comments: area ``a``, acquisition ``t``, query day ``q``, pixel ``p``, head ``h``, value ``v``, and
``c = 1 + v`` (weight, then weighted values).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.batch import FusionOutput, Tokens
from models.sensors import SensorSpec

WINDOW_DAYS = 200
"""Acquisitions farther from a query day than this have no weight."""
MONTH = 30.0
"""Unit of time inside the networks, days."""
KERNEL_LR_SCALE = 10.0
"""Kernel parameters are stored divided by this: an effective learning rate ten times that of the other weights, since
they are few and start far from their optimum. Part of the shipped weights."""
TINY = 1e-14
"""Floor of a total weight: a value of less weight fades to zero, and its gradient stays finite."""
LEAST_CORE_DAYS = 1.5
"""Least kernel width: a day with an acquisition must be embedded like the days beside it."""
CYCLES_DAYS = (5, 10, 6, 12)
"""Repeat cycles of Sentinel-2 and Sentinel-1 with two satellites and with one, days: acquisitions these far apart have
the same viewing geometry."""


def _initial_kernels(heads: int) -> tuple[Float[Tensor, "h"], Float[Tensor, "h"]]:
    """Initial widths (days beyond the least) and asymmetries; of four heads one looks back and one ahead."""
    core = torch.logspace(-0.3, 1.3, heads)
    side = torch.tensor([(0.0, 0.0, 3.0, -3.0)[i % 4] for i in range(heads)])
    return core, side


class Kernel(nn.Module):
    """Log weight of an acquisition by its distance in time: per head a power law with a smooth core.

    exp(log weight) is a rational quadratic kernel (Rasmussen and Williams 2006, equation 4.19) of width ``core`` and
    tail exponent ``power``, times a smooth step of strength ``side`` that prefers acquisitions after (positive) or
    before the query day, and with ``cycles`` times a periodic factor. A power law rather than a Gaussian, so that a
    long gap is still bridged by its nearest ends.

    ``log_core``, ``power``, ``side`` and ``cycle`` are keys of shipped weights.

    Parameters
    ----------
    heads
        Number of kernels.
    cycles
        Whether viewing geometry counts, by the repeat cycles of the orbits.
    """

    def __init__(self, heads: int, cycles: bool = False) -> None:
        super().__init__()
        core, side = _initial_kernels(heads)
        self.log_core = nn.Parameter(core.log() / KERNEL_LR_SCALE)
        self.power = nn.Parameter(torch.full((heads,), 4.0 / KERNEL_LR_SCALE))
        self.side = nn.Parameter(side / KERNEL_LR_SCALE)
        self.cycle = nn.Parameter(torch.zeros(heads, len(CYCLES_DAYS))) if cycles else None

    def shape(self) -> tuple[Float[Tensor, "h 1 1"], Float[Tensor, "h 1 1"], Float[Tensor, "h 1 1"]]:
        """Physical parameters of the kernels.

        Returns
        -------
        core, power, side
            Width (days), tail exponent and asymmetry per head.
        """
        core, power, side = (
            KERNEL_LR_SCALE * p[:, None, None] for p in (self.log_core, self.power, self.side)
        )
        return LEAST_CORE_DAYS + core.exp(), nn.functional.softplus(power), side

    def forward(self, dt: Float[Tensor, "a q t"]) -> Float[Tensor, "a h q t"]:
        """Log weights.

        Parameters
        ----------
        dt
            Day of the acquisition minus query day, days.

        Returns
        -------
        Tensor
            Natural logarithm of the weight, per head.
        """
        dt = dt[:, None]  # (a, 1, q, t)
        core, power, side = self.shape()
        distance = (dt / core).square()  # (a, h, q, t)
        # dt / sqrt(dt^2 + core^2 + 4) goes smoothly from -1 to 1 within about the core.
        step = side * dt * torch.rsqrt(dt.square() + core.square() + 4)
        log_weight = step - 0.5 * power * torch.log1p(distance)
        if self.cycle is not None:
            phases = torch.stack([torch.cos(2 * torch.pi * dt / days) for days in CYCLES_DAYS], -1)
            # phases: (a, 1, q, t, cycle)
            log_weight = log_weight + torch.einsum("aoqtc,hc->ahqt", phases, KERNEL_LR_SCALE * self.cycle)
        return log_weight


class KernelRegression(nn.Module):
    """Locally linear kernel regression over the acquisitions of one sensor.

    Names of layers are keys of shipped weights: ``read`` is the first layer, ``trust`` gives the log weight of an
    acquisition, ``straight`` and ``bend`` the linear and the nonlinear branch of its values, ``log_ridge`` the ridge
    of the local slope.

    Parameters
    ----------
    width
        Length of an acquisition's input.
    heads
        Number of kernels.
    value
        Values per head.
    hidden
        Width of the first layer.
    cycles
        Whether viewing geometry counts, see ``Kernel``.
    """

    def __init__(self, width: int, heads: int, value: int, hidden: int, cycles: bool = False) -> None:
        super().__init__()
        self.heads, self.value = heads, value
        self.kernel = Kernel(heads, cycles)
        self.read = nn.Sequential(nn.Linear(width, hidden), nn.GELU())
        self.trust = nn.Linear(hidden, heads)
        self.bend = nn.Linear(hidden, heads * value)
        self.straight = nn.Linear(width, heads * value, bias=False)
        self.log_ridge = nn.Parameter(torch.full((heads,), -2.0 / KERNEL_LR_SCALE))
        # All acquisitions weigh alike at the start.
        nn.init.zeros_(self.trust.weight)
        nn.init.zeros_(self.trust.bias)

    @property
    def width(self) -> int:
        """Numbers per query day: the values, and per head the evidence for them and its centre in time."""
        return self.heads * (self.value + 2)

    def weighted_values(
        self, x: Float[Tensor, "a t p w"], valid: Bool[Tensor, "a t p"]
    ) -> Float[Tensor, "a h t p c"]:
        """Weight of each acquisition, and its values times that weight.

        Parameters
        ----------
        x
            Input of each acquisition.
        valid
            Whether the pixel was observed.

        Returns
        -------
        Tensor
            Per head the weight, then the weighted values; zeros where not valid.
        """
        hidden = self.read(x)
        # The bounds keep one acquisition from outweighing all others, and its gradient from vanishing.
        weight = torch.exp(self.trust(hidden).clamp(-8, 4)) * valid[..., None]  # (a, t, p, h)
        values = (self.bend(hidden) + self.straight(x)).unflatten(
            -1, (self.heads, self.value)
        )  # (a, t, p, h, v)
        # Contiguous in the order of the matrix product of ``query``.
        return (
            torch.cat([weight[..., None], weight[..., None] * values], -1).permute(0, 3, 1, 2, 4).contiguous()
        )

    def query(
        self, dt: Float[Tensor, "a q t"], used: Bool[Tensor, "a q t"], weighted: Float[Tensor, "a h t p c"]
    ) -> tuple[Float[Tensor, "a q p hv"], Float[Tensor, "a q p h2"]]:
        """Locally linear average at query days.

        With weights w, values v and distances t, the moments S_k = sum w t^k and R_k = sum w t^k v give the mean
        centre S_1 / S_0 and variance of the distances; the estimate at distance 0 is the weighted mean of v minus
        slope times centre, with a ridge on the slope (a weighted mean where all acquisitions lie on one day).

        Parameters
        ----------
        dt
            Day of the acquisition minus query day, days.
        used
            Which acquisitions count for which query day.
        weighted
            Of ``weighted_values``.

        Returns
        -------
        values
            Per head, flattened; zeros where nothing is used.
        evidence
            Per head the scaled log of the total weight and the bounded centre in time, flattened.
        """
        a, h, t, p, c = weighted.shape
        q = dt.shape[1]
        months = dt[:, None] / MONTH  # (a, 1, q, t)
        kernel = torch.exp(self.kernel(dt)) * used[:, None]  # (a, h, q, t)
        lagged = kernel * months
        # One product for the moments of order 0 and 1: (a, h, 2q, t) x (a, h, t, pc).
        sums = torch.matmul(torch.cat([kernel, lagged], 2), weighted.reshape(a, h, t, p * c)).view(
            a, h, 2, q, p, c
        )
        zeroth, first = sums[:, :, 0], sums[:, :, 1]  # (a, h, q, p, c)
        second = torch.matmul(lagged * months, weighted[..., 0])  # (a, h, q, p)
        total = zeroth[..., 0]  # (a, h, q, p)
        one_over = 1 / (total + TINY)
        centre = first[..., 0] * one_over  # month
        variance = (second * one_over - centre.square()).clamp(min=0)  # month2; rounding may go below 0
        ridge = torch.exp(KERNEL_LR_SCALE * self.log_ridge)[:, None, None]  # month2
        tilt = centre / (variance + ridge)
        level, slope = one_over * (1 + centre * tilt), -one_over * tilt
        values = level[..., None] * zeroth[..., 1:] + slope[..., None] * first[..., 1:]  # (a, h, q, p, v)
        # The log of the total weight spans about -32..5: divided by 8 it suits the next layer.
        evidence = torch.stack([torch.log(total + TINY) / 8, centre / (1 + centre.abs())], -1)
        return (
            values.permute(0, 2, 3, 1, 4).flatten(3),  # (a, q, p, h v)
            evidence.permute(0, 2, 3, 1, 4).flatten(3),  # (a, q, p, h 2)
        )

    def empty_output(
        self, like: Tensor, a: int, q: int, p: int
    ) -> tuple[Float[Tensor, "a q p hv"], Float[Tensor, "a q p h2"]]:
        """What ``query`` returns where no acquisition is used, without computing it.

        Parameters
        ----------
        like
            A tensor of the dtype and device wanted.
        a, q, p
            Areas, query days, pixels.

        Returns
        -------
        values, evidence
            As of ``query``.
        """
        evidence = like.new_tensor([TINY, 1.0]).log() * like.new_tensor([1 / 8, 0.0])
        return like.new_zeros(a, q, p, self.heads * self.value), evidence.repeat(self.heads).expand(
            a, q, p, -1
        )


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

    def around(self, days: Int[Tensor, "a q"]) -> ContextualisedSeries:
        """Drop acquisitions at either end that are out of the window of all query days.

        Parameters
        ----------
        days
            Query days since 1970-01-01 UTC.

        Returns
        -------
        ContextualisedSeries
            Views; at least one acquisition where there was one.
        """
        near = (self.day >= days.min() - WINDOW_DAYS) & (self.day <= days.max() + WINDOW_DAYS)
        at = near.any(0).nonzero().flatten().tolist() or [0]
        part = slice(at[0], at[-1] + 1)
        return ContextualisedSeries(self.day[:, part], self.values[:, :, part])


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
    """

    CONTEXT_HEADS, CONTEXT_VALUE = 4, 6

    def __init__(self, specs: dict[str, SensorSpec], features: int, hidden: int) -> None:
        super().__init__()
        self.sensors = tuple(specs)
        self.bands = {name: len(spec.bands) for name, spec in specs.items()}
        self.context = nn.ModuleDict(
            {
                name: KernelRegression(spec.token, self.CONTEXT_HEADS, self.CONTEXT_VALUE, 24, cycles=True)
                for name, spec in specs.items()
            }
        )
        context_width = sum(regression.width for regression in self.context.values())
        self.memory = nn.ModuleDict(
            {
                name: KernelRegression(spec.token + context_width, spec.heads, 8, 64)
                for name, spec in specs.items()
            }
        )
        values = sum(regression.heads * regression.value for regression in self.memory.values())
        evidence = sum(regression.heads * 2 for regression in self.memory.values())
        self.straight = nn.Linear(values, features)
        self.first = nn.Linear(values + evidence, hidden)
        self.bend = nn.Sequential(
            nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, features)
        )
        self.doubt = nn.Sequential(
            nn.Linear(evidence + features, 32), nn.GELU(), nn.Linear(32, sum(self.bands.values()))
        )

    def init_from(self, other: Fusion) -> None:
        """Start from a trained fusion of fewer sensors and give its very outputs: weights of new inputs are zero.

        A sensor that both have brings its kernel regressions. The joining network is taken over only from a fusion
        whose sensors come first here.

        Parameters
        ----------
        other
            Trained fusion with the same number of features; all its sensors must be here too.
        """
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
        self.bend.load_state_dict(other.bend.state_dict())

    def _regression_inputs(self, name: str) -> list[str]:
        """Label of each input of a sensor's second regression."""
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
        self, tokens: dict[str, Tokens], causal: bool = False
    ) -> dict[str, ContextualisedSeries]:
        """Round one: correct and weight every acquisition by what all the others predict for its day.

        Parameters
        ----------
        tokens
            Per sensor; unknown sensors and those without acquisitions are left out.
        causal
            Whether only earlier acquisitions count.

        Returns
        -------
        dict
            Per sensor.
        """
        tokens = {name: t for name, t in tokens.items() if name in self.memory and t.day.shape[1]}
        weighted = {name: self.context[name].weighted_values(t.token, t.valid) for name, t in tokens.items()}
        series = {}
        for name, own in tokens.items():
            inputs = [own.token]  # (a, t, p, d), then values and evidence of each sensor, (a, t, p, .)
            for other, regression in self.context.items():
                if other not in tokens:
                    inputs += regression.empty_output(own.token, *own.valid.shape)
                    continue
                dt, used = _time_distance(tokens[other].day, own.day, causal)
                if other == name:
                    # An acquisition must not predict itself, or its noise would confirm itself.
                    used = used & (dt != 0)
                inputs += regression.query(dt, used, weighted[other])
            values = self.memory[name].weighted_values(torch.cat(inputs, -1), own.valid)
            series[name] = ContextualisedSeries(own.day, values)
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
        like = self.straight.weight
        p = next((one.values.shape[3] for one in series.values()), 1)
        values, evidence = [], []
        for name, regression in self.memory.items():
            if name in series:
                near = series[name].around(days)
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
def _copy_known_inputs(mine: nn.Module, theirs: nn.Module, inputs: list[str], known: list[str]) -> None:
    """Copy weights for the inputs that ``theirs`` has, set those of other inputs to zero; all else is copied."""
    state, source = mine.state_dict(), theirs.state_dict()
    at = [inputs.index(label) for label in known]
    for key, value in source.items():
        if value.shape == state[key].shape:
            state[key] = value
        else:
            state[key] = torch.zeros_like(state[key])
            state[key][:, at] = value
    mine.load_state_dict(state)


def _time_distance(
    acquired: Int[Tensor, "a t"], days: Int[Tensor, "a q"], causal: bool
) -> tuple[Float[Tensor, "a q t"], Bool[Tensor, "a q t"]]:
    """Day of the acquisition minus query day (days), and which acquisitions count."""
    dt = (acquired[:, None] - days[:, :, None]).to(torch.float32)
    used = dt.abs() <= WINDOW_DAYS
    return dt, used & (dt <= 0) if causal else used
