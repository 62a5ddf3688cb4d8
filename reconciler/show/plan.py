"""The dry run as text and as JSON: what would be created, changed and destroyed (design 7)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconciler.git import short
from reconciler.report import DryRun, PlanKind, PlannedVM
from reconciler.show.places import place_json, place_lines
from reconciler.show.rollout import preview_lines, rollout_json
from reconciler.show.text import Paint, count_of, json_when, show_change
from reconciler.show.zones import zone_json, zone_lines
from state.api import Json
from state.change import Call, Change, Effect, Note, Value

RIGHT = 53
"""The column in which effects and head lines' words start, unless something is longer."""
WIDEST = 90
"""What is longer than this moves no column."""
ALIKE = 3
"""More VMs than this that are not touched for one and the same reason share a line."""
ALONE = ("unmanaged", "unknown", "stuck")
MARKS: Mapping[PlanKind, str] = {
    "create": "+",
    "change": "~",
    "destroy": "-",
    "unchanged": "=",
    "unmanaged": "=",
    "unknown": "?",
    "stuck": "!",
    "broken": "!",
}


def render_plan(dry: DryRun, paint: Paint, *, verbose: bool = False) -> str:
    """Return the whole diff, the source's errors and the `Plan:` line."""
    shown = _together([vm for vm in dry.vms if worth_a_line(vm)])
    width = max((len(vm.key) for vm in shown), default=0)
    rows = [row for vm in shown for row in _rows(vm, width, verbose)]
    lengths = [len(left) + 2 for _, left, words in rows if words]
    right = max([RIGHT, *(length for length in lengths if length <= WIDEST)])
    lines = [f"specs at commit {short(dry.commit)}"] if dry.commit else []
    lines += [_paint_row(paint, *row, right) for row in rows]
    lines += [paint.bad(f"! {text}") for text in (*dry.problems, *dry.errors)]
    lines += [line for one in dry.rollouts for line in preview_lines(one.rollout, one.batches)]
    lines += zone_lines(dry.zones, paint)
    lines.append(paint.bold(plan_line(dry)))
    return "\n".join(lines)


def _together(vms: Sequence[PlannedVM]) -> list[PlannedVM]:
    """Put many VMs that are not touched for one reason into one line, at the first one's place."""
    alike = Counter(vm.reason for vm in vms if vm.kind in ALONE)
    shown: dict[str, PlannedVM] = {}
    for vm in vms:
        number = alike[vm.reason] if vm.kind in ALONE else 0
        if number <= ALIKE:
            shown[vm.key] = vm
        elif vm.reason not in shown:
            shown[vm.reason] = replace(vm, key=f"{number} VMs", node="", vmid=None)
    return list(shown.values())


def worth_a_line(vm: PlannedVM) -> bool:
    """Whether there is anything to be said of the VM."""
    return vm.kind != "unchanged" or bool(shown_notes(vm, False) or unapproved(vm))


def _rows(vm: PlannedVM, width: int, verbose: bool) -> list[tuple[str, str, str]]:
    """Return (mark, left, right) of the head line and of each detail below it."""
    mark = MARKS[vm.kind]
    if vm.kind == "create":
        where = f"({', '.join(filter(None, ('new', vm.package, _way(vm))))})"
    elif vm.vmid is not None:
        where = f"{vm.node}/{vm.vmid}"
    else:
        where = ""
    rows = [(mark, f"{mark} {vm.key.ljust(width)} {where}".rstrip(), headline(vm))]
    asked = unapproved(vm)
    listed = [change for change in vm.changes if change not in asked and vm.kind == "change"]
    details = [_change_row(change) for change in listed]
    details += [_change_row(change, asks=True) for change in asked if vm.kind != "destroy"]
    details += [_note_row(note) for note in shown_notes(vm, verbose)]
    field_width = max([15, *(len(field) + 2 for field, _, _ in details)])
    rows += [("", f"    {field.ljust(field_width)}{text}", word) for field, text, word in details]
    if verbose:
        lines = place_lines(vm.place) if vm.place else ()
        rows += [("call", f"      {line}", "") for line in (*lines, *vm.calls)]
    return rows


def unapproved(vm: PlannedVM) -> list[Change]:
    """Return what waits for a person; what only waits for its turn is no news."""
    return [change for change in vm.withheld if change.approval]


def shown_notes(vm: PlannedVM, verbose: bool) -> list[Note]:
    """Return the notes worth a line: those that raise a condition, or all of them."""
    told = vm.kind in ("unknown", "stuck", "broken")
    return [note for note in vm.notes if (note.condition or verbose) and not told]


def headline(vm: PlannedVM) -> str:
    """Return what is done to the VM, or not, in a few words."""
    if vm.kind == "create":
        source = f"clone {vm.template}" if vm.template is not None else ""
        source = f"copy {vm.image}" if vm.image is not None else source
        return ", ".join(filter(None, (source, *vm.addresses, vm.fqdn, vm.waits)))
    if vm.kind == "destroy":
        asks = "needs approval: " if unapproved(vm) else ""
        why = f"; {vm.reason}" if vm.reason else ""
        return f"{asks}DESTROY  {', '.join(vm.details)}{why}".rstrip()
    if vm.kind == "unmanaged":
        return f"UNMANAGED: {vm.reason}"
    if vm.kind == "stuck":
        return f"NOT TOUCHED: {vm.reason}"
    if vm.kind == "unknown":
        return f"UNKNOWN, not touched: {vm.reason}"
    if vm.kind == "broken":
        return "its spec is broken, not touched"
    asked = unapproved(vm)
    free = sum(change not in asked for change in vm.changes)
    words = [count_of(free, "change")] if free else []
    words += [f"{len(asked)} withheld"] if asked else []
    words = words or [count_of(len(vm.notes), "note")]
    restarts = any(change.effect is Effect.STOP_START for change in vm.changes)
    waits = vm.waits or ("restart needed" if restarts else "")
    return ", ".join([*words, waits] if waits else words)


