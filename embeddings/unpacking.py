"""Bounds on what packed files unpack to, for every reader of text: bytes, ratio, rows and the length of a row.

Bytes are counted while they are unpacked, in pieces, since a gzip file declares no size and a zip may declare too
little. A parser holds a row whole, so that a row without an end would take as much memory as the file. Whether a line
ends a row depends on the quotes before it as the parser understands them, so rows are not looked for here: the parser
says when it has finished some, and between two such times a stream gives a bounded number of bytes.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from fluxlens.models.errors import InputError

MAX_UNPACKED_BYTES = 1536 * 2**20
"""Of a table that is streamed: forty years of half-hours with the 240 columns of a full set are about 1.2 GB."""

MAX_IN_MEMORY_BYTES = 256 * 2**20
"""Of a packed table that is read whole; text takes several times its size in memory while it is split."""

MAX_RATIO = 200
"""Numbers as text pack 5 to 20 times, columns of nothing but -9999 some 100 times; DEFLATE ends at 1032."""

FREE_BYTES = 64 * 2**20
"""Below, any ratio is harmless, and short files may pack well."""

MAX_ROWS = 800_000
"""Half-hours of 45 years, 10-minute steps of 15: above it the table is no tower's."""

CELLS_AT_ONCE = 2**18
"""Of the rows that a parser finishes at a time."""

MAX_BYTES_AT_ONCE = 64 * 2**20
"""For these cells, at least one row: 256 bytes a cell, where numbers take 5 to 20."""

SPARE_LINES = 1000
"""Comments and headers, beside the rows."""

NOTES = re.compile(r"(?i)(read_?me|licen[cs]e|metadata|citation)\b")
"""Texts beside the tables of a download."""

ZIP_MAGIC, GZIP_MAGIC = b"PK\x03\x04", b"\x1f\x8b"
"""First bytes of packed files: downloads lose their suffix."""

PIECE_BYTES = 2**20
"""Unpacked at a time: small reads of a gzip stream are slow."""


def check_unpacked(name: str, unpacked: int, packed: int, at_most: int = MAX_UNPACKED_BYTES) -> None:
    """InputError where a file unpacks to more than a bound, or is packed as no numbers pack.

    Parameters
    ----------
    name : str
        Of the file, for the message.
    unpacked, packed : int
        Bytes, as declared or as counted up to now.
    at_most : int
        Bound of ``unpacked``.
    """
    if unpacked > at_most:
        raise InputError(
            f"Got {name}, which unpacks to more than {at_most // 2**20} MiB, need less; give a shorter period or the"
            " daily (DD) file."
        )
    if unpacked > FREE_BYTES and unpacked > MAX_RATIO * max(packed, 1):
        raise InputError(
            f"Got {name}, which unpacks to more than {MAX_RATIO} times its packed size, need a table of numbers; check"
            " where the file comes from."
        )


def has_magic(path: str | Path, magics: bytes | tuple[bytes, ...]) -> bool:
    """Whether a file begins with some bytes.

    Parameters
    ----------
    path : str or Path
        Of a file.
    magics : bytes or tuple of bytes
        One or several, of at most 4 bytes, such as ``ZIP_MAGIC``.
    """
    with open(path, "rb") as stream:
        return stream.read(4).startswith(magics)


def unpack_gzip(content: bytes, name: str) -> bytes:
    """The bytes of a gzip file that is held whole, within ``MAX_IN_MEMORY_BYTES`` and ``MAX_RATIO``.

    Parameters
    ----------
    content : bytes
        The packed file.
    name : str
        Of the file, for messages.

    Raises
    ------
    InputError
        Past a bound, or where the file is damaged.
    """
    pieces, count = [], 0
    try:
        # Piece by piece: a small file may unpack to a thousand times its size, and is refused before it is in memory.
        with gzip.open(io.BytesIO(content)) as packed:
            while piece := packed.read(PIECE_BYTES):
                count += len(piece)
                check_unpacked(name, count, len(content), MAX_IN_MEMORY_BYTES)
                pieces.append(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"Got {name}, a damaged gzip file, need a whole one; fetch it again.") from error
    return b"".join(pieces)


