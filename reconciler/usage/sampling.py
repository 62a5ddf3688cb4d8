"""Reads the traffic counters off the rows that a tick reads anyway (USE-01): no call of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

from handlers.marker import marker_tag
from state.memory import Binding
from state.meter import Advanced, HourBytes, Meter, Reading, advance, hour_of
from state.observed import ClusterView, VMRow
from state.store import Store
from state.usage import WHOLE, GapOf, Hour, Meters

Counters = Mapping[tuple[int, str], tuple[int, int]]
"""Bytes in and out by vmid and nic, as `GET /nodes/N/netstat` tells them."""


@dataclass(slots=True)
class Sample:
    """What one look makes of a cluster's meters; `before` is what they were."""

    cluster: str
    at: datetime
    before: Meters
    meters: dict[int, Meter] = field(default_factory=dict)
    nics: dict[tuple[int, str], Meter] = field(default_factory=dict)
    hours: list[Hour] = field(default_factory=list)
    gaps: list[GapOf] = field(default_factory=list)

    def whole(self, vmid: int, binding: Binding, reading: Reading | None) -> None:
        """Take a machine's counters; without them an hour that is over is closed all the same."""
        meter = self.before.by_vmid.get(vmid)
        if reading:
            found = advance(meter, binding.key, reading, binding.created_at)
        elif meter:
            found = closed(meter, self.at)
        else:
            return
        self.meters[vmid] = found.meter
        self.hours += (hour_row(found.meter.key, one) for one in found.over)
        if found.gap:
            self.gaps.append(GapOf(self.cluster, vmid, binding.key, found.gap))

    def single(self, vmid: int, nic: str, binding: Binding, reading: Reading) -> None:
        """Take a nic's counters."""
        meter = self.before.by_nic.get((vmid, nic))
        found = advance(meter, binding.key, reading, binding.created_at)
        self.nics[vmid, nic] = found.meter
        self.hours += (hour_row(binding.key, one, nic) for one in found.over)

    def end(self, vmids: Mapping[int, Binding]) -> None:
        """Keep what was not looked at; close what is no longer ours."""
        for vmid, meter in self.before.by_vmid.items():
            if vmid not in vmids:
                self.hours += [hour_row(meter.key, meter.open)] if moved(meter.open) else []
        for (vmid, nic), meter in self.before.by_nic.items():
            if (vmid, nic) in self.nics:
                continue
            if vmid in vmids:
                self.nics[vmid, nic] = meter
            elif moved(meter.open):
                self.hours.append(hour_row(meter.key, meter.open, nic))

    def keep(self, store: Store, zone: tzinfo) -> bool:
        """Keep it in one transaction; False when another process was quicker."""
        if (self.meters, self.nics) == (self.before.by_vmid, self.before.by_nic):
            return True
        now = Meters(self.at, self.meters, self.nics)
        return store.usage.keep(self.cluster, self.before, now, self.hours, zone, self.gaps)


def sample(
    store: Store,
    view: ClusterView,
    bindings: Mapping[int, Binding],
    fleet: str,
    zone: tzinfo,
    netstat: Counters | None = None,
) -> None:
    """Meter every running VM of ours in one transaction; `bindings` are the cluster's, by vmid.

    A row without our tag may be somebody else's machine under our vmid: it is not metered. What
    another process kept meanwhile stands.
    """
    found, tag = Sample(view.name, view.at, store.usage.meters(view.name)), marker_tag(fleet)
    readings: dict[int, Reading] = {}
    for vmid, binding in bindings.items():
        row = view.vms.get(vmid)
        reading = reading_of(row, view.at) if row and tag in row.tags else None
        found.whole(vmid, binding, reading)
        if reading:
            readings[vmid] = reading
    for (vmid, nic), (received, sent) in (netstat or {}).items():
        if vmid in readings:
            counted = replace(readings[vmid], bytes_in=received, bytes_out=sent)
            found.single(vmid, nic, bindings[vmid], counted)
    found.end(bindings)
    found.keep(store, zone)


def reading_of(row: VMRow, at: datetime) -> Reading | None:
    """The counters of a running VM; None when the row does not tell them."""
    if row.status != "running" or row.uptime <= 0:
        return None
    return Reading(at, row.netin, row.netout, row.uptime)


def closed(meter: Meter, at: datetime) -> Advanced:
    """The meter of a machine that tells no counters; an hour that is over is closed."""
    if meter.open.hour >= hour_of(at):
        return Advanced(meter)
    fresh = replace(meter, open=HourBytes(hour_of(at), 0, 0))
    return Advanced(fresh, (meter.open,) if moved(meter.open) else ())


def moved(hour: HourBytes) -> bool:
    return bool(hour.bytes_in or hour.bytes_out)


def hour_row(key: str, one: HourBytes, nic: str = WHOLE) -> Hour:
    """An hour of a machine, or of a nic of it, as the store keeps it."""
    spread = one.bytes_in + one.bytes_out if one.spread else 0
    return Hour(key, nic, one.hour, one.bytes_in, one.bytes_out, spread)
