"""Where the VM runs, against where it was asked to be."""

from collections.abc import Iterable

from desired.spec import VMSpec
from handlers.handler import Subject, send_calls
from state.change import Change, Note
from state.observed import SeenVM


class Placement:
    """Says so when a VM is on another node than the spec names; it moves nothing.

        web-2: {node: pve2}

    Owns no config key. A clone lands on the template's node, or across shared storage on the
    wanted one; where neither is possible it stays where the template is and works (DEP-16).

    Risk: none.
    """

    name = "placement"
    subject = Subject.VM
    after = ("exists",)
    blocking = False
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        if spec.node is None or seen.node in ("", spec.node.name):
            return
        reason = f"runs on {seen.node}, not on {spec.node.name}: the clone stays where it was made"
        if spec.node.enforce:
            reason = f"runs on {seen.node}, must be on {spec.node.name}: migrate it by hand"
        yield Note(seen.key, self.name, "node", reason, "PlacementDiffers")