def unpack_zip(source: bytes | Path, name: str, endings: tuple[str, ...]) -> tuple[str, bytes]:
    """The only table of a zip, within ``MAX_IN_MEMORY_BYTES`` and ``MAX_RATIO``.

    Parameters
    ----------
    source : bytes or Path
        The zip.
    name : str
        Of the file, for messages.
    endings : tuple of str
        Of tables, in small letters; other members, such as notes, are passed over.

    Returns
    -------
    tuple of str, bytes
        Name of the member without folders, and its content.

    Raises
    ------
    InputError
        Where there is no table in it or several, past a bound, or where it is damaged or has a password.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            info = archive.getinfo(_only_table(archive, name, endings))
            # The size that the zip declares; it cannot lie, since reading stops there.
            check_unpacked(name, info.file_size, info.compress_size, MAX_IN_MEMORY_BYTES)
            # zipfile reads no more than declared.
            return info.filename.rsplit("/", 1)[-1], archive.read(info)
    # RuntimeError is what zipfile raises for an encrypted member.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"Got {name}, a damaged zip or one with a password, need a whole one; unpack it."
        ) from error


def read_head(path: Path, name: str, endings: tuple[str, ...], count: int) -> bytes:
    """The first bytes of a table, unpacked where it is packed, without those behind them.

    Parameters
    ----------
    path : Path
        Of a text, a gzip file, or a zip of one table.
    name : str
        Of the file, for messages.
    endings : tuple of str
        As of ``unpack_zip``.
    count : int
        Bytes at most.

    Raises
    ------
    InputError
        As ``unpack_zip`` and ``unpack_gzip``.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(count)
        if head.startswith(ZIP_MAGIC):
            with (
                zipfile.ZipFile(path) as archive,
                archive.open(_only_table(archive, name, endings)) as member,
            ):
                head = member.read(count)
        # 31: with the header of gzip. It stops at ``count``, whatever the packed bytes would unpack to.
        return zlib.decompressobj(31).decompress(head, count) if head.startswith(GZIP_MAGIC) else head
    # RuntimeError is what zipfile raises for an encrypted member.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"Got {name}, a damaged zip or gz, or one with a password, need a whole one; unpack it."
        ) from error


def _only_table(archive: zipfile.ZipFile, name: str, endings: tuple[str, ...]) -> str:
    """The only member of a zip that is a table; InputError where there are several or none."""
    members = tables_of_zip(archive, endings)
    names = [member.rsplit("/", 1)[-1] for member in members]
    if len(members) != 1:
        listed = f" ({', '.join(names[:3])}{', ...' if names[3:] else ''})" if names else ""
        raise InputError(
            f"Got {name}, a zip with {len(names) or 'no'} tables in it{listed}, need one; unpack it and give"
            f" {'one of them' if names else 'a table'}."
        )
    return members[0]


def tables_of_zip(archive: zipfile.ZipFile, endings: tuple[str, ...]) -> list[str]:
    """Members of a zip that are tables by their endings; without hidden ones and what macOS adds.

    Parameters
    ----------
    archive : zipfile.ZipFile
        Opened.
    endings : tuple of str
        In small letters.
    """
    # The name without folders, beside the whole one.
    names = {name: name.rsplit("/", 1)[-1] for name in archive.namelist() if not name.startswith("__MACOSX/")}
    return [
        name
        for name, last in names.items()
        if last.lower().endswith(endings) and not last.startswith(".") and not NOTES.match(last)
    ]


class BoundedStream(io.RawIOBase):
    """Bytes of a text table, counted as they are read; InputError past a bound or where they are damaged.

    Parameters
    ----------
    name : str
        Of the table, for messages.
    opened : list of BinaryIO or ZipFile
        From the outside in; the last is read, and all are closed: none closes what it reads from.
    packed : int
        Bytes on disk.
    """

    def __init__(self, name: str, opened: list, packed: int) -> None:
        self._name, self._opened, self._packed = name, opened, packed
        self._raw: BinaryIO = opened[-1]
        # Rows are counted by line breaks: a quoted one counts too many, which ``SPARE_LINES`` allows for.
        self._count = self._lines = self._since_rows = 0

    def rows_are_done(self) -> None:
        """Called by a parser that has finished the rows it was given: it may take as many bytes again."""
        self._since_rows = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        try:
            data = self._raw.read(len(buffer))
        # RuntimeError is what zipfile raises for an encrypted member.
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise InputError(
                f"Got {self._name} in a damaged zip or gz, need a whole one; fetch it again."
            ) from error
        self._count += len(data)
        check_unpacked(self._name, self._count, self._packed)
        self._check_lines(data)
        buffer[: len(data)] = data
        return len(data)

    def _check_lines(self, data: bytes) -> None:
        """InputError for more lines than a table has rows, and for a line without an end."""
        self._lines += data.count(b"\n")
        if self._lines > MAX_ROWS + SPARE_LINES:
            raise InputError(
                f"Got {self._name} of more than {MAX_ROWS:,} rows, need a tower's half-hours or days; thin it."
            )
        self._since_rows += len(data)
        if self._since_rows > MAX_BYTES_AT_ONCE:
            raise InputError(
                f"Got {self._name} with more than {MAX_BYTES_AT_ONCE // 2**20} MiB for {CELLS_AT_ONCE:,} cells (a line"
                " without an end, or a quote that is not closed), need rows of numbers; fetch the file again."
            )

    def close(self) -> None:
        # The inner stream first: it may still read from the outer one while it closes.
        for stream in reversed(self._opened):
            stream.close()
        super().close()
