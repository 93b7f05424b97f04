"""Months in words and years of two digits: the date that is written, or told."""

import warnings

import numpy as np
import pandas as pd
import pytest
from fluxlens.embeddings import month_words
from fluxlens.embeddings.readers import weather_table
from fluxlens.embeddings.text_cells import to_times
from fluxlens.models.errors import DataWarning, InputError

DAYS = pd.to_datetime([f"2019-{month:02d}-{month + 3:02d}" for month in range(1, 13)])
LANGUAGES = {
    "German": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "German, short": "Jan. Feb. Mrz. Apr. Mai Jun. Jul. Aug. Sept. Okt. Nov. Dez.",
    "French": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "French, short": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
    "Spanish": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "Spanish, short": "ene feb mar abr may jun jul ago sep oct nov dic",
    "Italian": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "Italian, short": "gen feb mar apr mag giu lug ago set ott nov dic",
    "Portuguese": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "Dutch": "januari februari maart april mei juni juli augustus september oktober november december",
    "Romanian": "ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie decembrie",
    "Catalan": "gener febrer març abril maig juny juliol agost setembre octubre novembre desembre",
    "Polish": "styczeń luty marzec kwiecień maj czerwiec lipiec sierpień wrzesień październik listopad grudzień",
    "Polish, of": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "Polish, short": "sty lut mar kwi maj cze lip sie wrz paź lis gru",
    "Czech, of": "ledna února března dubna května června července srpna září října listopadu prosince",
    "Slovak, of": "januára februára marca apríla mája júna júla augusta septembra októbra novembra decembra",
    "Slovene": "januar februar marec april maj junij julij avgust september oktober november december",
    "Croatian, of": "siječnja veljače ožujka travnja svibnja lipnja srpnja kolovoza rujna listopada studenoga prosinca",
    "Serbian": "јануар фебруар март април мај јун јул август септембар октобар новембар децембар",
    "Bulgarian": "януари февруари март април май юни юли август септември октомври ноември декември",
    "Russian, of": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "Ukrainian, of": "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня",
    "Greek, of": "Ιανουαρίου Φεβρουαρίου Μαρτίου Απριλίου Μαΐου Ιουνίου Ιουλίου Αυγούστου Σεπτεμβρίου Οκτωβρίου"
    " Νοεμβρίου Δεκεμβρίου",
    "Turkish": "Ocak Şubat Mart Nisan Mayıs Haziran Temmuz Ağustos Eylül Ekim Kasım Aralık",
    "Hungarian": "január február március április május június július augusztus szeptember október november december",
    "Finnish": "tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta syyskuuta"
    " lokakuuta marraskuuta joulukuuta",
    "Estonian": "jaanuar veebruar märts aprill mai juuni juuli august september oktoober november detsember",
    "Latvian": "janvāris februāris marts aprīlis maijs jūnijs jūlijs augusts septembris oktobris novembris decembris",
    "Lithuanian": "sausio vasario kovo balandžio gegužės birželio liepos rugpjūčio rugsėjo spalio lapkričio gruodžio",
    "Danish": "januar februar marts april maj juni juli august september oktober november december",
}
FORMS = ("{day}. {word} {year}", "{day} {word} {year}", "{day}-{word}-{year}", "{day} de {word} de {year}",
         "Mi., {day}. {word} {year}", "{day}/{word}/{year}", "{year}. {word} {day}.",
         "{word} {day}, {year}")  # fmt: skip
