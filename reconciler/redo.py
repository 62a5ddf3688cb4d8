"""One step of a pipeline made once more: its values are written again although none differs (C13).

A person's wish is the intent `redo`; the next look at the VM writes, and the wish is fulfilled when
that went through. Nothing is made anew by it: no machine, no disk, no address.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from desired.spec import VMSpec
from handlers.effects import running, wanted
from handlers.firewall import NAMES
from handlers.handler import Handler, config_call, vm_path
from handlers.rules import mark, own_id
from reconciler.execute import Done
from reconciler.pipeline import CHANGE, DEPLOY, State
from reconciler.plan import VMPlan
from reconciler.registry import vm_handlers
from state.change import Call, Change, Method, Param
from state.drive import format_pve_size
from state.memory import Intent, Phase
from state.observed import Presence, SeenVM
from state.store import Store

REDO = "redo"
MASKED = "cipassword"
"""Proxmox shows asterisks in its place."""

AGAIN, SIZE = "written again", "_size"
SHOWN_ONLY = frozenset({"pos", "digest", "ipversion", "errors"})
"""Fields of a rule that are no parameters."""

INSTEAD = {
    "clone": "it would make another machine: see reconcile reinstall",
    "creation": "it names nothing that is done",
    "set_ip": "addresses are leased once, and given back only when the VM is gone",
    "change_package": "it names nothing that is done",
    "cp_update_ip": "redo set_firewall, set_cloudinit or set_network, which write the addresses",
    "set_dns": "records belong to zones: reconcile dns resync writes them anew",
    "migrated": "see reconcile move, or `node: {name: …, enforce: true}`",
    "set_created_additional_disk": "it would make another disk",
    "cp_additional_disk": "it would make another disk",
    "cp_stop": "see reconcile restart",
}
"""Steps that are not repeated, and why or what to do instead."""


class NoSuchStep(ValueError):
    """The word names no step, or one that is not repeated; says which there are, or why."""


def states() -> dict[str, State]:
    """Every step by the state that it leads to."""
    rows = (*DEPLOY.states[1:], *CHANGE.states[1:])
    return {state.name: state for state in rows}


def step_named(word: str) -> State:
    """Return the step of a state's name or of a label, in any case. Raises NoSuchStep."""
    asked = word.strip().lower()
    names = {one.name: one.name for one in (*DEPLOY.states, *CHANGE.states)}
    labels = {state.label.lower(): name for name, state in reversed(states().items())}
    name = names.get(asked) or labels.get(asked)
    if name is None:
        raise NoSuchStep(f"no step {word!r}; the steps are {', '.join(repeatable())}")
    if name in INSTEAD:
        raise NoSuchStep(f"{name} is not repeated: {INSTEAD[name]}")
    return states()[name]


def repeatable() -> list[str]:
    return [name for name in states() if name not in INSTEAD]


def redone(spec: VMSpec, plan: VMPlan) -> VMPlan:
    """Add the step that a person asked for to a VM's plan, but for what the plan does anyway."""
    seen, intent = plan.seen, plan.seen.memory.intents.get(REDO)
    binding = seen.memory.binding
    ready = binding is not None and binding.phase in (Phase.READY, Phase.CHANGE)
    if intent is None or seen.presence is not Presence.PRESENT or not ready:
        return plan
    if any(handler == "exists" for handler, _ in plan.remaining):
        return plan
    step, made = _asked(intent)
    planned = {change.handler for change in plan.changes}
    extra = [
        change
        for change in repetition(spec, seen, step)
        if change.handler not in planned and change.field not in made
    ]
    # A resize is a task and ends the VM's turn: one disk after the other.
    extra = extra[:1] if step.name.endswith(SIZE) else extra
    return replace(plan, changes=(*plan.changes, *extra))


def _asked(intent: Intent) -> tuple[State, tuple[str, ...]]:
    """The step, and the fields of it that were made again already."""
    name, *made = intent.detail.split(" ")
    return states()[name], tuple(made)


