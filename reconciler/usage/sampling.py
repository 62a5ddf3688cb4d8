"""Reads the traffic counters off the rows that a tick reads anyway (USE-01): no call of its own."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, tzinfo

from handlers.marker import marker_tag
from state.memory import Binding
from state.meter import HourBytes, Meter, Reading, advance, hour_of
from state.observed import ClusterView, VMRow
from state.store import Store
from state.usage import WHOLE, Hour, Meters


def sample(
    store: Store, view: ClusterView, bindings: Mapping[int, Binding], fleet: str, zone: tzinfo
) -> None:
    """Meter every running VM of ours in one transaction; `bindings` are the cluster's, by vmid.

    A row without our tag may be somebody else's machine under our vmid: it is not metered. What
    another process kept meanwhile stands.
    """
    before, tag = store.usage.meters(view.name), marker_tag(fleet)
    meters: dict[int, Meter] = {}
    hours: list[Hour] = []
    for vmid, binding in bindings.items():
        row, meter = view.vms.get(vmid), before.by_vmid.get(vmid)
        reading = reading_of(row, view.at) if row and tag in row.tags else None
        if reading:
            meter, over = advance(meter, binding.key, reading, binding.created_at)
        else:
            meter, over = closed(meter, view.at)
        if meter:
            meters[vmid] = meter
            hours += (hour_row(meter.key, one) for one in over)
    for vmid in before.by_vmid.keys() - bindings.keys():
        gone = before.by_vmid[vmid]
        hours += [hour_row(gone.key, gone.open)] if moved(gone.open) else []
    if meters != before.by_vmid:
        store.usage.keep(view.name, before, Meters(view.at, meters), hours, zone)


def reading_of(row: VMRow, at: datetime) -> Reading | None:
    """The counters of a running VM; None when the row does not tell them."""
    if row.status != "running" or row.uptime <= 0:
        return None
    return Reading(at, row.netin, row.netout, row.uptime)


def closed(meter: Meter | None, at: datetime) -> tuple[Meter | None, tuple[HourBytes, ...]]:
    """The meter of a machine that tells no counters; an hour that is over is closed."""
    if meter is None or meter.open.hour >= hour_of(at):
        return meter, ()
    fresh = replace(meter, open=HourBytes(hour_of(at), 0, 0))
    return fresh, (meter.open,) if moved(meter.open) else ()


def moved(hour: HourBytes) -> bool:
    return bool(hour.bytes_in or hour.bytes_out)


def hour_row(key: str, one: HourBytes) -> Hour:
    """An hour of a machine as the store keeps it."""
    spread = one.bytes_in + one.bytes_out if one.spread else 0
    return Hour(key, WHOLE, one.hour, one.bytes_in, one.bytes_out, spread)
