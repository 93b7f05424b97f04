"""One unit has many spellings: each leads to its factor, and what is no unit of a variable to none."""

import pytest
from fluxlens.embeddings.units import is_stated, parse_carbon_flux, parse_unit

UMOL = 1.0377


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("umol CO2 m-2 s-1", UMOL), ("[µmol+1s-1m-2]", UMOL), ("µmol CO₂ m⁻² s⁻¹", UMOL), ("umol/(m2 s)", UMOL),
        ("µmol·m⁻²·s⁻¹", UMOL), ("micromoles/m2/s", UMOL), ("umol m-2 s-1 CO2", UMOL), ("nmol m-2 s-1", UMOL / 1e3),
        ("mmol m-2 d-1", 0.01201), ("gC/m2/day", 1), ("g C m^-2 d^-1", 1), ("kgC m-2 d-1", 1e3), ("gC m-2 hh-1", 48),
        ("gC m-2 30min-1", 48), ("g C m-2 h-1", 24), ("mgC m-2 s-1", 86.4), ("kg C m-2 s-1", 86.4e6),
        ("mg CO2 m-2 s-1", 86.4 * 12.0107 / 44.0095), ("g CO2 m-2 d-1", 12.0107 / 44.0095), ("gC m−2 d−1", 1),
    ],
)  # fmt: skip
def test_a_flux_of_carbon_has_its_factor_to_grams_a_day(text, factor):
    unit = parse_carbon_flux(text)
    assert unit.factor == pytest.approx(factor, rel=1e-3)
    assert not unit.amount


@pytest.mark.parametrize(
    "text",
    ["g m-2 d-1", "umol m-2", "gC m-2 month-1", "gC m-2 yr-1", "umol mol-1", "gC cm-2 d-1", "gC", "1",
     "umol m-2 leaf s-1"],
)  # fmt: skip
def test_what_is_no_flux_of_carbon_over_days_has_none(text):
    assert parse_carbon_flux(text) is None


def test_grams_without_time_are_an_amount_and_grams_of_what_are_asked_for():
    assert parse_carbon_flux("gC/m^2").amount
    assert parse_carbon_flux("kg m-2 s-1") is None
    assert parse_carbon_flux("kg m-2 s-1", is_carbon=True).factor == pytest.approx(86.4e6)


@pytest.mark.parametrize(
    ("variable", "text", "value", "ours"),
    [
        ("wind", "[m+1s-1]", 3, 3), ("wind", "km/h", 36, 10), ("wind", "knots", 10, 5.14444),
        ("wind", "mph", 10, 4.4704), ("wind", "metres per second", 3, 3),
        ("ustar", "cm s-1", 40, 0.4), ("sigma_v", "cm/s", 60, 0.6),
        ("direction", "deg_from_north", 90, 90), ("direction", "decimal degrees", 90, 90),
        ("direction", "rad", 1, 57.29578),
        ("heat", "[W+1m-2]", 50, 50), ("pressure", "mb", 1000, 100), ("pressure", "mmHg", 750.062, 100),
        ("pressure", "[Pa]", 98500, 98.5), ("variance_v", "[m+2s-2]", 2, 2), ("length", "km", 1, 1000),
        ("tair", "degrees_Celsius", 7, 7), ("tair", "°C", 7, 7), ("tair", "0.1 degC", 70, 7), ("tair", "degF", 50, 10),
        ("precip", "0.1 mm", 42, 4.2), ("precip", "mm/30min", 1, 48), ("precip", "kg m-2", 3, 3),
        ("sw_in", "kW m-2", 0.3, 300),
        ("sw_in", "MJ m-2 30min-1", 0.9, 500), ("vpd", "mmHg", 3, 3.99966),
    ],
)  # fmt: skip
def test_weather_and_wind_are_converted_by_their_units(variable, text, value, ours):
    assert parse_unit(variable, text).convert(value) == pytest.approx(ours, rel=1e-4)


@pytest.mark.parametrize(
    ("variable", "text"),
    [("heat", "K m s-1"), ("heat", "MJ m-2 d-1"), ("wind", "m"), ("direction", "NNE"), ("vpd", "psi")],
)  # fmt: skip
def test_units_of_something_else_are_none(variable, text):
    assert parse_unit(variable, text) is None


def test_a_cell_of_units_may_say_nothing():
    assert not any(map(is_stated, ("", "-", "[-]", "--", "1", " n/a ")))
    assert is_stated("[m+1s-1]")
