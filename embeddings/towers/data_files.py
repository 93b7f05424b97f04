"""Which file of a download carries a tower's data, and its bytes, unpacked within bounds.

Members of a zip are told apart by the codes in their names, in any order: those that describe variables
(``BIFVARINFO``), sites (``BIF``) or reanalysis (``ERA5``) are no data; products with partitioned fluxes
(``FULLSET``, ``FLUXMET``, ``SUBSET``) come before AmeriFlux ``BASE``, which has none.

The file is long so that one place decides which file of a zip, and which of a folder, serves.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fluxlens.embeddings import workbook
from fluxlens.embeddings.text_encoding import HEAD_BYTES
from fluxlens.embeddings.text_table import is_workbook
from fluxlens.embeddings.towers import parquet_table
from fluxlens.embeddings.towers.sensor_columns import team_gpp_columns
from fluxlens.embeddings.unpacking import GZIP_MAGIC, PIECE_BYTES, BoundedStream, check_unpacked, has_magic
from fluxlens.models.errors import DataWarning, InputError

# Members of a zip that are looked at; a site's full set has about 30.
MAX_MEMBERS = 10_000

SITE = re.compile(r"(?<![A-Za-z])([A-Z]{2}-[A-Za-z0-9]{3})(?![A-Za-z0-9])")
RESOLUTION = re.compile(r"_(DD|HH|HR|WW|MM|YY)(?=[_.])")
NO_DATA = re.compile(r"_(ERA|AUX|VARINFO|BIF|BADM|SITEINFO|METEOSENS|INSTRUMENT|README)", re.IGNORECASE)
YEARS = re.compile(r"(?:^|(?<=[_-]))(\d{4}[-_]\d{4}(?=[_.])|(?:19|20)\d{2}(?=[_.]))")
"""Years in a file's name, ``_2017-2019_`` or ``_2017.``."""
MET_OR_FLUX = re.compile(r"(?i)_(met|flux)(?=\.nc$)")
"""Halves of one tower as FluxnetLSM writes them (OzFlux, PLUMBER2, FluxDataKit)."""
BASE = re.compile(r"_BASE[_-]")
ICOS_FLUXES = re.compile(r"^ICOSETC_.*_FLUXES_(INTERIM_)?(L2|NRT)")
TEXT_SUFFIXES = (".csv", ".csv.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")
UNNAMED_SUFFIXES = (".txt", ".tsv")
"""Of texts that are a tower's by their columns alone: REddyProc's, and notes beside data."""
DATA_SUFFIXES = (*TEXT_SUFFIXES, *PARQUET_SUFFIXES, *UNNAMED_SUFFIXES, ".zip", ".nc")
DAILY_FIRST = ("DD", "HH", "HR", "WW", "MM")
HOURLY_ONLY = ("HH", "HR")


@dataclass(frozen=True)
class DataFile:
    """One table of a tower: a file, a ``.gz`` or a member of a zip.

    Parameters
    ----------
    name : str
        Name of the table itself, without folders and ``.gz``.
    path : Path
        The file on disk.
    member : str, optional
        Name inside the zip at ``path``.
    content : bytes, optional
        The table as text, where it is none at ``path``: the sheet of a workbook.
    """

    name: str
    path: Path
    member: str | None = None
    content: bytes | None = None

    def plain_path(self) -> str | None:
        """The path of a file that is not packed and within the bounds of ``embeddings.unpacking``; None of any other.

        Raises
        ------
        InputError
            For a plain file past the bounds.
        """
        # Packed files have no path that a parser could open by itself.
        if self.content is not None or self.member is not None or has_magic(self.path, GZIP_MAGIC):
            return None
        size = self.path.stat().st_size
        check_unpacked(self.name, size, size)
        return str(self.path)

    def open(self) -> BinaryIO:
        """The unpacked bytes as a stream that raises InputError past the bounds of ``embeddings.unpacking``.

        Returns
        -------
        BinaryIO
            Buffered, readable once; nothing is unpacked before it is read.
        """
        if self.content is not None:
            opened = [io.BytesIO(self.content)]
            return io.BufferedReader(BoundedStream(self.name, opened, len(self.content)), PIECE_BYTES)
        packed = self.path.stat().st_size
        opened: list = []
        if self.member is not None:
            archive = zipfile.ZipFile(self.path)
            info = archive.getinfo(self.member)
            # The declared sizes are checked before a byte is unpacked. A zip that declares too little is harmless:
            # zipfile reads no more than declared and then finds the checksum wrong.
            check_unpacked(self.name, info.file_size, info.compress_size)
            try:
                raw: BinaryIO = archive.open(info)  # type: ignore[assignment]
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
                raise InputError(
                    f"Got {self.name} in a damaged zip or one with a password, need a whole one; fetch it again."
                ) from error
            packed = info.compress_size
        else:
            raw = open(self.path, "rb")  # noqa: SIM115 - closed by the stream that reads it
        opened.append(raw)
        if self.member.lower().endswith(".gz") if self.member else has_magic(self.path, GZIP_MAGIC):
            raw = gzip.GzipFile(fileobj=raw)  # type: ignore[assignment]
            opened.append(raw)
        if self.member is not None:
            opened.insert(0, archive)
        return io.BufferedReader(BoundedStream(self.name, opened, packed), PIECE_BYTES)


