"""Dates with the month in words of the languages of Europe, and years of two digits.

Languages are kept apart where they share words for different months: ``listopad`` is November in Polish and October in
Croatian. All dates of a column are of one language. Babel has such tables, and is 30 MB for twelve words a language.
"""

from __future__ import annotations

import re
import unicodedata
import warnings

import pandas as pd
from fluxlens.models.errors import DataWarning, InputError

_LANGUAGES = {
    # None of these means two months: English, German, French, Spanish, Italian, Portuguese, Catalan, Dutch, Romanian,
    # Hungarian, Greek, Turkish, the Baltic and Scandinavian languages; Slovak, Slovene, Serbian, Bulgarian, Russian.
    "": (
        "jan january januar janner janvier janv ene enero gen gennaio janeiro januari gener ian ianuarie oca ocak jaan"
        " jaanuar sausis sausio saus janvaris tammi tammikuu tammikuuta januara янв январь января януари јануар јан"
        " ιαν ιανουαριος ιανουαριου",
        "feb february februar feber fev fevr fevrier febrero febbraio fevereiro februari febrer febr februarie subat"
        " sub veebr veebruar vasaris vasario vas februaris helmi helmikuu helmikuuta februara фев февр февраль февраля"
        " февруари фебруар феб φεβ φεβρουαριος φεβρουαριου",
        "mar march marz mrz mars marzo marco mrt maart marts marc martie marcius mart marta marec marca marts martsa"
        " kovas kovo kov maalis maaliskuu maaliskuuta март марта мар μαρ μαρτιος μαρτιου",
        "apr april avr avril abr abril aprile aprilie aprilis nisan nis aprill balandis balandzio bal huhti huhtikuu"
        " huhtikuuta aprila апр апрель апреля април απρ απριλιος απριλιου",
        "may mai mayo mag maggio maio mei maj maig majus mayis geguze geguzes geg touko toukokuu toukokuuta maja maijs"
        " мая маи мај μαι μαιος μαιου",
        "jun june juni juin junio giu giugno junho juny iun iunie junius haziran haz juuni birzelis birzelio birz kesa"
        " kesakuu kesakuuta junij junija jun juna junijs июн июнь июня юни јун ιουν ιουνιος ιουνιου",
        "jul july juli juil juillet julio lug luglio julho juliol iul iulie julius temmuz tem juuli liepa liepos liep"
        " heina heinakuu heinakuuta julij julija jula julijs июл июль июля юли јул ιουλ ιουλιος ιουλιου",
        "aug august aou aout ago agosto augustus augusti agost augusztus agustos agu rugpjutis rugpjucio rugp elo"
        " elokuu elokuuta augusta avg avgust avgusta augusts авг август августа αυγ αυγουστος αυγουστου",
        "sep sept september septembre septiembre setiembre set settembre setembro setembre septembrie szeptember szept"
        " eylul eyl rugsejis rugsejo rugs syys syyskuu syyskuuta septembra septembar septembris сен сент сентябрь"
        " сентября септември септембар сеп σεπ σεπτ σεπτεμβριος σεπτεμβριου",
        "oct october okt oktober octobre octubre ott ottobre out outubro octombrie ekim eki oktoober spalis spalio spal"
        " loka lokakuu lokakuuta oktobra oktobar oktobris окт октябрь октября октомври октобар οκτ οκτωβριος οκτωβριου",
        "nov november novembre noviembre novembro noiembrie noi kasim kas lapkritis lapkricio lapkr marras marraskuu"
        " marraskuuta novembra novembar novembris ноя нояб ноябрь ноября ноември новембар нов νοε νοεμ νοεμβριος"
        " νοεμβριου",
        "dec december dez dezember decembre dic diciembre dicembre dezembro des desember desembre decembrie aralik ara"
        " dets detsember gruodis gruodzio gruod joulu joulukuu joulukuuta decembra decembar decembris дек декабрь"
        " декабря декември децембар дец δεκ δεκεμβριος δεκεμβριου",
    ),
    "Polish": (
        "styczen stycznia sty", "luty lutego lut", "marzec marca mar", "kwiecien kwietnia kwi", "maj maja",
        "czerwiec czerwca cze", "lipiec lipca lip", "sierpien sierpnia sie", "wrzesien wrzesnia wrz",
        "pazdziernik pazdziernika paz", "listopad listopada lis", "grudzien grudnia gru",
    ),
    "Czech": (
        "leden ledna led", "unor unora uno", "brezen brezna bre", "duben dubna dub", "kveten kvetna kve",
        "cerven cervna cvn", "cervenec cervence cvc", "srpen srpna srp", "zari zar", "rijen rijna rij",
        "listopad listopadu lis", "prosinec prosince pro",
    ),
    "Croatian": (
        "sijecanj sijecnja sij", "veljaca veljace velj", "ozujak ozujka ozu", "travanj travnja tra",
        "svibanj svibnja svi", "lipanj lipnja lip", "srpanj srpnja srp", "kolovoz kolovoza kol", "rujan rujna ruj",
        "listopad listopada lis", "studeni studenoga studenog stu", "prosinac prosinca pro",
    ),
    "Ukrainian": (
        "січень січня січ", "лютии лютого лют", "березень березня бер", "квітень квітня квіт кві",
        "травень травня трав тра", "червень червня черв чер", "липень липня лип", "серпень серпня серп сер",
        "вересень вересня вер", "жовтень жовтня жовт жов", "листопад листопада лист лис", "грудень грудня груд гру",
    ),
}  # fmt: skip
"""Names, those behind a day, and abbreviations by month, without accents."""
_LETTERS = str.maketrans(
    {"\u0131": "i", "\u0142": "l", "\u03c2": "\u03c3", "\u0111": "d", "\u00f8": "o", "\u00e6": "ae"}
)
"""Letters that no decomposition makes plain: Turkish i without its dot, Polish l, Greek s at the end of a word, and
letters of Croatian, Danish and Norwegian."""


