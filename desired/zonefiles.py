"""The zones of a fleet's folder, read from `zones/`: what is usable, and what is not and why."""

import re
from collections.abc import Iterable

from pydantic import ValidationError

from desired.document import Document
from desired.hostnames import dotless
from desired.report import Fault, Report
from desired.shelf import Entry, Shelf, shelve
from desired.wording import Wrong, dotted, wrongs
from desired.zones import ZONE_HIDDEN, ZoneSpec, zone_wrong

ZONE_KEY = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_./-]{0,253}(@[A-Za-z0-9][A-Za-z0-9_-]{0,39})?$")
BAD_KEY = "expected a zone's name such as example.net, or NAME@LABEL"


def read_zones(documents: Iterable[Document], report: Report) -> dict[str, ZoneSpec]:
    """Return the sound zones by id; what is wrong with others is reported.

    A zone that is left out keeps every record that it has.
    """
    shelf = shelve(documents, report, name=ZONE_KEY, bad_name=BAD_KEY)
    zones: dict[str, ZoneSpec] = {}
    places: dict[str, Entry] = {}
    for entry in shelf.entries.values():
        zone, found = _zone(entry)
        for wrong in found:
            _report(shelf, entry, wrong, report)
        if zone is None:
            continue
        first = places.setdefault(zone.id, entry)
        if first is not entry:
            message = f"the zone {zone.id} stands here twice, first at {first.place()}"
            hint = f"{message}; tell them apart by a label: {zone.name}@LABEL"
            _report(shelf, entry, Wrong((), hint, at_key=True), report)
        else:
            zones[zone.id] = zone
    return dict(sorted(zones.items()))


def _zone(entry: Entry) -> tuple[ZoneSpec | None, list[Wrong]]:
    """Return the zone of an entry, or what is wrong with it."""
    name, _, label = entry.key.partition("@")
    tree = entry.tree
    if isinstance(tree, dict):
        hidden = [Wrong((one,), "unknown key", at_key=True) for one in ZONE_HIDDEN if one in tree]
        if hidden:
            return None, hidden
        wrong = None if "name" in tree else zone_wrong(dotless(name))
        if wrong:
            return None, [Wrong((), f"{wrong}, seen {name!r}", at_key=True)]
        tree = {"name": name, **tree, "label": label}
    try:
        return ZoneSpec.model_validate(tree), []
    except ValidationError as error:
        found = wrongs(error, tree, ZoneSpec, ZONE_HIDDEN)
        return None, list(found)


def _report(shelf: Shelf, entry: Entry, wrong: Wrong, report: Report) -> None:
    place = entry.place(wrong.path, wrong.at_key)
    fault = Fault(place, dotted((entry.key, *wrong.path)), wrong.message, shared=True)
    shelf.broken.setdefault(entry.key, fault)
    report.add(fault)
