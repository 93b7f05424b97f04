"""Bytes of text files as text: byte order marks, UTF-16 without one, UTF-8, and cp1252 of Windows."""

from __future__ import annotations

from fluxlens.models.errors import InputError

HEAD_BYTES = 2**18
"""Bytes that tell an encoding; a header of 3000 columns fits."""
# First bytes of zip (also .xlsx), HDF5, NetCDF 3 and the older workbooks.
_BINARY = (b"PK\x03\x04", b"\x89HDF", b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\xd0\xcf\x11\xe0")


def encoding_of(head: bytes) -> str:
    """Encoding of a text by its byte order mark, by its zeros, or by being UTF-8; else that of Windows.

    Parameters
    ----------
    head : bytes
        The first bytes of the text, or all; a character cut at the end of ``HEAD_BYTES`` is no fault.

    Returns
    -------
    str
        ``utf-8-sig``, ``utf-16``, ``utf-16-le``, ``utf-16-be``, ``utf-8`` or ``cp1252``.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    # Without a mark, every other byte of Latin text in UTF-16 is zero.
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = head[first:400:2]
        if len(head) > 3 and half.count(0) > 0.9 * len(half):
            return encoding
    try:
        # A character has at most four bytes; where the head was cut, its last one may be half.
        (head[:-4] if len(head) == HEAD_BYTES else head).decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) != HEAD_BYTES or error.start < len(head) - 8:
            # cp1252 accepts almost any bytes, so it comes last
            return "cp1252"
    return "utf-8"


def decode_text(content: bytes, what: str) -> tuple[str, str]:
    """Text of a file's bytes, and its encoding: UTF-16 and UTF-8 by their marks, else UTF-8, else cp1252.

    Parameters
    ----------
    content : bytes
        The whole file.
    what : str
        The file in words, for messages.

    Returns
    -------
    text, encoding : str
        With line feeds as line ends; as ``encoding_of`` names it.

    Raises
    ------
    InputError
        If the bytes are no text of these encodings.
    """
    if content.startswith(_BINARY):
        raise InputError(
            f"Got {what}, a binary file (workbook, archive or NetCDF), need text; save it as CSV."
        )
    encoding = encoding_of(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        # As if it held a null character, which no text does: one refusal for both below.
        text = "\0"
    if "\0" in text:
        raise InputError(f"Got {what}, which is not text, need a CSV; export it again as CSV (UTF-8).")
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding
