"""The zone handler: case files for its diff, and what it hands to a driver."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from desired.zones import ZoneSpec
from handlers.dns import Dns, SeenZone, WantedZone, ZoneContext, abandoned, confirmed, rrchange
from handlers.records import WantedRecord
from state.change import Change, Note, Value
from state.drivers import Applied, Limits, RRChange, RRset
from state.zones import OwnedRecord, RecordId
from tests.casefile import AT

CASES = sorted((Path(__file__).parents[1] / "cases" / "dns").glob("*.yaml"))
ZONE = ZoneSpec.model_validate({"name": "example.net", "rfc2136": {"server": "192.0.2.53"}})
Document = dict[str, dict[str, dict[str, list[str]]]]


def read(path: Path) -> tuple[WantedZone, SeenZone, dict[str, object]]:
    document = yaml.safe_load(path.read_text())
    wanted = {id_of(text): asked(text, told) for text, told in document.get("wanted", {}).items()}
    owned = {id_of(text): row(text, told) for text, told in document.get("owned", {}).items()}
    there = [
        RRset(*id_of(text), one.get("ttl", 300), frozenset(one["values"]), one.get("mark", ""))
        for text, one in document.get("there", {}).items()
    ]
    zone = WantedZone(ZONE, wanted, frozenset(document.get("kept", ())))
    return zone, SeenZone.of(there, owned, "ab12cd34", AT), document


def id_of(text: str) -> RecordId:
    type, name = text.split(" ")
    return name, type


def asked(text: str, told: dict[str, list[str]]) -> WantedRecord:
    keys = tuple(told.get("vms", ["web-1"]))
    return WantedRecord(*id_of(text), frozenset(told["values"]), keys)


def row(text: str, told: dict[str, list[str]]) -> OwnedRecord:
    held, pending = frozenset(told.get("held", ())), frozenset(told.get("pending", ()))
    keys = tuple(told.get("vms", ["web-1"]))
    return OwnedRecord(ZONE.id, *id_of(text), keys, held, pending, 300, AT)


def shown(value: Value) -> str:
    return ", ".join(value) if isinstance(value, tuple) else "none"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_zone_differs_as_its_case_says(path: Path) -> None:
    """C-18, DNS-07: create missing, change wrong, remove what is ours and gone."""
    zone, seen, case = read(path)
    found = list(Dns().diff(zone, seen))
    changes = [one for one in found if isinstance(one, Change)]
    told = [f"{one.field} {shown(one.old)} -> {shown(one.new)}" for one in changes]
    assert told == case.get("changes", [])
    notes = sorted(f"{n.subject} {n.condition}: {n.reason}" for n in found if isinstance(n, Note))
    assert notes == case.get("notes", [])
    assert {one.group for one in changes} <= {"zone example.net@rfc2136"}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_rows_follow_what_is_there(path: Path) -> None:
    zone, seen, case = read(path)
    rows = [f"{r.type} {r.name} {', '.join(sorted(r.held))}" for r in confirmed(zone, seen)]
    assert sorted(rows) == case.get("rows", [])
    assert sorted(f"{type} {name}" for name, type in abandoned(zone, seen)) == case.get("gone", [])


class Recording:
    """A driver that only notes what it was given, and answers that it is done."""

    limits = Limits()

    def __init__(self) -> None:
        self.given: list[RRChange] = []

    def check(self) -> str:
        return "fine"

    def serial(self) -> str | None:
        return None

    def read(self) -> tuple[RRset, ...]:
        return ()

    def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
        self.given += batch
        return [Applied(one) for one in batch]

    def close(self) -> None:
        return None


def test_a_driver_is_given_what_was_read_and_what_shall_be_with_our_mark() -> None:
    zone, seen, _ = read(CASES[0].with_name("wrong.yaml"))
    changes = [one for one in Dns().diff(zone, seen) if isinstance(one, Change)]
    driver = Recording()
    answers = Dns().apply(changes, ZoneContext(driver, zone, seen))
    assert [one.error for one in answers] == [None, None]
    first = driver.given[0]
    assert first.old == seen.records["web-1.example.net", "A"]
    mark = "reconcile ab12cd34 web-1"
    assert first.new == RRset("web-1.example.net", "A", 300, frozenset({"192.0.2.7"}), mark)


def test_a_removal_hands_over_what_was_read() -> None:
    zone, seen, _ = read(CASES[0].with_name("removed.yaml"))
    change = next(one for one in Dns().diff(zone, seen) if isinstance(one, Change))
    handed = rrchange(change, zone, seen)
    assert (handed.new, handed.old) == (None, seen.records["old.example.net", "A"])
    assert handed.rrset == handed.old


def test_a_change_of_nothing_into_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="nothing into nothing"):
        assert RRChange(None, None).rrset
