"""Every config key has exactly one owner, and every handler stands by its name."""

import re

import pytest

from desired.owned import OWNED, is_owned
from handlers.handler import Subject
from reconciler.registry import vm_handlers

HANDLERS = vm_handlers()
PATTERNS = [(handler.name, pattern) for handler in HANDLERS for pattern in handler.keys]


def sample(pattern: str) -> str:
    return pattern.replace(r"\d+", "3")


@pytest.mark.parametrize(("name", "pattern"), PATTERNS)
def test_a_key_has_one_owner(name: str, pattern: str) -> None:
    key = sample(pattern)
    assert [owner for owner, other in PATTERNS if re.fullmatch(other, key)] == [name]


def test_the_passthrough_may_name_no_owned_key() -> None:
    assert all(is_owned(sample(pattern)) for _, pattern in PATTERNS)
    assert {sample(pattern) for pattern in OWNED} == {sample(pattern) for _, pattern in PATTERNS}


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.name)
def test_a_handler_s_file_class_and_name_agree(handler: object) -> None:
    kind = type(handler)
    name = getattr(handler, "name")  # noqa: B009
    assert kind.__module__ == f"handlers.{name}"
    assert kind.__name__.lower() == name
    assert getattr(handler, "subject") is Subject.VM  # noqa: B009


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.name)
def test_a_handler_s_docstring_says_what_it_owns_and_its_risk(handler: object) -> None:
    text = type(handler).__doc__ or ""
    assert "Own" in text and "Risk:" in text


def test_all_aspects_come_after_the_vm_itself_and_the_start_after_all_it_needs() -> None:
    after = {handler.name: set(handler.after) for handler in HANDLERS}
    blocking = {handler.name for handler in HANDLERS if handler.blocking}
    assert all("exists" in names for name, names in after.items() if name != "exists")
    assert after["power"] == blocking - {"power"}
