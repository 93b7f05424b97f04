"""What unpacks to more than a table is refused while it is unpacked, before it takes half a gigabyte."""

import gzip
import subprocess
import sys

import pytest
from fluxlens.embeddings import text_table, towers, unpacking
from fluxlens.models.errors import InputError

NAME = "FLX_XX-Abc_FLUXNET2015_FULLSET_HH_2019-2019_1-4.csv.gz"
COLUMNS = [
    f"GPP_{method}_{kind}_{share}"
    for method in ("NT", "DT")
    for kind in ("VUT", "CUT")
    for share in ("REF", "05", "16", "25", "50", "75", "84", "95")
]
HEADER = ("TIMESTAMP_START," + ",".join([*COLUMNS, "TA_F"]) + "\n").encode()
ROW = b"201901010000" + b",1.5" * (len(COLUMNS) + 1) + b"\n"
BOMBS = {
    "rows": (ROW * 5000, "800,000 rows"),
    "a line": (b"0" * 2**20, "a line without an end"),
    "a quote": (b'"' + ROW * 5000, "a quote that is not closed"),
    "a quote within a cell before one": (b'"' + ROW * 5000, "a quote that is not closed"),
    "zeros": (b"\0" * 2**20, "a line without an end"),
    "empty lines": (b"\n" * 2**20, "800,000 rows"),
}
MEASURE = """
import resource, sys, warnings
from fluxlens.embeddings import towers
import pandas, xarray
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    towers.read(sys.argv[1])
except ValueError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("told_by", BOMBS)
def test_two_gigabytes_in_a_small_gzip_take_less_than_half_a_gigabyte(tmp_path, told_by):
    piece, message = BOMBS[told_by]
    path = tmp_path / NAME
    start = HEADER
    if "within" in told_by:
        # An inch mark is no quote: a count of quotes would take the next one for its end.
        start += ROW.replace(b"1.5\n", b'5"\n') + ROW[: ROW.rindex(b",") + 1]
    # the quote is opened once; every later piece is within it
    rest = piece.removeprefix(b'"')
    # A gzip file may have many members: one is packed and written again and again, which takes no time.
    member, size = gzip.compress(rest * (2**24 // len(rest)), 1), 2**24 // len(rest) * len(rest)
    with path.open("wb") as stream:
        stream.write(gzip.compress(start + piece))
        for _ in range(2**31 // size):
            stream.write(member)
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    sentence, mib = run.stdout.strip().splitlines()
    assert message in sentence
    assert int(mib) < 512


def test_a_packed_table_that_is_held_whole_has_a_bound(monkeypatch):
    with pytest.raises(InputError, match="200 times its packed size"):
        text_table.read_text_table(gzip.compress(b"id,date\n" * 2**23 + b"x"), "table.csv.gz")
    monkeypatch.setattr(unpacking, "MAX_IN_MEMORY_BYTES", 2**20)
    rows = "id,date,B04\n" + "".join(f"p{n},2019-05-12,{n}\n" for n in range(80_000))
    with pytest.raises(InputError, match="unpacks to more than 1 MiB"):
        text_table.read_text_table(gzip.compress(rows.encode()), "table.csv.gz")


def test_quotes_and_long_headers_of_real_files_pass(tmp_path):
    path = tmp_path / NAME
    columns = ["TIMESTAMP", "GPP_NT_VUT_REF", "NOTE", *(f"X_{n}" for n in range(5000))]
    rows = [",".join(columns)]
    rows += [f'201905{day:02d},3,"a ""quoted"", long note"' + ",1" * 5000 for day in range(1, 31)]
    text = "\n".join(rows)
    for end in ("\n", "\r\n"):
        path.write_bytes(gzip.compress(text.replace("\n", end).encode()))

        assert (towers.read(path)["gpp_nt"] == 3).all()