def as_paths(path: str | Path | list[str | Path]) -> Path | list[Path]:
    """The path or paths of one tower's data; of a folder those of its files.

    Parameters
    ----------
    path : str, Path or list of them
        As a user gives them.

    Raises
    ------
    InputError
        Where a list is empty, or a folder has no tower or several.
    """
    if isinstance(path, list | tuple):
        if not path:
            raise InputError("Got an empty list of tower files, need one at least; add it.")
        return [Path(one).expanduser() for one in path]
    path = Path(path).expanduser()
    if not path.is_dir():
        return path
    if not any(SITE.search(one.name) for one in path.rglob("*")):
        # Nothing but years: 2017.csv, 2018.csv of one tower.
        suffixes = (*TEXT_SUFFIXES, *PARQUET_SUFFIXES, ".nc")
        tables = sorted(one for one in path.iterdir() if one.name.lower().endswith(suffixes))
        # Of one product: else nothing says that all are of one tower.
        if tables and len({product(one.name) for one in tables}) == 1:
            return tables
    by_site = files(path)
    if len(by_site) > 1:
        raise InputError(
            f"Got the folder {path} with files of {len(by_site)} towers ({', '.join(list(by_site)[:3])}), need one;"
            " name a file, or make entries of them all by `fluxlens catalog towers`."
        )
    return next(iter(by_site.values()))


def label(path: Path | list[Path]) -> str:
    """What a file, or the folder of several, is called in messages.

    Parameters
    ----------
    path : Path or list of Path
        As of ``as_paths``.
    """
    return path.name if isinstance(path, Path) else path[0].parent.name


def product(name: str) -> str:
    """The name of a table without its years: the same for all years of one product.

    NetCDF of weather and of fluxes are one product.

    Parameters
    ----------
    name : str
        Of a file, without folders.
    """
    return YEARS.sub("", MET_OR_FLUX.sub("", name))


def candidates(path: Path | list[Path], resolutions: tuple[str, ...] = DAILY_FIRST) -> list[DataFile]:
    """The tables of a file that may carry the data, best first.

    Parameters
    ----------
    path : Path or list of Path
        A ``.csv``, a ``.gz`` or a zip; or several of one tower.
    resolutions : tuple of str
        Codes of time steps in the order they are wanted; members of a zip with another code are no candidates.

    Returns
    -------
    list of DataFile
        At least one.

    Raises
    ------
    InputError
        Where there is no file, none of the members is a data file, or they are of several towers.
    """
    if isinstance(path, list):
        return [file for one in path for file in candidates(one, resolutions)]
    if not path.is_file():
        raise InputError(f"Got {path}, which is no file, need a tower file (.csv or .zip); check the path.")
    # By its content: downloads lose their suffix.
    if not zipfile.is_zipfile(path):
        return [DataFile(re.sub(r"\.gz$", "", path.name, flags=re.IGNORECASE), path)]
    if is_workbook(path):
        return [DataFile(path.name, path, content=workbook.to_csv(path.read_bytes(), path.name).encode())]
    members = _members(path, resolutions)
    if not members:
        raise InputError(
            f"Got {path.name} without a *_{resolutions[0]}_*.csv in it, need a tower's zip; fetch the full set."
        )
    # Reading one of several towers would be a guess.
    towers = sorted({site[1] for file in members if (site := SITE.search(file.name))})
    if len(towers) > 1:
        raise InputError(
            f"Got {path.name} with {len(towers)} towers in it ({', '.join(towers[:3])}), need one; unpack"
            " it and give the"
            " file of one tower."
        )
    return members


def _members(path: Path, resolutions: tuple[str, ...]) -> list[DataFile]:
    """The data files of a zip, best first."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"Got {path.name}, a damaged zip, need a whole one; fetch it again.") from error
    if len(names) > MAX_MEMBERS:
        raise InputError(
            f"Got {path.name} with {len(names)} files in it, need a tower's zip; unpack it and give one."
        )
    ranked = []
    for member in names:
        name = member.rsplit("/", 1)[-1]
        if not name.lower().endswith(TEXT_SUFFIXES) or NO_DATA.search(name) or name.startswith("."):
            continue
        # The resolution in the name only orders the candidates; the stamps tell the truth later.
        code = RESOLUTION.search(name)
        # ICOS names its half-hours of wind and turbulence by their content: ..._FLUXES_L2.csv.
        is_fluxes = bool(ICOS_FLUXES.search(name)) and code is None
        if not (is_fluxes and "HH" in resolutions) and (code is None or code[1] not in resolutions):
            continue
        step = resolutions.index(code[1]) if code else len(resolutions)
        # FLUXNET before BASE, days before half-hours, the full set before the subset.
        rank = (bool(BASE.search(name)), step, "_SUBSET_" in name, name)
        ranked.append((rank, DataFile(re.sub(r"\.gz$", "", name, flags=re.IGNORECASE), path, member)))
    return [file for _, file in sorted(ranked, key=lambda pair: pair[0])]


def files(folder: str | Path) -> dict[str, Path | list[Path]]:
    """The best tower file of each site in a folder and the folders below it.

    Parameters
    ----------
    folder : str or Path
        Where the downloads lie: ``.csv``, ``.csv.gz``, ``.parquet``, ``.zip`` and ``.nc`` with the site's code in their
        name; ``.txt`` and ``.tsv`` with columns of GPP.

    Returns
    -------
    dict of str to Path or list of Path
        By site, in order: daily before finer before coarser steps, a zip by the best file in it; a list where files
        hold the years of one product; of several products of one step that with the most years, of the same years the
        last by its name, which ends in the version. AmeriFlux BASE comes last, and only where it has GPP of the site's
        team; one warning names the sites that have nothing else.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"Got {folder}, which is no folder, need one with tower files; check the path.")
    candidates, left_out = _candidates_of(folder)
    best, not_taken = {}, {}
    for site, of_site in candidates.items():
        rank = min(one.rank for one in of_site)
        products: dict[str, list[_Candidate]] = {}
        for one in of_site:
            if one.rank == rank:
                products.setdefault(one.product, []).append(one)
        best[site] = products.pop(
            # The product of most years; of as many the last by name, since releases count up in it.
            max(products, key=lambda name: (_count_years(_periods(products[name])), name))
        )
        not_taken[site] = sorted(one.name for group in products.values() for one in group)
    # Named only where no other file of the site serves.
    missed = {site: why for site, why in left_out.items() if site not in best}
    listed = ", ".join(f"{site} ({why})" for site, why in list(missed.items())[:5])
    if not best:
        raise InputError(
            f"Got {folder} without tower files{f' but {listed}' if missed else ''}, need such as"
            " FLX_SITE_..._DD_....csv or .zip; choose another."
        )
    if missed:
        warnings.warn(f"{len(missed)} sites of {folder.name} left out: {listed}", DataWarning, stacklevel=2)
    _warn_of_others(folder, candidates, best, not_taken)
    by_site = {site: [one.path for one in of_site] for site, of_site in sorted(best.items())}
    return {site: paths if paths[1:] else paths[0] for site, paths in by_site.items()}


@dataclass(frozen=True)
class _Candidate:
    """A file that may serve a site."""

    path: Path
    name: str
    """Of its table, which may be in a zip."""
    rank: tuple
    """The least serves best."""
    product: str
    """Files of one product are joined."""


def _candidates_of(folder: Path) -> tuple[dict[str, list[_Candidate]], dict[str, str]]:
    """By site the files in a folder that may serve it, and why those cannot that would be expected to."""
    candidates: dict[str, list[_Candidate]] = {}
    left_out: dict[str, str] = {}
    tables_of_size: dict[tuple[str, int], list[DataFile]] = {}
    for path in sorted(folder.rglob("*")):
        site = SITE.search(path.name)
        if not (site and path.name.lower().endswith(DATA_SUFFIXES) and path.is_file()):
            continue
        described = _describe_file(path)
        if described is None:
            continue
        table, why = described
        if why:
            left_out.setdefault(site[1], why)
            continue
        # A table beside the zip it was unpacked from is there once; years of one size may differ in content alone.
        name = table.name
        same = tables_of_size.setdefault((name, _table_bytes(table)), [])
        if same and _checksum(table) in map(_checksum, same):
            continue
        same.append(table)
        # Of several files of one site the most useful one, whatever the order in the folder.
        code = RESOLUTION.search(name)
        step = DAILY_FIRST.index(code[1]) if code else len(DAILY_FIRST)
        rank = (bool(BASE.search(name)), step, "_SUBSET_" in name)
        candidates.setdefault(site[1], []).append(_Candidate(path, name, rank, product(name)))
    return candidates, left_out


