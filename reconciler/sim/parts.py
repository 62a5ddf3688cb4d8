"""Every module that registers routes or task steps; importing this one completes the cluster."""

import reconciler.sim.acls
import reconciler.sim.agent
import reconciler.sim.aliases
import reconciler.sim.clone
import reconciler.sim.cloudinit
import reconciler.sim.cluster
import reconciler.sim.config
import reconciler.sim.content
import reconciler.sim.create
import reconciler.sim.custom_roles
import reconciler.sim.destroy
import reconciler.sim.faults
import reconciler.sim.firewall_groups
import reconciler.sim.firewall_options
import reconciler.sim.firewall_rules
import reconciler.sim.groups
import reconciler.sim.ha
import reconciler.sim.ipsets
import reconciler.sim.move
import reconciler.sim.nodes
import reconciler.sim.pools
import reconciler.sim.power
import reconciler.sim.resize
import reconciler.sim.resources
import reconciler.sim.rights
import reconciler.sim.snapshots
import reconciler.sim.status
import reconciler.sim.storages
import reconciler.sim.suspend
import reconciler.sim.tasklist
import reconciler.sim.template
import reconciler.sim.tickets
import reconciler.sim.tokens
import reconciler.sim.users  # noqa: F401
