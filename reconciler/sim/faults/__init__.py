"""What goes wrong in the simulated cluster on demand."""

from reconciler.sim.faults.fault import Fault as Fault
from reconciler.sim.faults.fault import Kind as Kind
from reconciler.sim.faults.hooks import Faults as Faults
from reconciler.sim.faults.hooks import Mishap as Mishap
