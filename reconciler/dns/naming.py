"""Which VMs want records by what the store knows of them, and whose records stay as they are."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from desired.source import Fleet
from desired.spec import VMSpec
from handlers.records import Named
from state.memory import Memory, Phase

ENDED = (Phase.ABANDONED, Phase.REMOVED)
ENDING = (Phase.TERMINATE, Phase.ERROR_TERMINATE)


@dataclass(frozen=True, slots=True)
class Naming:
    """The VMs that want records, and those whose records are left alone today.

    With `everyone` that is also whoever is in neither: nothing may be taken for gone.
    """

    vms: tuple[Named, ...]
    kept: frozenset[str]
    everyone: bool = False

    def keeping(self, owners: Iterable[str]) -> frozenset[str]:
        """Return whose records are left alone when some owners of records may not be gone."""
        named = {vm.spec.key for vm in self.vms}
        return self.kept | {key for key in owners if key not in named}


def naming(
    fleet: Fleet, specs: Mapping[str, VMSpec], memories: Mapping[str, Memory], *, partial: bool
) -> Naming:
    """Sort the VMs; `specs` are those at work, `partial` says that there may be others.

    A VM wants records once its machine was seen (DEP-02: after the clone), and none once it is
    gone. What is bound without a usable spec, or on its way to its end, keeps what it has: its
    end takes that along (TERM-05).
    """
    vms, kept = [], set(fleet.broken)
    for key, memory in memories.items():
        binding, spec = memory.binding, specs.get(key)
        if binding is None or binding.phase in ENDED:
            continue
        usable = spec is not None and spec.state == "present" and binding.uuid is not None
        if spec is None or not usable or binding.phase in ENDING:
            kept.add(key)
        else:
            vms.append(Named(spec, memory.leases))
    return Naming(tuple(vms), frozenset(kept), partial or fleet.incomplete)


def owners(keys: Iterable[Collection[str]]) -> set[str]:
    """Return everybody for whom some record is ours."""
    return {key for some in keys for key in some}
