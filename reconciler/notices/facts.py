"""What a letter knows of a VM and of what happened to it: the values of its variables."""

from collections.abc import Mapping
from datetime import datetime

from desired.notices import FOR_OWNER, Kind, Told
from desired.source import Fleet
from desired.spec import VMSpec
from state.api import Json
from state.memory import Lease
from state.notices import Notice
from state.store import Store


def told_of(fleet: Fleet, key: str) -> Told:
    """Who is told of a VM and how: its own say over the fleet's."""
    spec = fleet.vms.get(key)
    own = spec.notices if spec and spec.notices else Told()
    return own.over(fleet.notices)


def facts(store: Store, fleet: Fleet, notice: Notice, password: str = "") -> dict[str, object]:
    """Return every variable of a letter. What an event itself says goes before the store."""
    key, detail = notice.key, notice.detail
    memory, spec = store.memories([key])[key] if key else None, fleet.vms.get(key)
    binding = memory.binding if memory else None
    told = told_of(fleet, key)
    found = _addresses(memory.leases if memory else (), spec, detail)
    name = _text(detail, "name") or (binding.name if binding else spec.name if spec else "")
    return {
        "event": notice.event,
        "kind": notice.kind,
        "at": show_moment(notice.at, fleet),
        "text": _words(detail),
        "fleet": fleet.name,
        "vm": key,
        "name": name,
        "fqdn": (spec.fqdn if spec else None) or "",
        "cluster": binding.cluster if binding else spec.cluster if spec else "",
        "node": _text(detail, "node") or (binding.node if binding else None) or "",
        "vmid": binding.vmid if binding else _whole(detail, "vmid"),
        "package": (spec.package if spec else None) or "",
        "addresses": found,
        "ipv4": [one for one in found if ":" not in one],
        "ipv6": [one for one in found if ":" in one],
        "user": _text(detail, "user") or _user(store, spec, key),
        "password": password,
        "contact": told.contact or "",
        "owner": told.owner or "",
    }


def recipient_of(told: Told, kind: Kind) -> str:
    """The address that a kind of notice goes to; empty when there is none."""
    return (told.owner if kind in FOR_OWNER else told.contact) or ""


def show_moment(at: datetime, fleet: Fleet) -> str:
    return at.astimezone(fleet.schedule.zone).strftime("%Y-%m-%d %H:%M %Z")


def _addresses(
    leases: tuple[Lease, ...], spec: VMSpec | None, detail: Mapping[str, Json]
) -> list[str]:
    told = detail.get("addresses")
    if isinstance(told, list):
        return [str(one) for one in told]
    found = [one.address for one in leases]
    for nic in spec.nics.values() if spec else ():
        for family in (nic.ipv4, nic.ipv6):
            if family and family.static:
                found.append(str(family.static.ip))
    return found


def _user(store: Store, spec: VMSpec | None, key: str) -> str:
    named = spec.cloudinit.user if spec and spec.cloudinit else None
    if named != "random":
        return named or ""
    drawn = store.vault.reveal(key, "user")
    return drawn.reveal() if drawn else ""


def _words(detail: Mapping[str, Json]) -> str:
    """What an event says in words, under the names that events have for it."""
    said = [_text(detail, name) for name in ("field", "text", "why", "error")]
    return ": ".join(filter(None, said))


def _text(detail: Mapping[str, Json], name: str) -> str:
    value = detail.get(name)
    return value if isinstance(value, str) else ""


def _whole(detail: Mapping[str, Json], name: str) -> int:
    value = detail.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
