"""The loop `collect_statistics`: single nics, gaps, and the end of old hours (TASK-06)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from desired.timetable import read_timetable
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.prepare import fits
from reconciler.pve.form import quote_segment
from reconciler.secrets import SecretError
from reconciler.show.text import count_of
from reconciler.sim.embedded import EmbeddedFailed
from reconciler.usage.gaps import buckets, found_again, frame_for, moved_between
from reconciler.usage.sampling import Counters, sample
from reconciler.usage.statement import KEPT
from state.api import Api, ApiError
from state.meter import hour_of
from state.observed import ClusterView
from state.usage import GapOf, Hour
from state.view import resources_view, rows, text, whole


def collect_statistics() -> Loop:
    """Return the loop that completes what every run samples."""
    return Loop(
        "collect_statistics",
        "meter single nics, fill gaps from Proxmox's history, drop hours older than 35 days",
        lambda occasion: Collecting(occasion).go(),
        read_timetable("60min"),
        ("statistics",),
    )


@dataclass(slots=True)
class Collecting:
    """One run of the loop."""

    occasion: Occasion
    metered: int = 0
    problems: list[str] = field(default_factory=list)

    def go(self) -> LoopResult:
        """Sample every cluster, then repair, then purge; each cluster's trouble is its own."""
        occasion, store = self.occasion, self.occasion.store
        bindings = store.bindings.all()
        clusters = sorted({one.cluster for key, one in bindings.items() if self._fits(key)})
        gaps, repaired = store.usage.gaps(), 0
        for name in clusters:
            if occasion.out_of_time():
                break
            mine = {one.vmid: one for one in bindings.values() if one.cluster == name}
            try:
                api = occasion.opened.connect(name)
                view, netstat = _looked(api, name, occasion, mine)
                if not occasion.dry:
                    fleet = occasion.opened.fleet
                    sample(store, view, mine, fleet.name, fleet.schedule.zone, netstat)
                self.metered += len({vmid for vmid, _ in netstat} & mine.keys())
                repaired += self._repair(api, view, (one for one in gaps if one.cluster == name))
            except (ApiError, SecretError, EmbeddedFailed) as error:
                self.problems.append(f"cluster {name}: {error}")
        purged = 0 if occasion.dry else store.usage.purge(hour_of(occasion.start) - KEPT)
        said = f"{count_of(self.metered, 'VM')} metered, {count_of(repaired, 'gap')} repaired"
        return LoopResult(
            "error" if self.problems else "success",
            processed=self.metered,
            errors=len(self.problems),
            details=tuple(self.problems),
            message=f"{said}, {count_of(purged, 'old hour')} dropped",
        )

    def _fits(self, key: str) -> bool:
        return fits(key, self.occasion.options.only)

    def _repair(self, api: Api, view: ClusterView, gaps: Iterable[GapOf]) -> int:
        """Ask Proxmox's history about gaps whose hours are all over: one call each."""
        done = 0
        for one in gaps:
            if self.occasion.out_of_time():
                break
            if hour_of(one.gap.until) >= hour_of(view.at) or self.occasion.dry:
                continue
            row = view.vms.get(one.vmid)
            frame = frame_for(one.gap, view.at)
            hours = _history(api, row.node, one, frame) if row and frame else ()
            self.occasion.store.usage.repair(one, hours, self.occasion.opened.fleet.schedule.zone)
            done += bool(hours)
        return done


def _history(api: Api, node: str, one: GapOf, frame: str) -> tuple[Hour, ...]:
    """What `GET …/rrddata` tells of a gap; of a VM that is no longer there nothing is known."""
    path = f"/nodes/{quote_segment(node)}/qemu/{one.vmid}/rrddata"
    found = buckets(rows(api.get(path, {"timeframe": frame, "cf": "AVERAGE"})), one.gap)
    return (found_again if one.gap.lost else moved_between)(one.key, one.gap, found)


def _looked(
    api: Api, name: str, occasion: Occasion, mine: Collection[int]
) -> tuple[ClusterView, Counters]:
    """Read the cluster's rows, and the nics' counters: one call a node that we use (USE-01)."""
    view = resources_view(api, name, occasion.clock.now())
    counted: dict[tuple[int, str], tuple[int, int]] = {}
    there = {row.node for vmid, row in view.vms.items() if vmid in mine}
    for node in sorted(there & {one.node for one in view.nodes.values() if one.online}):
        try:
            answer = api.get(f"/nodes/{quote_segment(node)}/netstat")
        except ApiError as error:
            occasion.warn(f"cluster {name}: node {node}: {error}; its nics are not metered now")
            continue
        for row in rows(answer):
            nic = text(row, "dev")
            if nic:
                counted[whole(row, "vmid"), nic] = (whole(row, "in"), whole(row, "out"))
    return view, counted