def without_accents(text: str) -> str:
    """A text in small letters without accents.

    Parameters
    ----------
    text : str
        Such as ``Šířka``, which becomes ``sirka``.
    """
    # Decomposed first, so that "mär" becomes "mar" and loses its dots alone; letters that stand for themselves stay.
    letters = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


MONTHS = {
    language: {
        without_accents(word): month for month, words in enumerate(all_words, 1) for word in words.split()
    }
    for language, all_words in _LANGUAGES.items()
}
"""Months 1 to 12 by word, by language; the first holds all that share none."""
_DAY = r"(?P<d>\d{1,2})(?:\.|er|\u00ba|\u00b0|st|nd|rd|th)?"
_MONTH = r"(?P<m>[^\W\d]+)\.?"
# Behind the year, Polish and Russian have the letter of their word for it.
_DATES = tuple(
    re.compile(rf"(?i){pattern}(?:[\sT,]+(?P<clock>\d{{1,2}}:\d\d(?::\d\d)?))?")
    for pattern in (
        # Before the day first: there `th` of May 12th would be a word of a month.
        rf"(?:[^\W\d]+,\s+)?{_MONTH}\s+{_DAY},?\s+(?P<y>\d{{4}})",
        rf"(?:[^\W\d]+\.?,?\s+)?{_DAY}[\s/-]*(?:de\s+|of\s+)?{_MONTH}[\s/,-]*(?:de\s+)?(?P<y>\d{{4}}|\d{{2}})\.?"
        r"(?:\s*[r\u0433\u0440]\.)?",
        # Hungarian and Lithuanian begin with the year: 2019. május 12., 2019-May-12.
        rf"(?P<y>\d{{4}})\.?[\s/-]*(?:m\.\s*)?{_MONTH}[\s/-]*{_DAY}(?:\s*d\.)?",
    )
)
_CHARACTERS = re.compile("(\\d{4})[\u5e74\ub144]\\s*(\\d{1,2})[\u6708\uc6d4]\\s*(\\d{1,2})[\u65e5\uc77c]\\s*")
"""Dates of Chinese, Japanese and Korean: numbers between the characters for year, month and day."""
SHORT_YEAR = r"\d{1,2}[./-]\d{1,2}[./-]\d{2}(?:\D.*)?"
"""Dates of numbers whose year has two digits."""
FIRST_SHORT_YEAR = 69
"""Years of two digits from here on are of the last century, as in POSIX."""


