"""Which VMs are asked for, and which of them may be taken over; nothing is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from desired.source import Fleet
from handlers.marker import marker_tag, read_marker
from reconciler.clock import Workers
from reconciler.site import Site
from state.machine import Machine
from state.observe import Reading
from state.observed import ClusterView, VMRow
from state.store import Store

OURS = "is in the fleet already"
TEMPLATE = "is a template"


@dataclass(frozen=True, slots=True)
class Selection:
    """The VMs that a person asked for: by tag, resource pool or vmid, or all; in some clusters."""

    tags: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    vmids: tuple[int, ...] = ()
    everything: bool = False
    clusters: tuple[str, ...] = ()

    def takes(self, row: VMRow) -> bool:
        theirs = {tag.lower() for tag in row.tags}
        return (
            self.everything
            or row.vmid in self.vmids
            or row.pool in self.pools
            or any(tag.lower() in theirs for tag in self.tags)
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One VM that was asked for; `refused` says why it is not taken, `owner` whose key it is.

    `marked` says that it bears both of our marks.
    """

    view: ClusterView
    row: VMRow
    machine: Machine
    refused: str = ""
    owner: str = ""
    marked: bool = False

    @property
    def place(self) -> tuple[str, int]:
        """Cluster and vmid."""
        return self.view.name, self.row.vmid

    @property
    def name(self) -> str:
        config = self.machine.config
        return (config.wanted.name if config else self.row.name) or ""

    @property
    def expected(self) -> bool:
        """Whether it is passed over as a matter of course."""
        return self.refused in (TEMPLATE, OURS)


def find(
    sites: Sequence[Site],
    selection: Selection,
    fleet: Fleet,
    store: Store,
    at: datetime,
    workers: Workers,
) -> tuple[list[Candidate], list[str]]:
    """Read the VMs that were asked for; return them by cluster and vmid, and what went wrong."""
    owners = {(one.cluster, one.vmid): key for key, one in store.bindings.all().items()}
    found: list[Candidate] = []
    problems: list[str] = []
    for site in sites:
        site.learn()
        view = site.observer.view(at, site.firewall, ha=True)
        if view.problem or site.problem:
            problems.append(view.problem or site.problem or "")
            continue
        view = replace(view, release=site.release)
        rows = [row for _, row in sorted(view.vms.items()) if selection.takes(row)]
        wanted = {row.vmid for row in rows if not row.template}
        machines = site.observer.machines(
            view, Reading(wanted, firewalls=wanted), workers, lambda: False
        )
        found += [_candidate(row, view, machines, owners, fleet, store) for row in rows]
        if not selection.everything:
            problems += [
                f"cluster {site.name} has no vm {vmid}"
                for vmid in sorted(set(selection.vmids) - view.vms.keys())
                if len(sites) == 1
            ]
    return found, problems


def _candidate(
    row: VMRow,
    view: ClusterView,
    machines: Mapping[int, Machine],
    owners: Mapping[tuple[str, int], str],
    fleet: Fleet,
    store: Store,
) -> Candidate:
    machine = machines.get(row.vmid, Machine())
    made = Candidate(view, row, machine, owner=owners.get((view.name, row.vmid), ""))
    if made.owner:
        return replace(made, refused=OURS, marked=_is_marked(made, fleet.name))
    return replace(made, refused=_refusal(row, view, machine, fleet, store))


def _is_marked(made: Candidate, fleet: str) -> bool:
    config = made.machine.config
    if config is None:
        return True
    tags = {tag.lower() for tag in config.live.tags}
    return read_marker(config.live.description) is not None and marker_tag(fleet) in tags


def _refusal(row: VMRow, view: ClusterView, machine: Machine, fleet: Fleet, store: Store) -> str:
    """Why a VM is not to be taken; empty if it may be."""
    node = view.nodes.get(row.node)
    if row.template:
        return TEMPLATE
    if node is None or not node.online:
        return f"node {row.node} is not online"
    if machine.config is None:
        return machine.problem or "could not be read"
    live = machine.config.live
    if row.lock or live.lock:
        return f"is locked ({row.lock or live.lock}): try again when that is over"
    if row.hastate in ("error", "fence", "recovery"):
        return f"the HA manager has it in state {row.hastate}: mend that first"
    if live.uuid is None:
        return "has no SMBIOS uuid, so it could not be told from another: give it one first"
    return _others(row.vmid, live.description, fleet, store)


def _others(vmid: int, description: str, fleet: Fleet, store: Store) -> str:
    """Whose marker it bears, if it bears one."""
    marker = read_marker(description)
    if marker is None:
        return ""
    if marker.vmid != vmid:
        return f"is a copy of vm {marker.vmid} ({marker.key}): remove its marker line first"
    if marker.fleet != fleet.name:
        return f"belongs to fleet {marker.fleet}"
    if marker.store != store.id:
        return f"belongs to store {marker.store}, not to {store.id}: see reconcile rebuild-state"
    return "bears this fleet's marker: see reconcile rebuild-state"
