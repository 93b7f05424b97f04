"""One table of a tower as text: its header, wherever it starts, and its columns as numbers indexed by time."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
from fluxlens.embeddings import named_zones, text_encoding, text_table, year_days
from fluxlens.embeddings.text_cells import GROUPED, MISSING_TEXT, is_missing, to_plain_number
from fluxlens.embeddings.towers import parquet_table
from fluxlens.embeddings.towers.data_files import DataFile
from fluxlens.embeddings.towers.sensor_columns import has_wind
from fluxlens.embeddings.towers.stamp_columns import find_stamp_columns, join_stamps
from fluxlens.embeddings.towers.stamps import Step, in_standard_time, infer_step, ordered, parse_stamps
from fluxlens.embeddings.towers.stray_rows import without_stray_rows
from fluxlens.embeddings.unpacking import CELLS_AT_ONCE, MAX_ROWS
from fluxlens.models.errors import DataWarning, InputError

# Lines that the header lies within: BASE has two lines of comments before it, EddyPro one of groups.
HEAD_LINES = 40
# Of the end of a file, by which a cut is seen: some rows of a full set's 240 columns.
TAIL_BYTES = 2**16
TIMES = ("TIMESTAMP_START", "TIMESTAMP", "TIMESTAMP_END")
# Of tables that people wrote themselves, and of REddyProc; only beside a column of GPP.
TIMES_OF_GPP = ("DATETIME", "DATE TIME", "DATE_TIME", "DATE", *map(str.upper, year_days.NAMES))
SPREADSHEET_ERRORS = [
    "#DIV/0!",
    "#REF!",
    "#NUM!",
    "#NAME?",
    "#VALUE!",
    "#NULL!",
    "#N/A",
    "#NV",
    "#WERT!",
    "#ZAHL!",
    "#BEZUG!",
]
"""Cells whose formula failed, in English and German."""
NO_VALUES = [
    *SPREADSHEET_ERRORS,
    "-9999",
    "-6999",
    *(f"-9999{mark}{'0' * n}" for mark in ".," for n in (1, 2, 3)),
]
DATE_OR_DECIMALS = re.compile(r"[-+]?\d+[.,]\d+([eE][-+]?\d+)?|\d{1,4}[./:-]\d{1,2}([./:-].*)?")
NAME_AND_UNIT = re.compile(r"([\w*]+)\s*[(\[](.+)[)\]]")
# Formats without a column of stamps or partitioned GPP by the marks in their header, and what they are.
OTHER_FORMATS = (
    ({"YEAR", "DOY", "HOUR"}, "a REddyProc text (columns Year, DoY, Hour) without GPP and wind"),
    ({"YEAR", "DOY"}, "a text with Year and DoY without GPP and wind"),
    ({"SITE_ID", "VARIABLE", "DATAVALUE"}, "a BIF, the description of a site"),
    ({"FILENAME", "DATE", "TIME"}, "an EddyPro full output, which has no partitioned GPP"),
)


class TowerTable:
    """Header and columns of one tower table.

    Parameters
    ----------
    file : DataFile
        The table; it is streamed at each ``read`` and never held whole.

    Attributes
    ----------
    header : list of str
        Column names in capitals.
    units : dict of str to str
        Units by column where a line below the header tells them.
    is_of_logger : bool
        Whether it is a TOA5 table of a Campbell logger, whose rows are stamped at their end.
    time : str
        The column of stamps; ``DATE`` for EddyPro's full output, which has ``TIME`` beside it; the column of years
        where several columns make the stamp together.

    Raises
    ------
    InputError
        Where the file is no text with a column of stamps; the sentence says what it looks like.
    """

    def __init__(self, file: DataFile) -> None:
        self.name, self._file, self._has_noted_end = file.name, file, False
        with file.open() as stream:
            head = stream.read(text_encoding.HEAD_BYTES)
        self._parquet = file.path if head.startswith(parquet_table.MAGIC) and file.plain_path() else None
        if self._parquet is not None:
            self.is_of_logger, self.units, self._decimal = False, {}, "."
            self.header = self._parquet_header()
            return
        self._encoding = text_encoding.encoding_of(head)
        text = head.decode(self._encoding, errors="replace").lstrip("\ufeff")
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:HEAD_LINES]
        self.is_of_logger = lines[0].strip('" ').startswith("TOA5")
        row = 0
        for row, line in enumerate(lines):  # noqa: B007 - needed below
            # By each line anew: a preamble may hold other separators than the table.
            self._separator = max(",;\t|", key=line.count)
            if self._separator not in line and not line.startswith("#"):
                self._separator = " "
            self.header = self._with_minutes(_cells(line, self._separator))
            if self._find_stamps():
                break
        else:
            self._refuse(lines)
        below = [_cells(line, self._separator, upper=False) for line in lines[row + 1 :] if line.strip()]
        self._first_row, self.units = row + 1, {}
        # Spreadsheets of people name the unit behind the column: `GPP_NT_VUT_REF (gC m-2 d-1)`.
        named = [NAME_AND_UNIT.fullmatch(cell) for cell in _cells(lines[row], self._separator, upper=False)]
        for at, match in enumerate(named):
            if match and match[1].upper() not in self.header:
                self.header[at] = match[1].upper()
                self.units[self.header[at]] = match[2]
        # A row of units has no date and no decimal number; the first row of data has both. Loggers have one more such
        # row, of means and totals.
        for number in range(2):
            if not below or any(map(_is_of_data, below[0])):
                break
            cells = below.pop(0)
            self._first_row += 1
            if number == 0:
                self.units |= {column: cell for column, cell in zip(self.header, cells, strict=False) if cell}
        self._decimal = self._decimal_mark(below)

    def _find_stamps(self) -> bool:
        """Whether the header has stamps, which ``time`` and ``_stamps`` then name."""
        self._stamps: dict[str, str] = {}
        header = set(self.header)
        time_columns = [column for column in TIMES if column in header]
        is_of_gpp = any(column.startswith("GPP") for column in header)
        if not time_columns and (is_of_gpp or has_wind(self.header)):
            time_columns = [column for column in TIMES_OF_GPP if column in header]
        if time_columns or {"DATE", "TIME", "DOY"} <= header:
            self.time = time_columns[0] if time_columns else "DATE"
            return True
        # Year and day of year stand in many texts; beside GPP or wind they are a tower's.
        if is_of_gpp or {"USTAR", "WD"} <= header or has_wind(self.header):
            self._stamps = find_stamp_columns(self.header)
        self.time = self._stamps.get("year", "")
        return bool(self._stamps)

    @staticmethod
    def _with_minutes(header: list[str]) -> list[str]:
        """A header in which minutes and months have one name each.

        The input of the footprint model of Kljun et al. online is ``yyyy, mm, day, HH_UTC, MM, ...``.
        """
        if "HH_UTC" in header and header.count("MM") == 2:
            header[header.index("MM", header.index("MM") + 1)] = "MINUTE"
        return header

    def _parquet_header(self) -> list[str]:
        """Column names of a Parquet file in capitals."""
        self.header = [
            column.strip().upper() for column in parquet_table.read_header(self.name, self._parquet)
        ]
        if not self._find_stamps():
            raise InputError(
                f"Got {self.name}, a Parquet file of {', '.join(self.header[:4])[:60]}, need a tower's table with a"
                " column TIMESTAMP or TIMESTAMP_START; check that it is a data file and not its description."
            )
        return self.header

    def _refuse(self, lines: list[str]) -> None:
        """InputError with what the text looks like."""
        line = next((line.strip() for line in lines if line.strip()), "")
        # The separator that occurs most often in the first line.
        separator = max(",;\t", key=line.count)
        header = set(_cells(line, separator))
        # Products of other networks are named, since the user then knows which file to fetch.
        kind = next((kind for marks, kind in OTHER_FORMATS if marks <= header), None)
        if kind:
            raise InputError(
                f"Got {self.name}, {kind}, need a FLUXNET file with a column TIMESTAMP or"
                " TIMESTAMP_START; convert it or"
                " fetch the tower's FLUXNET file."
            )
        kind = (
            "a web page instead of a file (a sign-in, or a failed download)"
            if re.match(r"<(!doctype html|html|\?xml)", line, re.IGNORECASE)
            else "a packed Parquet file"
            if line.startswith("PAR1")
            else "a workbook or another packed file"
            if line.startswith(("PK\x03\x04", "\u00d0\u00cf"))
            else ""
        )
        if kind:
            raise InputError(
                f"Got {self.name}, {kind}, need a FLUXNET file as text; fetch it again, or save it as CSV."
            )
        # A short beginning of the file, so that the user recognises it; binary content is not printed.
        start = ", ".join(_cells(line, separator)[:3])[:60]
        start = start if line and start.isprintable() else "no text"
        raise InputError(
            f"Got {self.name} starting with {start!r}, need a FLUXNET file with a column TIMESTAMP or"
            " TIMESTAMP_START;"
            " check that it is a data file and not its description."
        )

    def _decimal_mark(self, rows: list[list[str]]) -> str:
        """Comma where cells, quoted between commas, are written so and none has a point."""
        times = {i for i, column in enumerate(self.header) if column in (*TIMES, *TIMES_OF_GPP, "TIME")}
        # Codes for missing may keep a point among numbers with commas.
        cells = [
            cell for row in rows for i, cell in enumerate(row) if i not in times and cell not in NO_VALUES
        ]
        # In the sampled rows alone; stamps are left out, since 31.12.2020 has full stops everywhere.
        has = {mark: any(re.fullmatch(rf"-?\d+\{mark}\d+", cell) for cell in cells) for mark in ".,"}
        return "," if has[","] and not has["."] else "."

    def read(self, columns: list[str], text: tuple[str, ...] = ()) -> pd.DataFrame:
        """Columns as float64, missing as NaN, in order of time.

        Parameters
        ----------
        columns : list of str
            Names in ``header``; each once.
        text : tuple of str
            Columns kept as they are written.

        Returns
        -------
        pd.DataFrame
            Indexed by ``time`` (the start of each step), without repeated stamps.

        Raises
        ------
        InputError
            For a column that the file has twice, cells that are no numbers, wrong stamps, or too many rows.
        """
        stamps = [self.time, *(["TIME"] if self.time == "DATE" and "TIME" in self.header else [])]
        stamps = list(self._stamps.values()) or stamps
        zone = named_zones.find_column(self.header)
        text = text if zone is None else (*text, zone)
        needed = list(dict.fromkeys([*stamps, *text, *columns]))
        twice = [column for column in needed if self.header.count(column) > 1]
        if twice:
            raise InputError(
                f"Got {self.name} with the column {twice[0]} {self.header.count(twice[0])} times, need it"
                " once; remove the"
                " others."
            )
        at = sorted(self.header.index(column) for column in needed)
        names = [self.header[i] for i in at]
        as_text = {column: "str" for column in (*stamps, *text)}
        frame = self._parse(at, names, {column: as_text.get(column, "float64") for column in names})
        is_cut = self._is_cut_off()
        if frame is None:
            # Parsed a second time as text: lines that are no rows are left out, and wrong cells named.
            frame = self._parse(at, names, {column: "str" for column in names})
            frame = without_stray_rows(self.name, frame, stamps[0])
            self._put_numbers(frame, [column for column in columns if column not in as_text])
        else:
            frame = without_stray_rows(self.name, frame, stamps[0])
        if len(frame) > MAX_ROWS:
            raise InputError(
                f"Got {self.name} of more than {MAX_ROWS:,} rows, need a tower's half-hours or days; thin it."
            )
        # The last number of a row that is cut off may have lost digits.
        frame = frame.iloc[:-1] if is_cut and len(frame) > 1 else frame
        # Spreadsheets leave rows of empty cells below the last one; they hold nothing.
        frame = frame.dropna(how="all")
        cells = frame[stamps].fillna("")
        frame, zones = frame.drop(columns=stamps), None if zone is None else frame[zone]
        if self._stamps:
            time = in_standard_time(self.name, join_stamps(self.name, self._stamps, cells), zones)
        else:
            stamp = cells[stamps[0]]
            stamp = stamp if len(stamps) == 1 else stamp + " " + cells["TIME"]
            time = parse_stamps(self.name, stamp, zones)
        numbers = frame.columns.difference(list(text))
        infinite = int(np.isinf(frame[numbers].to_numpy()).sum()) if len(numbers) else 0
        if infinite:
            warnings.warn(
                f"{infinite} cells of {self.name} are infinite and read as missing", DataWarning, stacklevel=2
            )
        frame[numbers] = frame[numbers].mask(is_missing(frame[numbers].to_numpy(float)))
        return ordered(self.name, frame.set_index(time))

    def _parse(self, at: list[int], names: list[str], dtype: dict[str, str]) -> pd.DataFrame | None:
        """The cells by pandas' C parser; None where a cell of a number is none."""
        if self._parquet is not None:
            try:
                return parquet_table.read_columns(self.name, self._parquet, at, dtype)
            except (ValueError, TypeError):
                return None
        options = {
            "skip_rows": self._first_row,
            "max_rows": MAX_ROWS + 1,
            "separator": self._separator,
            "decimal": self._decimal,
            "na_values": NO_VALUES,
        }
        try:
            plain = self._file.plain_path()
            if plain and self._encoding.startswith("utf-8"):
                # The mark of utf-8-sig lies in the header, which is skipped.
                return text_table.parse_columns(plain, at, dtype, encoding="utf-8", **options)
            with self._file.open() as stream:
                rows = max(1, CELLS_AT_ONCE // len(self.header))
                done = stream.raw.rows_are_done
                return text_table.parse_columns(
                    stream, at, dtype, encoding=self._encoding, at_once=rows, on_rows=done, **options
                )
        except InputError:
            raise
        except (ValueError, pd.errors.ParserError) as error:
            if set(dtype.values()) == {"str"}:
                why = (str(error).splitlines() or ["?"])[0][:80]
                raise InputError(
                    f"Got {self.name} with rows that cannot be read ({why}), need a table; fetch the file again."
                ) from error
            return None

    def _is_cut_off(self) -> bool:
        """Whether the last row is cut off in the middle, with a warning; one too where its last cell seems to be."""
        # What is packed has a checksum over all of it.
        plain = self._file.plain_path()
        if not plain or self._parquet is not None or not self._encoding.startswith("utf-8"):
            return False
        with open(plain, "rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - TAIL_BYTES))
            tail = stream.read().decode("utf-8", "replace")
        rows = [_cells(line, self._separator, upper=False) for line in tail.splitlines() if line.strip()]
        # The first line of the tail may have begun before it. Complete rows are the measure; the last row is kept
        # whatever it is.
        rows = [row for row in rows[1:] if len(row) == len(self.header)] + rows[-1:]
        # A line end means that the row was written whole; more cells than the header are another error.
        if not rows or tail.endswith(("\n", "\r")) or len(rows[-1]) > len(self.header):
            return False
        is_short = len(rows[-1]) < len(self.header)
        # A number may be cut within its digits ("12.34" to "12.3"): it is then shorter than in all other rows.
        cell = "" if is_short else text_table.cut_cell(pd.Series([row[-1] for row in rows[:-1]]))
        if (is_short or cell) and not self._has_noted_end:
            what = (
                "is cut off in the middle and left out"
                if is_short
                else f"ends in {cell!r} without a line end, "
            )
            what += "" if is_short else "shorter than that cell of all other rows: perhaps cut off"
            warnings.warn(
                f"the last row of {self.name} {what}; fetch the file again", DataWarning, stacklevel=4
            )
        self._has_noted_end = True
        return is_short

    def _put_numbers(self, frame: pd.DataFrame, columns: list[str]) -> None:
        """Columns of text as numbers; InputError with the count of cells that are none and the first of them."""
        for column in columns:
            cells = frame[column].astype("str").str.strip().where(frame[column].notna(), "")
            if self._decimal == ",":
                cells = cells.str.replace(",", ".", regex=False)
            # A share of good half-hours in percent; a flux has no percent.
            is_share = cells.str.endswith("%") & column.endswith("_QC")
            numbers = pd.to_numeric(cells.str.rstrip("% ").where(is_share, cells), errors="coerce")
            grouped = cells.str.fullmatch(GROUPED)
            numbers = numbers.where(~grouped, pd.to_numeric(cells.map(to_plain_number), errors="coerce"))
            wrong = numbers.isna() & ~cells.str.lower().isin(MISSING_TEXT)
            if wrong.any():
                cell = frame[column][wrong].iloc[0][:30]
                do = "write them without the sign" if "%" in cell else "correct them, or fetch the file again"
                raise InputError(
                    f"Got {self.name} with {int(wrong.sum())} cells that are no numbers, such as"
                    f" {cell!r} in {column}, need numbers; {do}."
                )
            frame[column] = numbers.where(~is_share, numbers / 100).astype("float64")

    def step(self, times: pd.DatetimeIndex) -> Step:
        """The time step, by the stamps.

        Parameters
        ----------
        times : pd.DatetimeIndex
            Index of what ``read`` returned.
        """
        return infer_step(self.name, times, has_end={"TIMESTAMP_START", "TIMESTAMP_END"} <= set(self.header))


def _is_of_data(cell: str) -> bool:
    """Whether a cell is a date or a number with decimals, not a unit such as ``0.1 mm``."""
    return bool(re.search(r"\d{4}", cell) or DATE_OR_DECIMALS.fullmatch(cell))


def _cells(line: str, separator: str, upper: bool = True) -> list[str]:
    """Cells of a line without blanks and quotes."""
    cells = text_table.split_cells(line, separator)
    return [cell.upper() for cell in cells] if upper else cells
