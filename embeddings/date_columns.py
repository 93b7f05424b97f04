"""Names of the columns of dates, and of the parts of a date, that series, weather, GPP and tower tables share."""

from __future__ import annotations

from collections.abc import Iterable

from fluxlens.embeddings.month_words import without_accents
from fluxlens.embeddings.text_cells import plain_name

PARTS: dict[str, tuple[str, ...]] = {
    "year": ("year", "yr", "yyyy", "jahr", "annee", "ano", "anno", "jaar", "rok", "rik", "godina", "vuosi"),
    "doy": (
        "doy", "dayofyear", "yday", "jday", "julianday", "juliandate", "dayofyr", "jourjulien", "tagdesjahres",
        "diajuliano", "diadelano", "giornodellanno",
    ),
    "month": ("month", "mo", "mon", "mm", "monat", "mois", "mes", "mese", "maand", "miesiac", "mesic"),
    "day": (
        "day", "dom", "dayofmonth", "dd", "dy", "tag", "jour", "dia", "giorno", "dag", "dzien", "den",
    ),
    "clock": ("hrmin", "hhmm", "hourmin"),
    "hour": ("hour", "hr", "hh", "hhutc", "stunde", "heure", "hora", "ora", "uur", "godzina", "hodina"),
    "minute": ("minute", "min", "minutes"),
}  # fmt: skip
"""Parts of a date by ``plain_name`` without accents, the preferred name first; ``clock`` is hours and minutes as one
number: 30, 1330, 2400."""
DATE_WORDS = ("datum", "fecha", "dato", "tarih", "paivamaara", "kuupaev", "\u0434\u0430\u0442\u0430", "data")
"""The word for a date in other languages, by the same rule; ``data`` is one of Polish, Italian, Portuguese, and last
since it means other things as well."""


def find_parts(names: Iterable[str]) -> dict[str, str]:
    """The columns that hold parts of a date.

    Parameters
    ----------
    names : iterable of str
        Of columns, as they stand in the table.

    Returns
    -------
    dict of str to str
        Column by ``year``, ``doy``, ``month``, ``day``, ``clock``, ``hour`` and ``minute``, as far as there are such;
        in the order of the parts.
    """
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(without_accents(plain_name(name)), name)
    found = {
        part: next((plain[name] for name in spellings if name in plain), None)
        for part, spellings in PARTS.items()
    }
    return {part: name for part, name in found.items() if name is not None}
