"""Where the VM is, against where it was asked to be; and the way there after its clone."""

from collections.abc import Iterable, Sequence

from desired.spec import VMSpec
from handlers.handler import Context, Subject
from handlers.migration import migrate, moved
from state.change import Change, Note, Outcome
from state.memory import Phase
from state.observed import SeenVM
from state.placing import Placing


class Placement:
    """Migrates a clone that could not land on its node before its first start, and says of a VM
    that it is elsewhere than it should be.

        web-2: {node: pve2}
        web-4: {node: {among: [pve1, pve2]}, anti_affinity: web}

    Owns no config key. Allocation chooses the node and whether there is a way. Where the migration
    fails or no node fits, the VM stays beside its template and works (DEP-15, DEP-16). From then
    on `node` is provenance: `PlacementDiffers` says that it is elsewhere, `AntiAffinity` that it
    shares its node with another of its group; `migration` moves what is enforced.

    Risk: none to the guest, which has not run yet; a failed migration leaves it where it was.
    """

    name = "placement"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys: tuple[str, ...] = ()

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        placing, wanted = seen.memory.placing or Placing(), spec.node.nodes if spec.node else ()
        if is_on_its_way(seen):
            yield moved(seen, self.name, placing)
        elif placing.problem and seen.node not in wanted:
            yield self._differs(seen, f"is on {seen.node}: {placing.problem}")
        elif wanted and seen.node not in ("", *wanted) and not (spec.node and spec.node.enforce):
            reason = f"is on {seen.node}, not on {' or '.join(wanted)}: a spec moves no VM "
            yield self._differs(seen, f"{reason}without `enforce: true`")
        if placing.neighbours:
            reason = f"shares {seen.node} with {', '.join(placing.neighbours)} of its group"
            yield Note(seen.key, self.name, "node", reason, "AntiAffinity")

    def _differs(self, seen: SeenVM, reason: str) -> Note:
        return Note(seen.key, self.name, "node", reason, "PlacementDiffers")

    @staticmethod
    def apply(changes: Sequence[Change], ctx: Context) -> Outcome:
        """Ask Proxmox whether the VM may go, then send it there. Raises ApiError."""
        return migrate(changes, ctx)


def is_on_its_way(seen: SeenVM) -> bool:
    """Whether the VM is still being made, and is to be migrated to its node before its start."""
    binding, placing = seen.memory.binding, seen.memory.placing or Placing()
    is_new = binding is not None and binding.phase is Phase.DEPLOY
    return is_new and placing.target is not None and placing.target != seen.node
