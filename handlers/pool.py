"""Membership in a Proxmox resource pool (not an address pool)."""

from collections.abc import Iterable, Sequence

from desired.spec import VMSpec
from handlers.handler import Context, Subject, vmid_of
from state.change import Call, Change, Method, Note, Outcome, Param
from state.observed import SeenVM


class Pool:
    """Makes the VM a member of one pool, which is there already.

        pool: customers

    Owns no config key. `PUT /pools` after the clone, several VMs of one pool in one call, since
    each takes a cluster-wide lock. Moves a VM out of another pool.

    Risk: a pool carries rights; who has them on the new pool has them on the VM.
    """

    name = "pool"
    subject = Subject.VM
    after = ("exists",)
    blocking = False
    keys: tuple[str, ...] = ()

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        old = seen.row.pool if seen.row else None
        if spec.pool is None or seen.row is None or old == spec.pool:
            return
        params: dict[str, Param] = {"poolid": spec.pool, "vms": str(vmid_of(seen))}
        if old:
            params["allow-move"] = True
        call = Call(Method.PUT, "/pools", params)
        group = f"pool:{spec.pool}"
        yield Change(seen.key, self.name, "pool", old, spec.pool, (call,), group=group)

    def apply(self, changes: Sequence[Change], ctx: Context) -> Outcome:
        """Join the VMs of each pool in one call; `allow-move` only where somebody moves."""
        for call in joined([call for change in changes for call in change.calls]):
            ctx.api.send(call)
        return Outcome()


def joined(calls: Sequence[Call]) -> list[Call]:
    """Return one call per pool and way of joining, its vmids in the order given."""
    vms: dict[tuple[str, bool], list[str]] = {}
    for call in calls:
        key = (str(call.params["poolid"]), "allow-move" in call.params)
        vms.setdefault(key, []).append(str(call.params["vms"]))
    merged = []
    for (pool, moves), members in vms.items():
        params: dict[str, Param] = {"poolid": pool, "vms": ",".join(members)}
        merged.append(
            Call(Method.PUT, "/pools", {**params, "allow-move": True} if moves else params)
        )
    return merged