def _warn_of_others(
    folder: Path,
    candidates: dict[str, list[_Candidate]],
    best: dict[str, list[_Candidate]],
    not_taken: dict[str, list[str]],
) -> None:
    """Warn of sites of which other products hold other years than the one taken, or are other versions of it."""
    # One product of a site is taken: where others hold other years, or are versions of it, that is told.
    split, versions = {}, {}
    for site, of_site in candidates.items():
        if other := sorted(_periods(of_site) - _periods(best[site])):
            split[site] = f"{site} (not {', '.join(other)})"
        elif not_taken[site]:
            versions[site] = f"{best[site][0].name} (not {', '.join(not_taken[site][:3])})"
    for cases, what in (
        (split, "periods, of which one is taken"),
        (versions, "versions, of which one is taken"),
    ):
        if cases:
            listed = ", ".join(list(cases.values())[:5])
            warnings.warn(
                f"{len(cases)} sites of {folder.name} have files of several {what}: {listed}"
                + ("; years of one product are joined" if cases is split else ""),
                DataWarning,
                stacklevel=3,
            )


def _periods(candidates: list[_Candidate]) -> set[str]:
    """The years, such as 2018 and 2019-2021, that the names of tables tell."""
    return {text for one in candidates for text in YEARS.findall(one.name)}


def _count_years(periods: set[str]) -> int:
    """Different years of some periods."""
    spans = [[int(year) for year in re.split("[-_]", text)] for text in periods]
    return len({year for span in spans for year in range(span[0], span[-1] + 1)})


def _describe_file(path: Path) -> tuple[DataFile, str] | None:
    """The table of a file, of a zip its best member, and why it cannot be read, empty where it can.

    None where it is no tower's data, or of a step that is not read.
    """
    table, why = DataFile(path.name, path), ""
    if path.suffix.lower() == ".zip":
        try:
            members = _members(path, DAILY_FIRST)
        except InputError:
            return table, "a damaged zip"
        if not members:
            return table, "a zip without data"
        table = members[0]
    elif NO_DATA.search(path.name):
        return None
    if BASE.search(table.name) and not _has_team_gpp(table):
        why = "AmeriFlux BASE, without GPP"
    elif ICOS_FLUXES.search(table.name):
        why = "ICOS FLUXES, without partitioned GPP"
    # A NetCDF file has no step in its name; it is found when it is read.
    if why or path.suffix.lower() == ".nc":
        return table, why
    code = RESOLUTION.search(table.name)
    is_read = code[1] in DAILY_FIRST if code else True
    # Without a step in the name, or as a text of any kind, the columns decide.
    if not code or path.suffix.lower() in UNNAMED_SUFFIXES:
        is_read = is_read and _has_gpp(table)
    return (table, "") if is_read else None


def _table_bytes(file: DataFile) -> int:
    """Size of a table, unpacked where it lies in a zip."""
    if file.member is None:
        return file.path.stat().st_size
    with zipfile.ZipFile(file.path) as archive:
        return archive.getinfo(file.member).file_size


def _checksum(file: DataFile) -> int:
    """CRC-32 of a table, unpacked where it lies in a zip, which has it already."""
    if file.member is not None:
        with zipfile.ZipFile(file.path) as archive:
            return archive.getinfo(file.member).CRC
    checksum = 0
    with open(file.path, "rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            checksum = zlib.crc32(piece, checksum)
    return checksum


def _read_head(file: DataFile) -> bytes:
    """First bytes of a table; none where it cannot be unpacked."""
    try:
        with file.open() as stream:
            return stream.read(HEAD_BYTES)
    except InputError:
        return b""


def _has_gpp(file: DataFile) -> bool:
    """Whether the first line of a table, whose name does not tell its step, has a column of GPP."""
    if file.path.suffix.lower() in PARQUET_SUFFIXES:
        try:
            return any("GPP" in column.upper() for column in parquet_table.read_header(file.name, file.path))
        except InputError:
            return False
    # Without the zeros of UTF-16, its letters are those of any other text.
    return b"GPP" in _read_head(file).split(b"\n", 1)[0].replace(b"\0", b"").upper()


def _has_team_gpp(file: DataFile) -> bool:
    """Whether the header of an AmeriFlux BASE table, which lies below two lines of comments, has a column of GPP."""
    lines = _read_head(file).decode("utf-8", "replace").splitlines()
    header = next((line for line in lines if "TIMESTAMP_START" in line), "")
    return bool(team_gpp_columns([cell.strip(' "').upper() for cell in header.split(",")]))
