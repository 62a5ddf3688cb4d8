"""The loop `remove_snapshots`: it removes what is old, and asks for what is due (TASK-02)."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from desired.spec import VMSpec
from handlers.handler import Handler
from handlers.wishes import SNAPSHOT
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.loops.over import MADE, vm_loop
from reconciler.prepare import fits
from reconciler.show.text import count_of
from reconciler.site import Site
from reconciler.snapshots.age import NAME, Aged, OldSnapshots, is_ours
from reconciler.verbs.asking import Refused, ask
from state.api import ApiError, Json
from state.cache import CachedVM
from state.memory import Binding
from state.verbs import VerbRow, Wish
from state.view import Row, rows, text, whole

BY = "schedule"
"""Who asks for a snapshot when the clock does."""


def remove_snapshots() -> Loop:
    """Return the loop: only VMs that have snapshots are read, and one goes at a time."""
    about = "remove snapshots that are too old or too many, take those by schedule"
    inner = vm_loop(NAME, about, _handlers, "60min", aliases=("snapshots",))
    return replace(inner, run=lambda occasion: _run(inner, occasion))


def _run(inner: Loop, occasion: Occasion) -> LoopResult:
    """Ask for what is due, which `process_vms` then takes; remove what is to go."""
    due = list(_due(occasion))
    if not occasion.dry:
        for key, slot in due:
            _ask(occasion, key, slot)
    specs = occasion.opened.fleet.vms
    keys = frozenset(key for key, spec in specs.items() if spec.snapshots is not None)
    if not keys:
        return LoopResult(message="no spec says anything of snapshots")
    result = inner.run(replace(occasion, keys=keys))
    said = f"{count_of(len(due), 'snapshot')} asked for"
    return replace(result, message=f"{result.message}, {said}") if due else result


def _due(occasion: Occasion) -> Iterator[tuple[str, datetime]]:
    """The VMs whose slot has come since the last one; several that were missed are one."""
    fleet, store = occasion.opened.fleet, occasion.store
    bindings, zone = store.bindings.all(), fleet.schedule.timezone
    for key, spec in sorted(fleet.vms.items()):
        binding = bindings.get(key)
        if binding is None or binding.phase not in MADE or not _takes(spec):
            continue
        if spec.snapshots is None or not fits(key, occasion.options.only):
            continue
        last = _last(store.verbs.of(key), binding)
        slot = spec.snapshots.timetable.next_after(last, zone, key) if last else None
        if slot is not None and slot <= occasion.start:
            yield key, slot


def _takes(spec: VMSpec) -> bool:
    """Whether any is taken by schedule: a quota of 0 switches them off (TASK-10)."""
    wanted = spec.state == "present" and spec.snapshots and spec.snapshots.schedule
    return bool(wanted) and not (spec.quota and spec.quota.snapshots == 0)


def _last(asked: tuple[VerbRow, ...], binding: Binding) -> datetime | None:
    """When the schedule asked last; of a VM of which it never did, when that was ready."""
    mine = [row.asked_at for row in asked if row.verb == SNAPSHOT and row.by == BY]
    return max(mine, default=binding.ready_at or binding.created_at)


def _ask(occasion: Occasion, key: str, slot: datetime) -> None:
    """Ask by the slot's own token: no kill and no second host has it taken twice."""
    store, now = occasion.store, occasion.clock.now()
    spec, memory = occasion.opened.fleet.vms[key], store.memories([key])[key]
    name = f"auto-{slot.astimezone(UTC):%Y%m%d-%H%M}"
    vmstate = bool(spec.snapshots and spec.snapshots.vmstate)
    token = f"{BY} {slot.astimezone(UTC):%Y-%m-%dT%H:%M}Z"
    params: dict[str, Json] = {"name": name, **({"vmstate": True} if vmstate else {})}
    try:
        said = ask(store, spec, memory, Wish(key, SNAPSHOT, token, BY, now, params), now)
        occasion.note(f"snapshot {name}: {said}", key)
    except Refused as error:
        occasion.warn(f"snapshot {name} is not taken: {error}", key)


def _handlers(occasion: Occasion, site: Site) -> list[Handler]:
    return [OldSnapshots(dict(_taken(occasion, site)))]


def _taken(occasion: Occasion, site: Site) -> Iterator[tuple[str, tuple[Aged, ...]]]:
    """Read the snapshots of VMs that have any, as their config says, and whose spec ages them."""
    fleet, store = occasion.opened.fleet, occasion.store
    cached = store.cache.all(site.name)
    for key, binding in sorted(store.bindings.all().items()):
        spec, kept = fleet.vms.get(key), cached.get(binding.vmid)
        if spec is None or spec.snapshots is None or binding.cluster != site.name:
            continue
        if not _has_any(kept) or binding.node is None:
            continue
        path = f"/nodes/{binding.node}/qemu/{binding.vmid}/snapshot"
        try:
            yield key, _aged(rows(site.api.get(path)))
        except ApiError as error:
            occasion.warn(f"its snapshots were not read: {error.text}", key)


def _has_any(kept: CachedVM | None) -> bool:
    """Whether a config names the snapshot that it goes back to, as it was last read."""
    answer = json.loads(kept.pending_json or "[]") if kept else []
    return any(row.get("key") == "parent" for row in rows(answer))


def _aged(listed: list[Row]) -> tuple[Aged, ...]:
    """`GET …/snapshot`: whole ones with their time; the current state is none."""
    return tuple(
        Aged(
            text(row, "name") or "",
            datetime.fromtimestamp(whole(row, "snaptime"), UTC),
            is_ours(text(row, "description") or ""),
        )
        for row in listed
        if row.get("name") != "current" and not row.get("snapstate")
    )
