"""A VM that a person wants elsewhere: on another node, or its disks on another storage."""

from collections.abc import Iterable, Iterator, Sequence

from desired.spec import VMSpec
from handlers.effects import running, wanted
from handlers.handler import Context, Subject, send_calls, vm_path
from handlers.migration import migrate, moved
from handlers.resource import resource_of
from handlers.wishes import MOVE, may_ask, wish_of
from state.change import Call, Change, Effect, Method, Note, Outcome, Param
from state.observed import SeenVM
from state.placing import Placing
from state.verbs import Wish


class Move:
    """Moves a VM to a node, or its disks to a storage, once, because a person asked.

        do: {move: {token: "2026-11-20", node: pve2}}
        do: {move: {token: t7, storage: ceph, disk: scsi1}}     # without disk: every disk

    Owns no config key. A running VM is migrated live with its local disks; disks are moved one
    after the other, and the former volume is removed when a copy stands. `POST …/migrate`,
    `POST …/move_disk`; VM.Migrate, VM.Config.Disk, Datastore.AllocateSpace.

    Risk: both take the network's and the storages' bandwidth; a guest feels a moment of standstill.
    """

    name = "move"
    subject = Subject.VM
    after: tuple[str, ...] = ("exists",)
    blocking = False
    keys: tuple[str, ...] = ()

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        wish = wish_of(seen.memory, MOVE)
        if wish is None or not may_ask(seen):
            return
        node, storage = wish.text("node"), wish.text("storage")
        if node is not None and seen.node != node:
            yield from self._to_node(seen, node)
        elif storage is not None:
            yield from self._to_storage(seen, wish, storage)

    def _to_node(self, seen: SeenVM, node: str) -> Iterator[Change | Note]:
        resource = resource_of(seen)
        if resource and _asked_already(seen):
            reason = f"the HA manager was asked to move it to {node}"
            yield Note(seen.key, self.name, "node", reason, blocking=True)
        else:
            yield moved(seen, self.name, Placing(target=node))

    def _to_storage(self, seen: SeenVM, wish: Wish, storage: str) -> Iterator[Change]:
        """The first disk that stands elsewhere: each is a task of its own."""
        for slot, drive in sorted(disks_to_move(seen, wish.text("disk"))):
            params: dict[str, Param] = {"disk": slot, "storage": storage, "delete": True}
            call = Call(Method.POST, f"{vm_path(seen)}/move_disk", params)
            if drive != storage:
                effect = Effect.HOTPLUG if running(seen) else Effect.LIVE
                field = f"{slot}.storage"
                yield Change(seen.key, self.name, field, drive, storage, (call,), effect)
                return

    @staticmethod
    def apply(changes: Sequence[Change], ctx: Context) -> Outcome:
        """Ask whether the VM may go before it is sent; raises ApiError."""
        if changes[0].field == "node":
            return migrate(changes, ctx)
        return send_calls(changes, ctx)


def has_arrived(seen: SeenVM, wish: Wish) -> bool:
    """Whether the VM, or each disk that the move is about, stands where it was to go."""
    node, storage = wish.text("node"), wish.text("storage")
    if node is not None:
        return seen.node == node
    drives = disks_to_move(seen, wish.text("disk")) if seen.config else [("", None)]
    return all(drive == storage for _, drive in drives)


def disks_to_move(seen: SeenVM, slot: str | None) -> Iterator[tuple[str, str | None]]:
    """Slot and storage of each disk that a move is about; EFI and TPM go with the disks."""
    for name, drive in wanted(seen).drives.items():
        if drive.cloudinit or drive.cdrom or (slot is not None and name != slot):
            continue
        yield name, drive.storage


def _asked_already(seen: SeenVM) -> bool:
    vmid = str(seen.memory.binding.vmid) if seen.memory.binding else ""
    tasks = (one for one in seen.cluster.tasks if one.kind in ("hamigrate", "qmigrate"))
    return any(one.id == vmid and one.running for one in tasks)
