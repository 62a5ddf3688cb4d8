"""Every module that registers routes or task steps; importing this one completes the cluster."""

import reconciler.sim.accounts.acls
import reconciler.sim.accounts.custom_roles
import reconciler.sim.accounts.groups
import reconciler.sim.accounts.pools
import reconciler.sim.accounts.rights
import reconciler.sim.accounts.tickets
import reconciler.sim.accounts.tokens
import reconciler.sim.accounts.users
import reconciler.sim.cluster.ha
import reconciler.sim.cluster.nodes
import reconciler.sim.cluster.overview
import reconciler.sim.cluster.resources
import reconciler.sim.cluster.tasklist
import reconciler.sim.faults
import reconciler.sim.firewall.aliases
import reconciler.sim.firewall.groups
import reconciler.sim.firewall.ipsets
import reconciler.sim.firewall.options
import reconciler.sim.firewall.rules
import reconciler.sim.vm.agent
import reconciler.sim.vm.clone
import reconciler.sim.vm.cloudinit
import reconciler.sim.vm.config
import reconciler.sim.vm.create
import reconciler.sim.vm.destroy
import reconciler.sim.vm.move
import reconciler.sim.vm.power
import reconciler.sim.vm.resize
import reconciler.sim.vm.snapshots
import reconciler.sim.vm.status
import reconciler.sim.vm.suspend
import reconciler.sim.vm.template
import reconciler.sim.volumes.content
import reconciler.sim.volumes.storages  # noqa: F401
