"""Every module that registers routes or task steps; importing this one completes the cluster."""

import reconciler.sim.acls
import reconciler.sim.aliases
import reconciler.sim.cluster
import reconciler.sim.custom_roles
import reconciler.sim.faults
import reconciler.sim.firewall_groups
import reconciler.sim.firewall_options
import reconciler.sim.firewall_rules
import reconciler.sim.groups
import reconciler.sim.ha
import reconciler.sim.ipsets
import reconciler.sim.nodes
import reconciler.sim.pools
import reconciler.sim.resources
import reconciler.sim.rights
import reconciler.sim.storages
import reconciler.sim.tasklist
import reconciler.sim.tickets
import reconciler.sim.tokens
import reconciler.sim.users  # noqa: F401
