"""What goes wrong in the simulated cluster on demand."""

from reconciler.sim.faults.fault import Fault as Fault
