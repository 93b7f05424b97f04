"""What visitors of a served page read of the server's disk: nothing."""

import logging
from types import SimpleNamespace

import pytest
from fluxlens.app.views import visitor_text as module
from fluxlens.app.views.visitor_text import hide_folders, visitor_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Got the store /srv/data/nowhere, which does not exist.",
            "Got the store nowhere, which does not exist.",
        ),
        (
            "damaged (Object at location /srv/a/manifests/5YD not found: x)",
            "damaged (Object at location 5YD not found: x)",
        ),
        ("Got '/home/ada/my data/b c/d.nc', need", "Got 'd.nc', need"),
        ("Got file:///srv/a/x.zarr and /srv/b/", "Got x.zarr and a folder"),
        (r"Got C:\Users\ada\x.nc, or D:/data/y.nc", "Got x.nc, or y.nc"),
    ],
)
def test_of_a_path_the_last_part_is_shown(text, shown):
    assert hide_folders(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Got s3://bucket/key/x, need lat/lon or NaN / 0; gC m-2 / d.",
        "https://tile.org/{z}/{x}/{y}.png, and/or",
        "Got 3 of 4 places, need all inside; drag 1/2 px.",
    ],
)
def test_addresses_and_fractions_stay(text):
    assert hide_folders(text) == text


def test_a_served_page_hides_folders_and_its_log_has_them(monkeypatch, caplog):
    text = "Got the store /srv/data/nowhere, which does not exist."
    served = SimpleNamespace(session_context=object())
    for document, shown, logged in ((None, text, 0), (served, hide_folders(text), 1)):
        caplog.clear()
        monkeypatch.setattr(module, "pn", SimpleNamespace(state=SimpleNamespace(curdoc=document)))
        with caplog.at_level(logging.WARNING):
            assert visitor_text(text) == shown
        assert len(caplog.records) == logged
        assert all("/srv/data/nowhere" in record.getMessage() for record in caplog.records)