def _by_what(dry: DryRun) -> str:
    """What ends VMs: `state: absent`, or that no spec names them any more."""
    ends = [vm for vm in dry.vms if vm.kind == "destroy"]
    pruned = sum(bool(vm.reason) for vm in ends)
    if not ends or not pruned:
        return " (state: absent)" if ends else ""
    written = len(ends) - pruned
    return f" ({written} state: absent, {pruned} pruned)" if written else " (pruned)"


def _way(vm: PlannedVM) -> str:
    """The node where a VM is made, and the one that it is then migrated to."""
    end = vm.place.node if vm.place else ""
    return f"{vm.node} -> {end}" if end not in ("", vm.node) else vm.node


def _change_row(change: Change, *, asks: bool = False) -> tuple[str, str, str]:
    word = f"{change.effect}, needs approval" if asks else str(change.effect)
    return *show_change(change), word


def _note_row(note: Note) -> tuple[str, str, str]:
    return note.field, note.reason, note.condition or ""


def _paint_row(paint: Paint, mark: str, left: str, words: str, right: int) -> str:
    text = f"{left.ljust(right - 2)}  {words}" if words else left
    tint = {"+": paint.good, "~": paint.warn, "-": paint.bad, "!": paint.bad, "?": paint.warn}
    return tint.get(mark, paint.dim if mark == "call" else str)(text)


def plan_line(dry: DryRun) -> str:
    """Return `Plan: 1 to create, ...` and what needs approval."""
    kinds = Counter(vm.kind for vm in dry.vms)
    parts = [f"{kinds['create']} to create", f"{kinds['change']} to change"]
    parts.append(f"{kinds['destroy']} to destroy{_by_what(dry)}")
    parts.append(f"{kinds['unchanged']} unchanged")
    records = sum(len(zone.changes) for zone in dry.zones)
    parts += [f"{count_of(records, 'DNS record')} to write or remove"] if records else []
    parts += [f"{kinds['unmanaged']} unmanaged"] if kinds["unmanaged"] else []
    parts += [f"{kinds['unknown']} unknown"] if kinds["unknown"] else []
    parts += [f"{kinds['stuck']} stuck"] if kinds["stuck"] else []
    parts += [f"{kinds['broken']} broken"] if kinds["broken"] else []
    line = "Plan: " + ", ".join(parts) + "."
    if not dry.digest:
        return f"{line} Nothing needs approval."
    held = sum(len(unapproved(vm)) for vm in dry.vms)
    verb = "needs" if held == 1 else "need"
    return f"{line} {count_of(held, 'change')} {verb} approval: reconcile approve {dry.digest}"


def plan_json(dry: DryRun) -> Mapping[str, Json]:
    """Return the dry run as one JSON document; a secret is `***`."""
    kinds = Counter(vm.kind for vm in dry.vms)
    return {
        "at": json_when(dry.at),
        "commit": dry.commit or None,
        "plan": {kind: kinds[kind] for kind in MARKS},
        "differs": dry.differs,
        "approval": dry.digest or None,
        "vms": [_vm_json(vm) for vm in dry.vms],
        "zones": [zone_json(zone) for zone in dry.zones],
        "rollouts": [rollout_json(one.rollout, one.batches) for one in dry.rollouts],
        "errors": list(dry.errors),
        "problems": list(dry.problems),
        "reads": dry.reads,
        "seconds": round(dry.seconds, 3),
    }


def _vm_json(vm: PlannedVM) -> Json:
    whole: dict[str, Json] = {
        "key": vm.key,
        "kind": vm.kind,
        "cluster": vm.cluster or None,
        "node": vm.node or None,
        "vmid": vm.vmid,
        "package": vm.package,
        "template": vm.template,
        "image": vm.image,
        "addresses": list(vm.addresses),
        "fqdn": vm.fqdn,
        "waits": vm.waits or None,
        "reason": vm.reason or None,
        "details": list(vm.details),
        "changes": [_change_json(change) for change in vm.changes],
        "withheld": [_change_json(change) for change in vm.withheld],
        "notes": [
            {
                "handler": note.handler,
                "field": note.field,
                "reason": note.reason,
                "condition": note.condition,
                "blocking": note.blocking,
            }
            for note in vm.notes
        ],
        "calls": [_call_json(call) for call in vm.calls],
        "place": place_json(vm.place) if vm.place else None,
    }
    return {name: value for name, value in whole.items() if value not in (None, [])}


def _change_json(change: Change) -> Json:
    return {
        "handler": change.handler,
        "field": change.field,
        "old": _plain(change.old),
        "new": _plain(change.new),
        "effect": str(change.effect),
        "approval": change.approval,
    }


def _call_json(call: Call) -> Json:
    params: dict[str, Json] = {name: _plain(value) for name, value in sorted(call.params.items())}
    return {"method": str(call.method), "path": call.path, "params": params}


def _plain(value: Value) -> Json:
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
