"""Verbs of a spec: a token, and what each takes besides."""

import pytest
from pydantic import ValidationError

from desired.spec import VMSpec
from desired.verbs import Do


def spec(**do: object) -> VMSpec:
    return VMSpec.model_validate({"key": "a", "cluster": "lab", "name": "a", "do": do})


def test_a_token_alone_stands_for_the_verb_be_it_text_or_number() -> None:
    do = spec(suspend=7, reinstall="ticket-42", snapshot="gold").do
    assert do is not None
    assert [(verb, one.token, one.params) for verb, one in do.asked()] == [
        ("suspend", "7", {}),
        ("reinstall", "ticket-42", {}),
        ("snapshot", "gold", {}),
    ]


def test_a_map_says_more_and_null_takes_an_inherited_verb_away() -> None:
    asked = {"token": "t", "storage": "ceph", "disk": "scsi1"}
    do = spec(move=asked, suspend=None, snapshot={"token": "t", "vmstate": True}).do
    assert do is not None
    assert [(verb, one.params) for verb, one in do.asked()] == [
        ("snapshot", {"vmstate": True}),
        ("move", {"storage": "ceph", "disk": "scsi1"}),
    ]


def test_a_spec_with_verbs_comes_back_from_its_document() -> None:
    kept = spec(rollback={"token": "t", "name": "gold"}, move={"token": "t", "node": "pve2"})
    assert VMSpec.model_validate_json(kept.document()) == kept


@pytest.mark.parametrize(
    "wrong",
    [
        {"explode": "t"},
        {"suspend": ""},
        {"rollback": "t"},
        {"move": {"token": "t"}},
        {"move": {"token": "t", "node": "pve1", "storage": "ceph"}},
        {"move": {"token": "t", "node": "pve1", "disk": "scsi1"}},
        {"snapshot": {"token": "t", "name": "no name"}},
    ],
)
def test_what_no_verb_takes_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Do.model_validate(wrong)