ODD = {
    "12 maja 2019 r.": "2019-05-12", "12 мая 2019 г.": "2019-05-12", "2019年5月12日": "2019-05-12",
    "2019년 5월 12일 10:50": "2019-05-12T10:50", "the 12th of May 2019": "2019-05-12", "May 12th, 2019": "2019-05-12",
    "2019 m. gegužės 12 d.": "2019-05-12", "12May2019": "2019-05-12", "03-ene-2021": "2021-01-03",
    "12 listopadu 2019": "2019-11-12",
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_months_in_words_of_a_language_are_its_months(language):
    words = LANGUAGES[language].split()
    for form in FORMS:
        dates = zip(DAYS, words, strict=True)
        text = pd.Series([form.format(day=day.day, word=word, year=day.year) for day, word in dates])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(to_times(text.rename("date"), "the table"), DAYS.values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(to_times(text.str.upper().rename("date"), "the table"), DAYS.values)
        found = weather_table.read_frame(pd.DataFrame({"date": text[:1], "tair": 12.5}), "weather")
    np.testing.assert_array_equal(found["time"], DAYS[:1])


def test_dates_with_other_words_beside_the_month_are_read():
    for cell, date in ODD.items():
        assert to_times(pd.Series([cell], name="date"), "the table") == np.datetime64(date), cell


def test_a_word_of_two_months_is_told_by_the_others_or_refused():
    for other, month in (("czerwca", 11), ("lipnja", 10)):
        text = pd.Series(["12 listopada 2019", f"12 {other} 2019"], name="date")
        assert to_times(text, "the table")[0] == np.datetime64(f"2019-{month}-12")
    for cell, months in (("12 listopada 2019", (11, 10)), ("12 lip 2019", (7, 6)), ("12. srp 2019", (8, 7))):
        with pytest.raises(
            InputError, match=f"Got dates such as '{cell}'.*month {months[0]} in .*month {months[1]} in"
        ):
            to_times(pd.Series([cell], name="date"), "the table")


def test_times_behind_months_in_words_are_kept():
    text = pd.Series(["1er juin 2019 9:05", "12 décembre 2019 10:50:31"], name="date")
    times = to_times(text, "the table")
    np.testing.assert_array_equal(
        times, np.array(["2019-06-01T09:05", "2019-12-12T10:50:31"], "datetime64[s]")
    )


def test_words_of_no_month_and_days_of_no_month_are_refused():
    for cell in ("12 mayonnaise 2019", "31. Februar 2019", "12 czerwca-lipca 2019"):
        with pytest.raises(InputError, match="without a date, the first row 1"):
            to_times(pd.Series([cell], name="date"), "the table")
    assert month_words.to_iso_dates(pd.Series(["2019-05-12"]), "x") is None


@pytest.mark.parametrize("cell", ["12-May-19", "12 May 19", "12. Mai 19", "12 mai 19"])
def test_years_of_two_digits_behind_words_are_told(cell):
    message = f"years of the column date of the table have two digits, such as {cell}: read as 2019-05-12"
    with pytest.warns(DataWarning, match=message):
        times = to_times(pd.Series([cell], name="date"), "the table")
    assert times[0] == np.datetime64("2019-05-12")
    with pytest.warns(DataWarning, match="two digits"):
        found = weather_table.read_frame(pd.DataFrame({"date": [cell], "tair": 12.5}), "weather")
    assert found["time"].values[0] == np.datetime64("2019-05-12")


@pytest.mark.parametrize(
    ("digits", "year"), [("2019", "2019"), ("00", "2000"), ("68", "2068"), ("69", "1969"), ("98", "1998")]
)
def test_years_of_two_digits_are_of_the_century_of_posix(digits, year):
    assert month_words.full_year(digits) == year


@pytest.mark.parametrize(
    "cell", ["12/05/19", "13/05/19", "5/13/19", "12.05.19", "19-05-12", "12/05/19 10:50"]
)
def test_years_of_two_digits_among_numbers_are_refused(cell):
    message = f"Got 2 of 2 dates such as '{cell}' in the column date of .*, whose years have two digits"
    cells = pd.Series([cell, cell.replace("12", "11").replace("13", "14")], name="date")
    with pytest.raises(InputError, match=message):
        to_times(cells, "the table")
    with pytest.raises(InputError, match=message):
        weather_table.read_frame(pd.DataFrame({"date": cells, "tair": 12.5}), "weather")


def test_digits_of_a_year_of_two_are_not_called_months():
    with pytest.raises(InputError, match=r"dates such as '190512' in the column date .* two digits"):
        to_times(pd.Series(["190512", "190517"], name="date"), "the table")
