"""No number without its data, split and baselines: the facts stand in the JSON and above the table."""

from fluxlens.embeddings.evaluation.protocol import Protocol, describe_weights
from fluxlens.models import checkpoints


def test_facts_come_before_the_numbers_and_above_the_table():
    facts = Protocol("two scenes", "each by the other", "linear interpolation")
    numbers, table = facts.attach({"a_rmse": 0.5, "split": "as before"}, "rows")
    # What an evaluation names itself stays; what is not known is left out.
    assert list(numbers) == ["data", "split", "baselines", "a_rmse"]
    assert numbers["split"] == "as before"
    assert table.splitlines() == [
        "data:      two scenes",
        "split:     each by the other",
        "baselines: linear interpolation",
        "",
        "rows",
    ]


def test_weights_are_described_by_what_they_were_trained_on():
    model = checkpoints.load("default", "cpu")
    said = describe_weights(model)
    card = model.identity.card
    assert said.startswith(f"{model.identity.name} {model.identity.digest}, trained without labels on ")
    assert all(name in said for name in card["measured_folders"])
