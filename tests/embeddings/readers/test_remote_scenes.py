"""Scenes at URLs: what is refused before anything is asked of a network, and what fsspec is told."""

import pytest
from fluxlens.embeddings.object_url import locate
from fluxlens.embeddings.readers import open_scene, remote
from fluxlens.models.errors import InputError


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("https://example.org/scene.zarr", {"anonymous": True}, "need them for a URL that starts with s3://"),
        ("s3://bucket/scene.zarr", {"secret": "x"}, "Got the storage options secret"),
        ("gs://bucket/scene.zarr", {"endpoint_url": "https://example.org"}, "need some of anonymous"),
        ("s3://bucket", None, "need s3://BUCKET/PATH"),
        ("az://container/scene.zarr", None, "need the package adlfs"),
    ],
)
def test_a_url_that_cannot_be_read_is_one_sentence(url, options, message, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=message):
        open_scene(url, options)


def test_options_and_environment_reach_fsspec_as_they_reach_a_store(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://localhost:9000")
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "true")
    place = locate("s3://bucket/a", {"region": "eu-central-1"})
    assert remote._fsspec_options(place) == {
        "anon": True,
        "endpoint_url": "http://localhost:9000",
        "client_kwargs": {"region_name": "eu-central-1"},
    }
    # An option comes before the environment.
    assert remote._fsspec_options(locate("s3://bucket/a", {"anonymous": False}))["anon"] is False
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "someone")
    assert remote._fsspec_options(locate("az://box/a")) == {"anon": False, "account_name": "someone"}
    assert remote._fsspec_options(locate("gs://box/a", {"anonymous": True})) == {"token": "anon"}
