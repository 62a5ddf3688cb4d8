"""What DNS should say and says, as lists: the export of DNS-15, and zones record by record."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from desired.hostnames import Dns
from handlers.dns import SeenZone, WantedZone
from handlers.records import Named, held, reverse_name
from state.zones import RecordId

State = Literal["ok", "missing", "wrong", "foreign", "stale", "kept"]


@dataclass(frozen=True, slots=True)
class Exported:
    """One address of a VM: the VM's own name, and the name that the address points at."""

    forward: str
    ip: str
    reverse: str


def exported(vms: Iterable[Named]) -> list[Exported]:
    """Return every address of every VM that has a name, by address (DNS-15)."""
    found = []
    for vm in vms:
        dns, own = vm.spec.dns or Dns(), (vm.spec.fqdn or "").lower()
        for one in held(vm) if dns.records == "on" else ():
            reverse = reverse_name(dns, one) or own
            if reverse:
                found.append(Exported(own, one.address, reverse))
    return sorted(found, key=lambda one: (one.ip.count(":"), one.ip, one.forward))


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One record of a zone: what is wanted, what is there, and how the two go together."""

    name: str
    type: str
    wanted: tuple[str, ...]
    held: tuple[str, ...]
    state: State
    keys: tuple[str, ...] = ()


def record_lines(wanted: WantedZone, seen: SeenZone) -> list[RecordLine]:
    """Return a line for each record that is wanted or ours; strangers' others are left out."""
    return [_line(id, wanted, seen) for id in sorted({*wanted.records, *seen.owned})]


def _line(id: RecordId, wanted: WantedZone, seen: SeenZone) -> RecordLine:
    asked, there, row = wanted.records.get(id), seen.records.get(id), seen.owned.get(id)
    keys = asked.keys if asked else row.keys if row else ()
    return RecordLine(
        *id,
        tuple(sorted(asked.values)) if asked else (),
        tuple(sorted(there.values)) if there else (),
        _state(id, wanted, seen),
        keys,
    )


def _state(id: RecordId, wanted: WantedZone, seen: SeenZone) -> State:
    asked, there, row = wanted.records.get(id), seen.records.get(id), seen.owned.get(id)
    if row is not None and wanted.kept.intersection(row.keys):
        return "kept"
    if asked is None:
        return "stale"
    if there is None:
        return "missing"
    if there.values == asked.values:
        return "ok"
    return "wrong" if seen.is_ours(id) else "foreign"


def by_state(lines: Iterable[RecordLine]) -> Mapping[str, int]:
    """Count the lines of each state."""
    found: dict[str, int] = {}
    for line in lines:
        found[line.state] = found.get(line.state, 0) + 1
    return dict(sorted(found.items()))