def repetition(spec: VMSpec, seen: SeenVM, step: State) -> Iterator[Change]:
    """What the step writes, of a VM that is as its spec says."""
    if step.name.endswith(SIZE):
        yield from _sizes(spec, seen, step)
    elif step.name in ("starting", "cp_start", "ready"):
        if not running(seen) and spec.power == "running":
            call = Call(Method.POST, f"{vm_path(seen)}/status/start")
            yield Change(seen.key, "power", "power", seen.status, "running", (call,))
    elif "firewall" in step.name:
        yield from _firewall(spec, seen)
    else:
        yield from _config(spec, seen, step)
    if "cloudinit" in step.name and any(one.cloudinit for one in wanted(seen).drives.values()):
        call = Call(Method.PUT, f"{vm_path(seen)}/cloudinit")
        yield Change(seen.key, "cloudinit", "drive", None, "made again", (call,))


def _config(spec: VMSpec, seen: SeenVM, step: State) -> Iterator[Change]:
    """The keys that the step's handlers own, with the values that they have."""
    config = wanted(seen)
    for handler in _handlers(step):
        for key, value in sorted(config.raw.items()):
            owned = any(re.fullmatch(pattern, key) for pattern in handler.keys)
            if not owned or key == MASKED:
                continue
            field = key
            if handler.name == "disks":
                label = "system" if key == config.boot_disk else key
                if label not in spec.disks or not step.waits_for(("disks", f"{label}.redo")):
                    continue
                field = f"{label}.redo"
            params: dict[str, Param] = {key: value}
            call = config_call(seen, params)
            yield Change(seen.key, handler.name, field, str(value), AGAIN, (call,))


def _handlers(step: State) -> list[Handler]:
    owners = {owner for owner, _ in step.owns}
    return [handler for handler in vm_handlers() if handler.name in owners]


def _sizes(spec: VMSpec, seen: SeenVM, step: State) -> Iterator[Change]:
    """Resize to the size that a disk has: Proxmox writes down again what the volume says."""
    config = wanted(seen)
    for label in spec.disks:
        slot = config.boot_disk if label == "system" else label
        drive = config.disks.get(slot or "")
        if slot is None or drive is None or not drive.size:
            continue
        if step.waits_for(("disks", f"{label}.size")):
            size = format_pve_size(drive.size)
            call = Call(Method.PUT, f"{vm_path(seen)}/resize", {"disk": slot, "size": size})
            yield Change(seen.key, "disks", f"{label}.size", size, AGAIN, (call,))


def _firewall(spec: VMSpec, seen: SeenVM) -> Iterator[Change]:
    """The options that the spec names, and our rules where they stand."""
    firewall, base = spec.firewall, f"{vm_path(seen)}/firewall"
    if firewall is None or seen.firewall is None:
        return
    for rule in seen.firewall.rules:
        if own_id(rule.fields):
            fields = {name: text for name, text in rule.fields.items() if name not in SHOWN_ONLY}
            call = Call(Method.PUT, f"{base}/rules/{rule.pos}", dict(fields))
            yield Change(seen.key, "firewall", f"rules.{mark(rule.fields)}", "", AGAIN, (call,))
    values = {option: getattr(firewall, word) for word, option in NAMES.items()}
    params: dict[str, Param] = {
        option: str(int(value)) if isinstance(value, bool) else str(value)
        for option, value in values.items()
        if value is not None
    }
    call = Call(Method.PUT, f"{base}/options", params)
    yield Change(seen.key, "firewall", "options", None, AGAIN, (call,))


def fulfilled(store: Store, seen: SeenVM, sent: Iterable[Change], done: Done) -> None:
    """The step was made, once: the wish is over when all that it wrote went through.

    Of a step that goes disk by disk it is over when nothing of it is left (`reconciler.settle`).
    """
    intent = seen.memory.intents.get(REDO)
    if intent is None or done.again:
        return
    step, made = _asked(intent)
    owners = {owner for owner, _ in step.owns}
    mine = [change for change in sent if change.handler in owners]
    if not mine or not all(done.landed(change.handler) for change in mine):
        return
    if step.name.endswith(SIZE):
        fields = [change.field for change in mine if change.new == AGAIN]
        store.intents.put(replace(intent, detail=" ".join([step.name, *made, *fields])))
    else:
        store.intents.drop(seen.key, REDO)
