"""Building a template from an image, step by step; each step is found in the cluster when done.

Killed anywhere, the same order goes on: what runs is waited for, what is there is not made again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import cast

from reconciler.clock import Clock
from reconciler.pve.images import image_nodes
from reconciler.pve.tasks import task_status
from reconciler.template.order import Order
from reconciler.template.standing import BuildError, Seen, look
from state.api import (
    Api,
    Contention,
    Forbidden,
    Json,
    Locked,
    MaybeRunning,
    NotFound,
    Refused,
    Unavailable,
)
from state.change import Call
from state.conf import VMConfig
from state.observed import ClusterView, TaskRow
from state.store import Store

FIRST_VMID = 9000
POLL, TRIES = 1.0, 5
Tell = Callable[[str], None]


class Step(StrEnum):
    """What is to be done next."""

    DOWNLOAD = "download"
    CREATE = "create"
    CONVERT = "convert"
    WAIT = "wait"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Built:
    """A template as it stands; `new` when this order made it."""

    vmid: int
    new: bool


@dataclass(slots=True)
class Builder:
    """Builds one template on one cluster. `free` asks Proxmox whether a vmid is."""

    order: Order
    cluster: str
    api: Api
    store: Store
    clock: Clock
    free: Callable[[int], bool]
    tell: Tell
    _kept: dict[str, Json] = field(default_factory=dict)
    _sent: bool = False
    _waits: str = ""

    def build(self, until: datetime) -> Built:
        """Do what is left to do. Raises BuildError, ApiError."""
        self._recall()
        tries = 0
        while True:
            seen = self._look()
            step = self._next(seen)
            if step is Step.DONE:
                vmid = seen.vmid or seen.finished
                if self._kept:
                    self.store.settings.put(self._setting, {})
                return Built(vmid, self._sent)
            if self.clock.now() >= until:
                raise BuildError("the time is out; the same command goes on from here")
            try:
                self._do(step, seen, until)
            except (MaybeRunning, Contention, Locked, Unavailable) as error:
                tries += 1
                if tries >= TRIES:
                    raise
                self.tell(f"{error.text}: looking again")
                self.clock.sleep(POLL)

    def left(self) -> list[Call]:
        """What would be sent, in order; nothing is written."""
        self._recall()
        seen = self._look()
        step = self._next(seen)
        if step is Step.DONE:
            return []
        vmid = seen.vmid or self._vmid(seen)
        downloads = [self.order.download()] if step is Step.DOWNLOAD else []
        creates = [] if seen.row else [self.order.creation(vmid)]
        return [*downloads, *creates, self.order.conversion(vmid)]

    # ------------------------------------------------------------------ memory

    @property
    def _setting(self) -> str:
        one = self.order
        return f"template:{self.cluster}:{one.node}:{one.storage}:{one.alias}"

    def _recall(self) -> None:
        """Take up what an earlier try of this very order kept; the world decides in the end."""
        kept = self.store.settings.get(self._setting)
        if not isinstance(kept, dict) or kept.get("image") != self.order.image:
            return
        if self.order.vmid in (None, kept.get("vmid")):
            self._kept = kept

    def _look(self) -> Seen:
        kept = int(cast("int", self._kept.get("vmid") or 0))
        return look(self.order, self.cluster, self.api, self.clock.now(), kept)

    def _keep(self, **facts: Json) -> None:
        self._kept = {**self._kept, "image": self.order.image, **facts}
        self.store.settings.put(self._setting, self._kept)

    # ------------------------------------------------------------------ deciding

    def _next(self, seen: Seen) -> Step:
        if seen.task is not None or (seen.row is not None and seen.row.lock):
            return Step.WAIT
        if seen.config is not None:
            return self._standing(seen.config, seen.vmid)
        if not seen.vmid and seen.finished and not self.order.again:
            return Step.DONE
        return Step.CREATE if self._image_is_there(seen.view) else Step.DOWNLOAD

    def _fetches(self, view: ClusterView) -> list[TaskRow]:
        """The tasks, past ones too, that fetched a file of this name to the node."""
        asked = ("download", self.order.file, self.order.node)
        return [one for one in view.tasks if (one.kind, one.id, one.node) == asked]

    def _was_fetched(self, view: ClusterView) -> bool:
        """Whether an earlier try of this order fetched it, be it that nobody heard of the end."""
        before = self._kept.get("before")
        if self._kept.get("fetched") or not isinstance(before, list):
            return bool(self._kept.get("fetched"))
        return any(one.status == "OK" for one in self._fetches(view) if one.upid not in before)

    def _standing(self, config: VMConfig, vmid: int) -> Step:
        """A VM that is made becomes a template; one that only says it is one helps nobody."""
        if not config.template:
            return Step.CONVERT
        disk = config.disks.get(config.boot_disk or "")
        if disk is None or "base-" not in disk.volume:
            raise BuildError(
                f"vm {vmid} says that it is a template, but its disk did not become one: can "
                f"storage {self.order.storage} make templates? Destroy it: qm destroy {vmid}"
            )
        return Step.DONE

    def _image_is_there(self, view: ClusterView) -> bool:
        there = self.order.node in image_nodes(self.api, view, self.order.image)
        if not self.order.url:
            if not there:
                raise BuildError(f"{self.order.image} is not on {self.order.node}, or not seen")
            return True
        verified = not self.order.checksum and not self.order.again
        return there and (verified or self._was_fetched(view))

    def _vmid(self, seen: Seen) -> int:
        """The vmid to build under; no VM is ever overwritten. Raises BuildError."""
        asked = self.order.vmid
        taken = seen.view.vms.keys() | self.store.bindings.vmids(self.cluster)
        if asked is not None:
            if asked in taken or not self.free(asked):
                raise BuildError(f"vm {asked} is there already; no template is ever overwritten")
            return asked
        vmid = FIRST_VMID
        while vmid in taken or not self.free(vmid):
            vmid += 1
        return vmid

    # ------------------------------------------------------------------ doing

    def _do(self, step: Step, seen: Seen, until: datetime) -> None:
        if step is Step.WAIT:
            self._wait(seen, until)
        elif step is Step.DOWNLOAD:
            self.tell(f"fetching {self.order.url} to {self.order.image}")
            before: list[Json] = [one.upid for one in self._fetches(seen.view)]
            self._keep(before=before)
            self._follow(self._fetch(), until)
            self._keep(fetched=True)
        elif step is Step.CREATE:
            vmid = seen.vmid or self._vmid(seen)
            self._keep(vmid=vmid)
            self.tell(f"creating vm {vmid} on {self.order.node} from {self.order.image}")
            self._follow(self._send(self.order.creation(vmid)), until)
        else:
            self.tell(f"converting vm {seen.vmid} to a template")
            self._follow(self._send(self.order.conversion(seen.vmid)), until)

    def _send(self, call: Call) -> str:
        self._sent = True
        return str(self.api.send(call, heavy=True))

    def _fetch(self) -> str:
        try:
            return self._send(self.order.download())
        except Forbidden as error:
            storage, node = self.order.image.partition(":")[0], self.order.node
            raise BuildError(
                f"{error.text}: to fetch an image takes Datastore.AllocateTemplate on "
                f"/storage/{storage} and Sys.AccessNetwork on /nodes/{node} (or Sys.Modify on /)"
            ) from error

    def _wait(self, seen: Seen, until: datetime) -> None:
        """Something is at work: an earlier try's task, or a lock whose task is not listed."""
        before, self._sent = "" if self._sent else ", begun before", True
        if seen.task is not None:
            upid, what = seen.task.upid, f"{seen.task.kind} {seen.task.id}"
            if upid == self._waits:  # It has ended, but the list of tasks does not know it yet.
                self.clock.sleep(POLL)
            else:
                self.tell(f"waiting for {what}{before}")
            self._waits = upid
            self._follow(upid, until)
        else:
            assert seen.row is not None
            text = f"vm {seen.vmid} is locked ({seen.row.lock}): waiting until it has gone"
            if text != self._waits:
                self.tell(text)
            self._waits = text
            self.clock.sleep(POLL)

    def _follow(self, upid: str, until: datetime) -> None:
        """Wait for a task's end, asking once a second. Raises BuildError when it failed."""
        begun = told = self.clock.now()
        while True:
            try:
                end = task_status(self.api, upid)
            except (NotFound, Refused, ValueError):
                return  # What came of it is seen by the next look.
            except (MaybeRunning, Unavailable):
                end = None
            if end is not None:
                break
            now = self.clock.now()
            if now >= until:
                raise BuildError(f"the time is out; {upid} goes on, and so does the same command")
            if now - told >= timedelta(seconds=15):
                told = now
                self.tell(f"... {(now - begun).total_seconds():.0f} s")
            self.clock.sleep(POLL)
        if not end.ok:
            raise BuildError(f"Proxmox: {end.text}")
