"""One sentence stays one sentence, whatever the input quoted in it."""

from fluxlens.models.errors import InputError


def test_a_very_long_value_is_shortened_and_an_ordinary_message_stays():
    said = str(InputError(f"Got '{'x' * 5000}' in the column, need a number; correct it."))
    assert len(said) < 200
    assert said.startswith("Got 'xxx")
    assert said.endswith("need a number; correct it.")
    path = "/".join(["folder"] * 40)
    assert path in str(InputError(f"Got {path}, which does not exist; check it."))
