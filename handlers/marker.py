"""The marks that say in Proxmox whose VM it is: a description line, and one tag for the fleet.

The line names the store and the VM's own vmid, so that a copy made by somebody is told from ours
(design 4). It is given to the clone call itself and stays the description's last line.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from handlers.handler import vmid_of
from state.observed import SeenVM

_LINE = re.compile(r"^reconcile: store=(\S+) fleet=(\S+) key=(\S+) vmid=(\d+)[ \t\r]*$", re.M)
_NOT_IN_TAG = re.compile(r"[^a-z0-9_+.-]+")


@dataclass(frozen=True, slots=True)
class Marker:
    """What a marker line says."""

    store: str
    fleet: str
    key: str
    vmid: int

    def __str__(self) -> str:
        fleet, key = quote(self.fleet), quote(self.key)
        return f"reconcile: store={self.store} fleet={fleet} key={key} vmid={self.vmid}"


def marker(seen: SeenVM) -> str:
    """The line that marks this VM as ours: `reconcile: store=… fleet=… key=… vmid=…`."""
    return str(Marker(seen.store, seen.fleet, seen.key, vmid_of(seen)))


def read_marker(description: str) -> Marker | None:
    """Return the last marker line of a description, None without one."""
    lines = _LINE.findall(description)
    if not lines:
        return None
    store, fleet, key, vmid = lines[-1]
    return Marker(store, unquote(fleet), unquote(key), int(vmid))


def without_marker(description: str) -> str:
    """Return a description's own text, stripped."""
    return _LINE.sub("", description).strip()


def with_marker(text: str, seen: SeenVM) -> str:
    """Return the text with this VM's marker, and no other, as its last line."""
    own = without_marker(text)
    return f"{own}\n\n{marker(seen)}" if own else marker(seen)


def marker_tag(fleet: str) -> str:
    """Return the tag that every VM of a fleet bears, in Proxmox's grammar: `reconcile-demo`."""
    return f"reconcile-{_NOT_IN_TAG.sub('-', fleet.lower())}"
