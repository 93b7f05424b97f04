"""Crops on fields: rotation, sowing, growth by thermal time, harvest, tillage, and what grows between crops."""

import numpy as np
from fluxlens.embeddings.simulate.farming import YEAR_DAYS, DayForcing, Farming, UnitDraws, in_window
from fluxlens.embeddings.simulate.landscape import CEREAL, SUMMER
from fluxlens.embeddings.simulate.noise import smoothstep
from fluxlens.embeddings.simulate.weather import Climate, mean_season_tair

FALLOW, WHEAT, MAIZE, BEET, CATCH, SPRING = range(6)
"""What stands on a field: nothing, winter cereal, maize, a leafy root crop, a catch crop over autumn,
spring cereal."""
BASE_DEGC = np.array([0.0, 0.0, 7.0, 4.0, 2.0, 0.0])
"""Base temperature of development by crop: cereals 0, maize 7, beet 4
(Bonhomme 2000, doi:10.1016/S1161-0301(00)00058-7), mustard 2."""
PEAK_LAI = np.array([[0.0], [5.2], [4.4], [4.6], [3.2], [4.3]])
PEAK_LAI_SPREAD = np.array([[0.0], [0.8], [0.7], [0.7], [0.9], [0.7]])
"""Mean and standard deviation over fields of the peak leaf area by crop, m2 m-2."""
CHLOROPHYLL_UG_CM2 = np.array([30, 48, 50, 45, 38, 46])
"""Leaf chlorophyll at full growth by crop (weeds on fallow)."""
CATCH_DEGREE_DAYS = 520
"""From sowing to full cover of a catch crop."""


def _mean_degree_days(climate: Climate, sown: float, ripe: float, base_degc: float) -> float:
    """Degree days of an average year from sowing to ripeness."""
    span = np.arange((ripe - sown) % YEAR_DAYS) + sown
    return float(np.maximum(mean_season_tair(climate, span) - base_degc, 0).sum())


