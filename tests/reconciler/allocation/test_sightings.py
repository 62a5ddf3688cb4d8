"""Where addresses were seen in use."""

from dataclasses import replace

import msgspec

from reconciler.allocation import sightings as room
from reconciler.allocation.sightings import Use, addresses_of, sightings, strangers
from state.cache import CachedVM
from state.machine import Machine
from state.observed import SeenFirewall
from state.store import Store
from tests.engine import AT, binding, config, machine, pending, view, vm


def test_addresses_stand_in_cloud_init_live_or_pending_and_in_the_sets() -> None:
    """IP-11, FW-02"""
    both = config({"ipconfig0": "ip=192.0.2.3/24"}, ipconfig0="ip=192.0.2.4/24,ip6=2001:DB8::4/64")
    sets = {
        "ipfilter-net0": ("192.0.2.5", "10.0.0.0/8", "2001:db8::7/128"),
        "blocked": ("9.9.9.9",),
    }
    found = addresses_of(Machine(both, SeenFirewall({}, (), sets)))
    assert list(found) == [
        ("192.0.2.3", "ipconfig0"),
        ("192.0.2.4", "ipconfig0"),
        ("192.0.2.5", "ipfilter-net0"),
        ("2001:db8::4", "ipconfig0"),
        ("2001:db8::7", "ipfilter-net0"),
    ]


def test_dhcp_and_what_cannot_be_read_name_no_address() -> None:
    assert list(addresses_of(machine(ipconfig0="ip=dhcp,ip6=auto"))) == []
    assert list(addresses_of(machine(ipconfig0="ip=192.0.2.3/24,bad=1"))) == []
    assert list(addresses_of(Machine(problem="not read"))) == []


def test_vms_count_that_are_there_and_known_but_no_templates() -> None:
    """Ours or not; what was cached of a VM that has gone counts for nothing."""
    store = Store.temporary(at=AT)
    store.bindings.bind(binding("web-1", 101))
    raw = msgspec.json.encode(pending(ipconfig0="ip=192.0.2.7/24")).decode()
    for vmid in (301, 302, 400):
        store.cache.put("demo", CachedVM(vmid, raw, read_at=AT), begun_at=AT)
    store.cache.mark_dirty("demo", 303, AT)
    rows = [vm(101), vm(301), vm(303), vm(304), replace(vm(400), template=True)]
    read = {101: machine(ipconfig0="ip=192.0.2.3/24")}
    assert sightings(store, view(rows), read) == {
        "192.0.2.3": (Use("demo", 101, "ipconfig0", "web-1"),),
        "192.0.2.7": (Use("demo", 301, "ipconfig0"),),
    }


def test_so_many_strangers_are_read_at_most() -> None:
    rows = [vm(200 + number) for number in range(room.STRANGERS + 5)]
    found = strangers(view([*rows, replace(vm(100), template=True)]), {200, 201})
    assert found == set(range(202, 202 + room.STRANGERS))
