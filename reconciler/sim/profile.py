"""Which release of Proxmox VE the nodes run: 8.4, which is recorded, or 9.

From 9.0 on privileges of the guest agent replace VM.Monitor, rules replace HA groups, and the
round-robin databases are finer. Source: pve-api.md section 13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from reconciler.sim.accounts.roles import AGENT_PRIVILEGES, MONITOR, SINCE_9

if TYPE_CHECKING:
    from reconciler.sim.world import World

Profile = Literal["8.4", "9"]
VERSIONS: dict[Profile, str] = {"8.4": "8.4.1", "9": "9.0.11"}
READERS = ("PVEAuditor", "PVEVMUser")
"""Built-in roles that may read by the agent from 9.0 on."""


def become(world: World, profile: Profile) -> None:
    """Let every node run the release, and roles hold the privileges that it knows."""
    for node in world.nodes.values():
        node.version = VERSIONS[profile]
    if profile == "8.4":
        return
    for name, privileges in world.access.roles.items():
        wanted = set(privileges)
        if MONITOR in wanted:
            wanted |= set(SINCE_9)
            wanted.discard(MONITOR)
        if name in READERS:
            wanted.add(AGENT_PRIVILEGES[0])
        world.access.roles[name] = sorted(wanted)
    world.access.changed()