def _growth_curve(crop: np.ndarray, stage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leaf area relative to its peak, and its green share, at a stage of development (1 = ripe), both (unit,)."""
    # Cereals pause at the end of tillering (0.22-0.27) and shoot from there; from 0.74 on they ripen yellow.
    wheat = 0.32 * smoothstep(stage, 0.05, 0.22) + 0.68 * smoothstep(stage, 0.27, 0.53)
    wheat_green = 1 - smoothstep(stage, 0.74, 0.93)
    maize = smoothstep(stage, 0.12, 0.52)
    maize_green = 1 - 0.85 * smoothstep(stage, 0.80, 1.04)
    beet = smoothstep(stage, 0.12, 0.46) * (1 - 0.25 * smoothstep(stage, 0.7, 1.0))
    beet_green = 1 - 0.2 * smoothstep(stage, 0.75, 1.0)
    catch = smoothstep(stage, 0.1, 0.8)
    nothing = np.zeros_like(stage)
    straw = 1 - 0.3 * smoothstep(stage, 0.8, 1)  # dry leaves roll up and break off
    spring = smoothstep(stage, 0.10, 0.52)
    size = np.choose(crop, [nothing, wheat * straw, maize, beet, catch, spring * straw])
    green = np.choose(crop, [nothing + 1, wheat_green, maize_green, beet_green, nothing + 1, wheat_green])
    return size, green


class Fields:
    """State of the crops, computed for all units as if all were fields; those that are not stay fallow.

    Parameters
    ----------
    rng
        Random stream of the growth model.
    cover
        (unit,) land cover of the main season, index into ``landscape.COVERS``.
    draws
        Random numbers of the units.
    climate, farming
        Presets of the place.
    seasons
        Number of seasons to plan.
    main_season
        The season in which the crops are those of the land-cover map.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        cover: np.ndarray,
        draws: UnitDraws,
        climate: Climate,
        farming: Farming,
        seasons: int,
        main_season: int,
    ):
        units = len(cover)
        self.farming, self.draws, self.units = farming, draws, np.arange(units)
        self.is_field = np.isin(cover, (CEREAL, SUMMER))
        summer = np.where(draws.summer_crop < 0.55, MAIZE, BEET)
        self.rotation = np.where(rng.random((units, seasons)) < 0.5, WHEAT, summer[:, None])
        """(unit, season) the crop that is harvested."""
        # The map of the land is of the main season; the seasons around it are drawn.
        self.rotation[:, main_season] = np.where(cover == CEREAL, WHEAT, summer)
        late = rng.random(self.rotation.shape) < farming.spring_share
        self.rotation[(self.rotation == WHEAT) & late] = SPRING
        self._plan(climate)
        self.crop, self.degree_days = np.full(units, FALLOW), np.zeros(units)
        """The crop that stands, and its thermal time since sowing."""
        self.days_since_harvest = np.full(units, 400)
        self.litter, self.roughness_db = np.full(units, 0.2), np.zeros(units)
        """Share of the soil under straw (0-1), and what its roughness adds to radar backscatter."""

    def _plan(self, climate: Climate) -> None:
        """Each unit's own dates, thermal needs and peaks."""
        farming, draws = self.farming, self.draws
        # (mean sowing, mean ripeness, standard deviation of sowing over fields), days since the solstice
        calendar = {
            WHEAT: (farming.wheat_sown, farming.wheat_ripe, 9),
            MAIZE: (farming.summer_sown + 10, farming.maize_ripe, 7),
            BEET: (farming.summer_sown - 10, farming.beet_ripe, 7),
            SPRING: (farming.spring_sown, farming.wheat_ripe + 8, 6),
        }
        self.calendar_shift_days = draws.calendar * 6
        self.sown = {crop: start + draws.sowing * days for crop, (start, _, days) in calendar.items()}
        self.ripe_degree_days = np.ones((6, len(self.units)))  # (crop, unit)
        for crop, (start, ripe, _) in calendar.items():
            mean = _mean_degree_days(climate, start, ripe, BASE_DEGC[crop])
            # Of the mean climate and not of the year: a warm year ripens early.
            self.ripe_degree_days[crop] = mean * (1 + 0.05 * draws.ripening)
        self.ripe_degree_days[CATCH] = CATCH_DEGREE_DAYS * (1 + 0.2 * draws.catch_ripening)
        is_catch = np.arange(6)[:, None] == CATCH
        peak = PEAK_LAI + PEAK_LAI_SPREAD * np.where(is_catch, draws.catch_lai, draws.crop_lai)
        # Poor climates, as their grass shows, grow thinner crops.
        peak *= np.clip(0.45 + farming.grass_lai / 7.5, 0.5, 1)
        # At least 0.3, since a draw may fall below any crop; 0 for what is no crop.
        self.peak_lai = np.maximum(peak, 0.3) * (np.arange(6) > 0)[:, None]
        # About a third of the fields are tilled within 12 days of harvest, the others up to 82 days later.
        self.tillage_delay_days = np.where(
            draws.early_tillage < 0.35, draws.tillage_delay * 12, 12 + draws.tillage_delay * 70
        )
        self.sows_catch = draws.sows_catch < farming.catch_share
        self.catch_end = 330 + draws.catch_end * 110
        self.weed_lai = np.where(draws.few_weeds < 0.35, 0.3, 0.5 + 1.1 * draws.weed_lai)
        self.irrigated = (draws.irrigation < farming.irrigated) & self.is_field
        self.cab = CHLOROPHYLL_UG_CM2[:, None] * np.exp(0.12 * draws.leaf_chlorophyll)

    @property
    def stage(self) -> np.ndarray:
        """Development stage (unit,), unitless: 0 at emergence, 1 when ripe."""
        return self.degree_days / self.ripe_degree_days[self.crop, self.units]

    @property
    def is_cereal(self) -> np.ndarray:
        """Whether the crop is a cereal (unit,), bool."""
        return np.isin(self.crop, (WHEAT, SPRING))

    def manage(self, today: DayForcing) -> None:
        """Advance one day: sow, develop, harvest, till; straw and roughness weather away.

        Parameters
        ----------
        today
            The day's weather and calendar.
        """
        # Two seasons: what is sown in autumn is harvested in the next one.
        coming, following = (self.rotation[:, today.season + i] for i in (0, 1))
        self._sow(today, coming, following)
        end = np.where(
            coming == SPRING, np.minimum(self.catch_end, 340 + self.farming.spring_sown), self.catch_end
        )
        # A catch crop freezes or is ploughed in, at the latest before a spring cereal is sown.
        ended = (self.crop == CATCH) & in_window(today.season_day, end % 365.25, 60)
        self.crop[ended], self.days_since_harvest[ended] = FALLOW, 0
        self.litter[ended], self.roughness_db[ended] = 0.25, 1.2
        # Growing degree days above the crop's base temperature; cold days take nothing back.
        self.degree_days += np.maximum(today.tair - BASE_DEGC[self.crop], 0) * (self.crop > 0)
        cut = self._harvest(today)
        is_due = self.days_since_harvest == np.round(self.tillage_delay_days)
        till = self.is_field & (self.crop == FALLOW) & is_due & ~cut
        self.litter[till], self.roughness_db[till] = (
            0.08,
            1.2 + 0.8 * np.abs(self.draws.tillage_roughness[till]),
        )
        self.days_since_harvest += 1
        # Rain smooths tilled soil: a wet day (above 8 mm) as much as 24 dry ones.
        self.roughness_db *= np.where(today.precip > 8, 0.93, 0.997)
        self.litter *= 0.9965

    def _sow(self, today: DayForcing, coming: np.ndarray, following: np.ndarray) -> None:
        """Sow what the rotation wants; ``coming`` and ``following`` (unit,) are harvested this season and next."""
        conditions = {
            WHEAT: (following == WHEAT) & (today.season_day > 200),
            SPRING: (coming == SPRING) | (coming == WHEAT),  # what autumn left unsown
            MAIZE: (coming == MAIZE) & (today.season_day < 260),
            BEET: (coming == BEET) & (today.season_day < 260),
        }
        # A week for the straw to be cleared before anything is sown.
        free = self.is_field & (self.days_since_harvest > 8) & today.is_dry
        for crop, is_wanted in conditions.items():
            window = in_window(today.season_day, self.sown[crop], 30 if crop == SPRING else 45)
            due = free & (self.crop == FALLOW) & is_wanted & window
            self.crop[due], self.degree_days[due], self.litter[due] = crop, 0, 0.05
            self.roughness_db[due] = self.draws.seedbed_roughness[due] * 0.8 - 0.3
        due = free & (self.crop == FALLOW) & self.sows_catch & (following != WHEAT)
        due &= in_window(today.season_day, 236 + self.calendar_shift_days, 25)
        self.crop[due], self.degree_days[due], self.litter[due] = CATCH, 0, 0.1

    def _harvest(self, today: DayForcing) -> np.ndarray:
        """Harvest what is ripe on a dry day, or what is late on any day; returns where, (unit,) bool."""
        stage, is_cereal, farming = self.stage, self.is_cereal, self.farming
        day, shift = today.season_day, self.calendar_shift_days
        # A crop that never ripens in a cold year is cut all the same, on rainy days too.
        late = (
            (is_cereal & in_window(day, farming.wheat_ripe + 30 + shift, 60))
            | ((self.crop == MAIZE) & in_window(day, farming.maize_ripe + 20 + shift, 60))
            | ((self.crop == BEET) & in_window(day, farming.beet_ripe + 25 + shift, 60))
        )
        ready = (stage > 1.0) & (self.crop != FALLOW) & (self.crop != CATCH) & today.is_dry
        cut = self.is_field & (ready | (late & (stage > 0.3)))
        # Share of the soil under residues after harvest: most after cereals, stubble after maize, little after beet.
        straw = np.where(is_cereal, 0.75, np.where(self.crop == MAIZE, 0.45, 0.25))
        self.litter[cut], self.days_since_harvest[cut] = straw[cut], 0
        self.roughness_db[cut] = np.where(self.crop[cut] == BEET, 1.5, 0.3)
        self.crop[cut], self.degree_days[cut] = FALLOW, 0
        return cut

    def canopy_state(
        self, today: DayForcing, stress: np.ndarray, vigour: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """State of the crops, and of weeds where the field lies idle.

        Parameters
        ----------
        today
            The day's calendar.
        stress
            (unit,) water stress factor of the day, 0-1.
        vigour
            (unit,) the same over the past weeks.

        Returns
        -------
        Leaf area (m2 m-2), green share (0-1) and chlorophyll (ug cm-2), each (unit,).
        """
        stage, is_cereal = self.stage, self.is_cereal
        stage = np.where(self.crop == FALLOW, 0, stage)
        size, green = _growth_curve(self.crop, stage)
        lai = self.peak_lai[self.crop, self.units] * size * np.clip(vigour + 0.1, 0, 1)
        # Weeds and volunteers come up within six weeks of harvest; after tillage fewer do.
        is_untilled = self.days_since_harvest < self.tillage_delay_days
        age = np.clip((self.days_since_harvest - 6) / 35, 0, 1) * np.where(is_untilled, 1, 0.45)
        idle = self.weed_lai * age * (1 if today.season_day > 60 else 0.8) * stress
        lai = np.where((self.crop == FALLOW) & self.is_field, idle, lai)
        green = np.where(is_cereal, np.minimum(green, np.clip(vigour * 1.4 - 0.1, 0, 1)), green)
        cab = self.cab[self.crop, self.units]
        cab = cab * np.where(is_cereal, 1 - 0.35 * smoothstep(stage, 0.68, 0.9), 1)
        return lai, green, cab * np.where(is_cereal & (stage < 0.35), 0.8, 1)
