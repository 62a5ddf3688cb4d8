"""One VM looked at anew, nothing remembered believed: what differs, what misses (Q-10)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from reconciler.clock import Clock, SystemClock
from reconciler.config import Opened, Opening, open_live, open_preview
from reconciler.dryrun import dry_run
from reconciler.options import RunOptions
from reconciler.pve.form import quote_segment
from reconciler.queue.gate import looked
from reconciler.report import DryRun, Reporter
from reconciler.secrets import SecretError
from reconciler.sim.embedded import EmbeddedFailed
from state.api import Api, ApiError
from state.cache import CachedVM
from state.machine import machine
from state.observe import read_pending
from state.observed import ClusterView, VMRow
from state.view import rows, text


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found: `dry` is what a run would do, `missing` the volumes of disks (by slot) that
    their storage does not list, `pruned` the vmids that were remembered though they are gone.
    """

    key: str
    dry: DryRun
    missing: Mapping[str, str]
    pruned: tuple[int, ...]
    problems: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether this VM could not be judged; what is wrong with others does not count."""
        stuck = any(vm.kind in ("broken", "stuck", "unknown") for vm in self.dry.vms)
        return stuck or bool(self.dry.problems or self.problems)

    @property
    def differs(self) -> bool:
        return self.dry.differs or bool(self.missing)


def verify(
    options: RunOptions,
    key: str,
    reporter: Reporter,
    clock: Clock | None = None,
    live: Opening = open_live,
    preview: Opening = open_preview,
) -> Verified:
    """Look at a VM anew. Nothing is sent but reads; the store forgets what it had read before.

    Raises UnusableSource, StoreError.
    """
    clock = clock or SystemClock()
    missing: dict[str, str] = {}
    pruned: tuple[int, ...] = ()
    problems: list[str] = []
    with live(options.fleet, options.database, clock.now()) as opened:
        binding = opened.store.bindings.of(key)
        if binding is not None:
            try:
                api = opened.connect(binding.cluster)
                view = looked(api, binding.cluster, clock.now())
                opened.store.cache.mark_dirty(
                    binding.cluster, binding.vmid, clock.now(), firewall=True
                )
                pruned = _pruned(opened, view)
                row = view.vms.get(binding.vmid)
                missing = dict(_missing(api, row, problems)) if row else {}
            except (ApiError, SecretError, EmbeddedFailed) as error:
                problems.append(f"cluster {binding.cluster}: {error}")
    dry = dry_run(replace(options, only=(key,)), reporter, clock, preview)
    return Verified(key, dry, missing, pruned, tuple(problems))


def _pruned(opened: Opened, view: ClusterView) -> tuple[int, ...]:
    """Forget what was read of machines that are none of ours and not there any more."""
    if view.problem:
        return ()
    cache, mine = opened.store.cache, opened.store.bindings.vmids(view.name)
    gone = sorted(cache.all(view.name).keys() - view.vms.keys() - mine)
    for vmid in gone:
        cache.drop(view.name, vmid)
    return tuple(gone)


def _missing(api: Api, row: VMRow, problems: list[str]) -> Iterator[tuple[str, str]]:
    """The volumes that no storage has: `GET /nodes/N/storage/S/content` of each that is named."""
    document = msgspec.json.encode(read_pending(api, row)).decode()
    config = machine(CachedVM(row.vmid, document)).config
    if config is None:
        return
    listed: dict[str, set[str] | None] = {}
    for slot, drive in sorted(config.live.drives.items()):
        storage = drive.storage
        if storage is None or drive.cdrom:
            continue
        if storage not in listed:
            listed[storage] = _content(api, row, storage, problems)
        there = listed[storage]
        if there is not None and drive.volume not in there:
            yield slot, drive.volume


def _content(api: Api, row: VMRow, storage: str, problems: list[str]) -> set[str] | None:
    """What a storage has of the VM; None where it could not be asked."""
    path = f"/nodes/{quote_segment(row.node)}/storage/{quote_segment(storage)}/content"
    try:
        answer = api.get(path, {"vmid": row.vmid})
    except ApiError as error:
        problems.append(f"{storage} on {row.node}: {error.text}")
        return None
    return {text(one, "volid") or "" for one in rows(answer)}
