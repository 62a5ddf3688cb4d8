"""What one VM's diff gets to see: its part of the world, its memory, and whether it is there."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from state.machine import Machine
from state.memory import Memory
from state.observed import UNFINISHED, ClusterView, Presence, SeenVM


def see(
    key: str,
    memory: Memory,
    view: ClusterView,
    machines: Mapping[int, Machine],
    vmid_free: Callable[[int], bool],
    store: str,
    fleet: str,
) -> SeenVM:
    """Put one VM's view together.

    Gone means: not listed on a quorate cluster, and `nextid` accepts its vmid (design 4). Anything
    less is Unknown, with the reason in words. A machine that was never seen needs no proof: all
    that follows is its clone, and Proxmox refuses a taken vmid.
    """
    seen = SeenVM(key, view.at, view, memory, store=store, fleet=fleet)
    binding = memory.binding
    if view.problem:
        return replace(seen, reason=view.problem, passing=view.passing)
    if binding is None:
        return replace(seen, presence=Presence.ABSENT)
    if binding.cluster != view.name:
        reason = f"is vm {binding.vmid} of cluster {binding.cluster}, its spec says {view.name}: "
        return replace(seen, reason=reason + "a spec moves no VM between clusters; set it back")
    row = view.vms.get(binding.vmid)
    if row is None:
        if binding.uuid is None or vmid_free(binding.vmid):
            return replace(seen, presence=Presence.ABSENT)
        reason = f"vm {binding.vmid} is not listed, but Proxmox says that the id is taken: "
        return replace(seen, reason=reason + "does the token have VM.Audit on it?")
    seen = replace(seen, row=row, status=row.status)
    node = view.nodes.get(row.node)
    if node is None or not node.online:
        return replace(seen, reason=f"node {row.node} is not online")
    machine = machines.get(binding.vmid, Machine())
    if machine.problem:
        return replace(seen, reason=machine.problem, passing=machine.passing)
    if machine.config is None and row.lock not in UNFINISHED:
        return replace(seen, reason=f"vm {binding.vmid} was not read yet")
    return replace(
        seen, presence=Presence.PRESENT, config=machine.config, firewall=machine.firewall
    )
