"""Where a VM was put and why: what was said of every node when its place was chosen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What speaks for one node, or against it.

    `way` is how a VM would come there: `clone`, `clone across`, `clone, then migrate`, `migrate`,
    empty where there is none. `mates` are VMs of its anti-affinity group there, `vms` those of the
    fleet, `free` the bytes of RAM that would be left; `against` are the reasons that rule it out.
    """

    node: str
    way: str = ""
    mates: int = 0
    vms: int = 0
    free: int = 0
    against: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A node that was chosen among all, by a rule in words; empty when none fitted."""

    node: str
    rule: str
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True)
class Placing:
    """What is open about a VM's place; without any of it there is none.

    `target` is the node that it is still to be migrated to, `storages` the `targetstorage` of that
    (`local-lvm:tank`; empty: all have the same names there). `problem` says why it is on `node`
    although another was wanted. `neighbours` are VMs of its anti-affinity group beside it, and
    `choice` is there in the look that made it.
    """

    node: str = ""
    target: str | None = None
    storages: str = ""
    problem: str = ""
    neighbours: tuple[str, ...] = ()
    choice: Choice | None = None
