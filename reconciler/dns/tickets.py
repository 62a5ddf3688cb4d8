"""Reverse names that no zone of the fleet takes: somebody is asked for them, once (DNS-11)."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from desired.zones import ZoneSpec
from handlers.records import Named, placeless
from state.store import Store

EVENT = "rdns_ticket"
"""The event that a ticket is made of."""


def ask_by_ticket(
    store: Store, zones: Mapping[str, ZoneSpec], vms: Iterable[Named], at: datetime
) -> int:
    """Write an event for each address and name that is new; return how many there were."""
    written = 0
    for vm in vms:
        department = vm.spec.dns.ticket if vm.spec.dns else None
        for record in placeless(zones, vm) if department else ():
            (name,) = record.values
            detail = {"address": record.address, "name": name, "department": department}
            occurrence = f"{EVENT}/{vm.spec.key}/{record.address}/{name}"
            written += store.outbox.add(EVENT, vm.spec.key, at, detail, occurrence)
    return written
