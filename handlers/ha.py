"""Whether the HA manager keeps the VM running, and how."""

from collections.abc import Iterable, Iterator, Mapping

from desired.spec import HighAvailability, VMSpec
from handlers.effects import running
from handlers.handler import Subject, send_calls, vmid_of
from handlers.resource import RESOURCES, known_resource
from state.change import Call, Change, Method, Note, Param, Value
from state.observed import HAResource, SeenVM

HA, OURS = "ha", "ours"
"""The fingerprint that remembers that the resource was made by us."""

RULES = 9
"""The major version that has rules in place of groups."""


class Ha:
    """Puts the VM under the HA manager, and takes away what it put there.

        ha: {state: started, group: prefer-pve1, max_restart: 2, max_relocate: 1}

    Owns no config key. A VM is put there once it is as it should be, running or stopped. From then
    on `power` stops and starts it through the manager; here only its limits, its group and whether
    it is `ignored` are compared. `/cluster/ha/resources`, Sys.Console on `/`.

    Risk: the manager fences a node that is lost, and starts its VMs elsewhere.
    """

    name = "ha"
    subject = Subject.VM
    after: tuple[str, ...] = ("exists",)
    blocking = False
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        wanted, there = spec.ha, known_resource(seen)
        if wanted is None:
            if there and seen.memory.fingerprints.get(HA) == OURS:
                yield self._change(seen, "resource", there.state, None, Method.DELETE, {})
        elif seen.cluster.ha is None:
            reason = "the HA resources could not be read: the token needs Sys.Audit on /"
            yield Note(seen.key, self.name, "resource", reason, "HAUnknown")
        elif there is None:
            yield from self._put_under(wanted, spec, seen)
        else:
            yield from self._compare(wanted, there, seen)
        if wanted and wanted.group is not None and has_rules(seen):
            reason = f"Proxmox VE 9 has no groups: write a rule for vm:{vmid_of(seen)} by hand"
            yield Note(seen.key, self.name, "group", reason, "HAGroupUnsupported")

    def _put_under(
        self, wanted: HighAvailability, spec: VMSpec, seen: SeenVM
    ) -> Iterator[Change | Note]:
        """The manager would start or stop the VM at once: it is told what is, and no more."""
        off = spec.power == "stopped" or wanted.state in ("stopped", "disabled")
        if wanted.state != "ignored" and running(seen) == off:
            yield Note(seen.key, self.name, "resource", "waits until the VM is as it should be")
            return
        state = wanted.state if wanted.state != "started" or not off else "stopped"
        params: dict[str, Param] = {"sid": f"vm:{vmid_of(seen)}", "state": state}
        params |= {name: new for name, _, new in _limits(wanted, HAResource(0), seen)}
        yield self._change(seen, "resource", None, state, Method.POST, params)

    def _compare(
        self, wanted: HighAvailability, there: HAResource, seen: SeenVM
    ) -> Iterator[Change]:
        if (wanted.state == "ignored") != (there.state == "ignored"):
            # Taken up again it is left as it is: `power` knows when it may be stopped.
            now = "started" if running(seen) else "stopped"
            state = "ignored" if wanted.state == "ignored" else now
            yield self._change(seen, "state", there.state, state, Method.PUT, {"state": state})
        differ = [one for one in _limits(wanted, there, seen) if one[1] != one[2]]
        params = {name: new for name, _, new in differ}
        for name, old, new in differ:
            yield self._change(seen, name, old, new, Method.PUT, params)

    def _change(
        self,
        seen: SeenVM,
        field: str,
        old: Value,
        new: Value,
        method: Method,
        params: Mapping[str, Param],
    ) -> Change:
        path = RESOURCES if method is Method.POST else f"{RESOURCES}/vm:{vmid_of(seen)}"
        made = method is not Method.PUT
        mark = ((HA, OURS if method is Method.POST else ""),) if made else ()
        call = Call(method, path, params)
        return Change(seen.key, self.name, field, old, new, (call,), remember=mark)


def has_rules(seen: SeenVM) -> bool:
    return seen.cluster.release is not None and seen.cluster.release[0] >= RULES


def _limits(
    wanted: HighAvailability, there: HAResource, seen: SeenVM
) -> Iterator[tuple[str, Param | None, Param]]:
    """The limits and the group that are ours: name, what it is, what it is to be."""
    named = {"max_restart": wanted.max_restart, "max_relocate": wanted.max_relocate}
    for name, new in named.items():
        if new is not None:
            yield name, getattr(there, name), new
    if wanted.group is not None and not has_rules(seen):
        yield "group", there.group, wanted.group
