"""Crops on fields: the rotation, sowing, growth by thermal time, harvest, tillage, and what grows between."""

import numpy as np

from embeddings.simulate.farming import Farming, Luck, Today, in_window
from embeddings.simulate.landscape import CEREAL, SUMMER
from embeddings.simulate.noise import smoothstep
from embeddings.simulate.weather import Climate

FALLOW, WHEAT, MAIZE, BEET, CATCH, SPRING = range(6)
"""What stands on a field: nothing, winter cereal, maize, a leafy root crop, a cover crop over autumn,
spring cereal."""
BASE_DEGC = np.array([0.0, 0.0, 7.0, 4.0, 2.0, 0.0])
"""Below it no development: cereals 0, maize 7, beet 4
(Bonhomme 2000, doi:10.1016/S1161-0301(00)00058-7), mustard 2."""


def _normal_warmth(climate: Climate, sown: float, ripe: float, base_degc: float) -> float:
    """Degree days of an average year from sowing to ripeness."""
    span = np.arange((ripe - sown) % 365.25) + sown
    normal = climate.tair_mean_degc - climate.tair_swing_k * np.cos(2 * np.pi * (span - 28) / 365.25)
    return float(np.maximum(normal - base_degc, 0).sum())


def _course(crop: np.ndarray, stage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leaf area relative to its peak, and its green share, at a stage of development (1 = ripe)."""
    wheat = 0.32 * smoothstep(stage, 0.05, 0.22) + 0.68 * smoothstep(stage, 0.27, 0.53)
    wheat_green = 1 - smoothstep(stage, 0.74, 0.93)
    maize = smoothstep(stage, 0.12, 0.52)
    maize_green = 1 - 0.85 * smoothstep(stage, 0.80, 1.04)
    beet = smoothstep(stage, 0.12, 0.46) * (1 - 0.25 * smoothstep(stage, 0.7, 1.0))
    beet_green = 1 - 0.2 * smoothstep(stage, 0.75, 1.0)
    catch = smoothstep(stage, 0.1, 0.8)
    nothing = np.zeros_like(stage)
    straw = 1 - 0.3 * smoothstep(stage, 0.8, 1)
    spring = smoothstep(stage, 0.10, 0.52)
    size = np.choose(crop, [nothing, wheat * straw, maize, beet, catch, spring * straw])
    green = np.choose(crop, [nothing + 1, wheat_green, maize_green, beet_green, nothing + 1, wheat_green])
    return size, green


class Fields:
    """All units as if they were fields; those that are not stay fallow."""

    def __init__(self, rng, cover, luck: Luck, climate: Climate, farming: Farming, seasons: int, main: int):
        units = len(cover)
        self.farming, self.luck, self.units = farming, luck, np.arange(units)
        self.are = np.isin(cover, (CEREAL, SUMMER))
        summer = np.where(luck.uniform[0] < 0.55, MAIZE, BEET)
        self.rotation = np.where(rng.random((units, seasons)) < 0.5, WHEAT, summer[:, None])
        """(unit, season) what is harvested."""
        self.rotation[:, main] = np.where(cover == CEREAL, WHEAT, summer)
        late = rng.random(self.rotation.shape) < farming.spring_share
        self.rotation[(self.rotation == WHEAT) & late] = SPRING
        self._plan(climate)
        self.crop, self.tt = np.full(units, FALLOW), np.zeros(units)
        """What stands, and its thermal time since sowing, degree days."""
        self.since = np.full(units, 400)
        """Days since harvest."""
        self.litter, self.rough = np.full(units, 0.2), np.zeros(units)

    def _plan(self, climate: Climate) -> None:
        """Each unit's own dates, needs and peaks."""
        farming, normal, uniform = self.farming, self.luck.normal, self.luck.uniform
        usual = {
            WHEAT: (farming.wheat_sown, farming.wheat_ripe, 9),
            MAIZE: (farming.summer_sown + 10, farming.maize_ripe, 7),
            BEET: (farming.summer_sown - 10, farming.beet_ripe, 7),
            SPRING: (farming.spring_sown, farming.wheat_ripe + 8, 6),
        }
        self.spread = normal[0] * 6
        self.sown = {crop: start + normal[1] * days for crop, (start, _, days) in usual.items()}
        self.need = np.ones((6, len(self.units)))
        for crop, (start, ripe, _) in usual.items():
            warmth = _normal_warmth(climate, start, ripe, BASE_DEGC[crop])
            self.need[crop] = warmth * (1 + 0.05 * normal[2])
        self.need[CATCH] = 520 * (1 + 0.2 * normal[3])
        usual_peak = np.array([[0.0], [5.2], [4.4], [4.6], [3.2], [4.3]])
        varies = np.array([[0.0], [0.8], [0.7], [0.7], [0.9], [0.7]])
        peak = usual_peak + varies * np.where(np.arange(6)[:, None] == CATCH, normal[5], normal[4])
        peak *= np.clip(0.45 + farming.grass_lai / 7.5, 0.5, 1)
        self.peak = np.maximum(peak, 0.3) * (np.arange(6) > 0)[:, None]
        self.till_after = np.where(uniform[1] < 0.35, uniform[2] * 12, 12 + uniform[2] * 70)
        self.wants_catch = uniform[3] < farming.catch_share
        self.catch_killed = 330 + uniform[4] * 110
        self.weeds = np.where(uniform[5] < 0.35, 0.3, 0.5 + 1.1 * uniform[6])
        self.watered = (uniform[7] < farming.irrigated) & self.are
        self.cab = np.array([30, 48, 50, 45, 38, 46])[:, None] * np.exp(0.12 * normal[6])

    @property
    def stage(self) -> np.ndarray:
        """Development, 1 = ripe."""
        return self.tt / self.need[self.crop, self.units]

    @property
    def cereal(self) -> np.ndarray:
        return np.isin(self.crop, (WHEAT, SPRING))

    def work(self, today: Today) -> None:
        """Sow, let develop, harvest and till."""
        coming, following = (self.rotation[:, today.season + i] for i in (0, 1))
        self._sow(today, coming, following)
        killed = np.where(
            coming == SPRING, np.minimum(self.catch_killed, 340 + self.farming.spring_sown), self.catch_killed
        )
        kill = (self.crop == CATCH) & in_window(today.phase, killed % 365.25, 60)
        self.crop[kill], self.since[kill], self.litter[kill], self.rough[kill] = FALLOW, 0, 0.25, 1.2
        self.tt += np.maximum(today.tair - BASE_DEGC[self.crop], 0) * (self.crop > 0)
        cut = self._harvest(today)
        till = self.are & (self.crop == FALLOW) & (self.since == np.round(self.till_after)) & ~cut
        self.litter[till], self.rough[till] = 0.08, 1.2 + 0.8 * np.abs(self.luck.normal[15, till])
        self.since += 1
        self.rough *= np.where(today.rain > 8, 0.93, 0.997)
        self.litter *= 0.9965

    def _sow(self, today: Today, coming: np.ndarray, following: np.ndarray) -> None:
        meant = {
            WHEAT: (following == WHEAT) & (today.phase > 200),
            SPRING: (coming == SPRING) | (coming == WHEAT),  # what autumn left unsown
            MAIZE: (coming == MAIZE) & (today.phase < 260),
            BEET: (coming == BEET) & (today.phase < 260),
        }
        free = self.are & (self.since > 8) & today.dry
        for crop, wanted in meant.items():
            window = in_window(today.phase, self.sown[crop], 30 if crop == SPRING else 45)
            due = free & (self.crop == FALLOW) & wanted & window
            self.crop[due], self.tt[due], self.litter[due] = crop, 0, 0.05
            self.rough[due] = self.luck.normal[14, due] * 0.8 - 0.3
        due = free & (self.crop == FALLOW) & self.wants_catch & (following != WHEAT)
        due &= in_window(today.phase, 236 + self.spread, 25)
        self.crop[due], self.tt[due], self.litter[due] = CATCH, 0, 0.1

    def _harvest(self, today: Today) -> np.ndarray:
        """Take what is ripe on a dry day, or what is late on any; answers where."""
        stage, cereal, latest = self.stage, self.cereal, self.farming
        late = (
            (cereal & in_window(today.phase, latest.wheat_ripe + 30 + self.spread, 60))
            | ((self.crop == MAIZE) & in_window(today.phase, latest.maize_ripe + 20 + self.spread, 60))
            | ((self.crop == BEET) & in_window(today.phase, latest.beet_ripe + 25 + self.spread, 60))
        )
        ready = (stage > 1.0) & (self.crop != FALLOW) & (self.crop != CATCH) & today.dry
        cut = self.are & (ready | (late & (stage > 0.3)))
        straw = np.where(cereal, 0.75, np.where(self.crop == MAIZE, 0.45, 0.25))
        self.litter[cut], self.since[cut] = straw[cut], 0
        self.rough[cut] = np.where(self.crop[cut] == BEET, 1.5, 0.3)
        self.crop[cut], self.tt[cut] = FALLOW, 0
        return cut

    def leaves(self, today: Today, stress: np.ndarray, vigour: np.ndarray) -> tuple[np.ndarray, ...]:
        """(lai, green share, chlorophyll) of crops, of weeds where the field lies idle."""
        stage, cereal = self.stage, self.cereal
        stage = np.where(self.crop == FALLOW, 0, stage)
        size, green = _course(self.crop, stage)
        lai = self.peak[self.crop, self.units] * size * np.clip(vigour + 0.1, 0, 1)
        age = np.clip((self.since - 6) / 35, 0, 1) * np.where(self.since < self.till_after, 1, 0.45)
        idle = self.weeds * age * (1 if today.phase > 60 else 0.8) * stress
        lai = np.where((self.crop == FALLOW) & self.are, idle, lai)
        green = np.where(cereal, np.minimum(green, np.clip(vigour * 1.4 - 0.1, 0, 1)), green)
        cab = self.cab[self.crop, self.units]
        cab = cab * np.where(cereal, 1 - 0.35 * smoothstep(stage, 0.68, 0.9), 1)
        return lai, green, cab * np.where(cereal & (stage < 0.35), 0.8, 1)
