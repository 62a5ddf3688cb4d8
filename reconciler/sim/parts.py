"""Every module that registers routes or task steps; importing this one completes the cluster."""

import reconciler.sim.cluster
import reconciler.sim.faults
import reconciler.sim.nodes
import reconciler.sim.resources
import reconciler.sim.rights
import reconciler.sim.storages
import reconciler.sim.tasklist
import reconciler.sim.tickets  # noqa: F401