def to_iso_dates(text: pd.Series, what: str) -> pd.Series | None:
    """Dates such as ``12. Mai 2019``, ``1er juin 2019`` or ``12 de mayo de 2019 10:50`` as ISO 8601.

    Parameters
    ----------
    text : pandas.Series
        (row,) str.
    what : str
        The column and table in words, for the warning.

    Returns
    -------
    pandas.Series or None
        (row,) str such as ``2019-05-12 10:50``; None where a text is no such date.

    Warns
    -----
    DataWarning
        Years of two digits, with what one of them is read as.

    Raises
    ------
    InputError
        Where languages read the words as different months.
    """
    matches, cells = [], [str(cell).strip() for cell in text]
    for cell in cells:
        if characters := _CHARACTERS.match(cell):
            year, month, day = map(int, characters.groups())
            rest = cell[characters.end() :]
            matches.append((f"{year}", month, day, rest))
            continue
        match = next((found for one in _DATES if (found := one.fullmatch(cell))), None)
        if match is None:
            return None
        matches.append((match["y"], without_accents(match["m"]), int(match["d"]), match["clock"] or ""))
    words = {month for _, month, _, _ in matches if isinstance(month, str)}
    # The languages that have all words, by the months that these are there.
    readings: dict[tuple[int, ...], list[str]] = {}
    for language, months in MONTHS.items():
        if words <= set(months):
            readings.setdefault(tuple(months[word] for word in sorted(words)), []).append(language)
    if not readings:
        return None
    if len(readings) > 1:
        both = ", ".join(f"month {months[0]} in {' and '.join(names)}" for months, names in readings.items())
        cell = next(cell for cell, one in zip(cells, matches, strict=True) if one[1] == min(words))
        raise InputError(
            f"Got dates such as {cell!r} in {what}, {both}, need YYYY-MM-DD; write numbers for months."
        )
    of_word = dict(zip(sorted(words), next(iter(readings)), strict=True))
    out, short = [], ""
    for cell, (year, month, day, clock) in zip(cells, matches, strict=True):
        # Put together as text: whether there is a 31st of that month is for the parser of ISO dates to say.
        date = f"{full_year(year)}-{of_word.get(month, month):02d}-{day:02d}"
        short = short or (f"{cell}: read as {date}" if len(year) == 2 else "")
        out.append(date + (f" {clock:0>5}" if clock else ""))
    if short:
        warn_short_years(short, what)
    return pd.Series(out, text.index, dtype="str")


def full_year(digits: str) -> str:
    """A year of four digits, of four or two.

    Parameters
    ----------
    digits : str
        Such as ``2019`` or ``19``.
    """
    return digits if len(digits) == 4 else f"{20 if int(digits) < FIRST_SHORT_YEAR else 19}{digits}"


def warn_short_years(example: str, what: str) -> None:
    """One warning that years have two digits.

    Parameters
    ----------
    example : str
        A date, and what it is read as.
    what : str
        The column and table in words.
    """
    warnings.warn(
        f"years of {what} have two digits, such as {example}; write four", DataWarning, stacklevel=4
    )


def refuse_short_years(text: pd.Series, what: str, pattern: str = SHORT_YEAR) -> None:
    """InputError for dates of numbers whose year has two digits: which of the three it is cannot be told.

    Parameters
    ----------
    text : pandas.Series
        (row,) str.
    what : str
        The column and table in words.
    pattern : str
        Regular expression of such dates.
    """
    short = text.str.fullmatch(pattern)
    if short.any():
        raise InputError(
            f"Got {int(short.sum())} of {len(text)} dates such as {text[short].iloc[0]!r} in {what}, whose years have"
            " two digits and which so are no dates, need YYYY-MM-DD; write years of four digits."
        )
