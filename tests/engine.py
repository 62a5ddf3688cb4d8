"""Small pieces of what the engine works on: a spec, a view, a VM, an API that answers as told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec

from desired.catalog import Cluster, Pool
from desired.source import Fleet
from desired.spec import VMSpec
from desired.units import GIB
from reconciler.report import Event
from state.api import Json, NotFound
from state.change import Call, Change, Effect, Method, Param
from state.conf import VMConfig
from state.machine import Machine
from state.memory import Binding, Lease, Memory
from state.observed import (
    ClusterView,
    NodeRow,
    Presence,
    SeenConfig,
    SeenVM,
    StorageRow,
    TaskRow,
    VMRow,
)

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
UPID = "UPID:pve1:00000001:00000002:65E1D2C0:{kind}:{id}:reconcile@pve:"
UUID = "11111111-2222-4333-8444-555555555555"
DEMO = Cluster.model_validate({"simulated": {}})
POOL = Pool.model_validate(
    {"network": "192.0.2.0/29", "gateway": "192.0.2.1", "dns": ["192.0.2.1", "192.0.2.2"]}
)
POOL6 = Pool.model_validate({"network": "2001:db8::/125", "gateway": "2001:db8::1"})


def spec(key: str = "web-1", **fields: object) -> VMSpec:
    plain = {"key": key, "cluster": "demo", "name": key.replace("/", "-"), "template": "debian"}
    return VMSpec.model_validate(plain | fields)


def fleet(*specs: VMSpec, **fields: object) -> Fleet:
    """A fleet `demo` with the template `debian` (9000 to 9002) and the pools v4 and v6."""
    return Fleet(
        name="demo",
        clusters={"demo": DEMO},
        vms={one.key: one for one in specs},
        templates={"debian": {"demo": (9000, 9001, 9002)}},
        pools={"v4": POOL, "v6": POOL6},
        **fields,  # type: ignore[arg-type]
    )


def node(name: str, free: int = 8, **fields: object) -> NodeRow:
    """A node of 16 GiB, `free` GiB of them free."""
    used = (16 - free) * GIB
    return NodeRow(name, **{"online": True, "mem": used, "maxmem": 16 * GIB, **fields})  # type: ignore[arg-type]


def vm(vmid: int, on: str = "pve1", **fields: object) -> VMRow:
    return VMRow(vmid, on, **{"status": "stopped", "name": f"vm-{vmid}", **fields})  # type: ignore[arg-type]


def template(vmid: int, on: str) -> VMRow:
    return vm(vmid, on, template=True)


def storage(name: str, *nodes: str, **fields: object) -> list[StorageRow]:
    return [StorageRow(name, one, **fields) for one in nodes]  # type: ignore[arg-type]


def view(
    vms: Iterable[VMRow] = (),
    nodes: Iterable[NodeRow] | None = None,
    **fields: object,
) -> ClusterView:
    """The cluster `demo` of three online nodes, unless other nodes are given."""
    rows = list(nodes) if nodes is not None else [node(f"pve{n}") for n in (1, 2, 3)]
    return ClusterView(
        **{  # type: ignore[arg-type]
            "name": "demo",
            "at": AT,
            "nodes": {one.node: one for one in rows},
            "vms": {one.vmid: one for one in vms},
            **fields,
        }
    )


def task(kind: str, id: int | str, **fields: object) -> TaskRow:
    upid = UPID.format(kind=kind, id=id)
    return TaskRow(upid, "pve1", kind, str(id), "reconcile@pve", 1, **fields)  # type: ignore[arg-type]


def config(live: Mapping[str, object] | None = None, **raw: object) -> SeenConfig:
    """What was read of a VM: `live` differs from `raw` where values are pending."""
    wanted = VMConfig(raw)  # type: ignore[arg-type]
    return SeenConfig(wanted, VMConfig(live) if live else wanted, digest="d1", read_at=AT)  # type: ignore[arg-type]


def machine(**raw: object) -> Machine:
    return Machine(config(**raw))


def marked(key: str, vmid: int, store: str, fleet: str = "demo") -> str:
    return f"reconcile: store={store} fleet={fleet} key={key} vmid={vmid}"


def binding(key: str = "web-1", vmid: int = 101, **fields: object) -> Binding:
    return Binding(key, "demo", vmid, key, **fields)  # type: ignore[arg-type]


def lease(key: str, address: str, nic: str = "net0", ordinal: int = 0, pool: str = "v4") -> Lease:
    six = ":" in address
    return Lease(key, nic, "ipv6" if six else "ipv4", ordinal, address, 125 if six else 29, pool)


def seen(key: str = "web-1", memory: Memory | None = None, **fields: object) -> SeenVM:
    """A VM that is there: vmid 101 on pve1, stopped, with an empty config."""
    memory = memory or Memory(binding(key, uuid=UUID))
    vmid = memory.binding.vmid if memory.binding else 0
    row = vm(vmid)
    plain = {"presence": Presence.PRESENT, "row": row, "config": config(), "status": row.status}
    return SeenVM(key, AT, view([row]), memory, **plain | fields)  # type: ignore[arg-type]


def absent(key: str = "web-1", memory: Memory | None = None, **fields: object) -> SeenVM:
    plain = {"presence": Presence.ABSENT, **fields}
    return SeenVM(key, AT, view(), memory or Memory(), **plain)  # type: ignore[arg-type]


def change(handler: str, field: str = "value", **fields: object) -> Change:
    plain: dict[str, object] = {"subject": "web-1", "old": 1, "new": 2}
    return Change(handler=handler, field=field, **plain | fields)  # type: ignore[arg-type]


def config_put(handler: str, field: str = "value", vmid: int = 101, **params: Param) -> Change:
    path = f"/nodes/pve1/qemu/{vmid}/config"
    return change(handler, field, calls=(Call(Method.PUT, path, params),))


def destroy(key: str = "web-1") -> Change:
    return change("terminate", "vm", subject=key, new=None, effect=Effect.DESTROY)


@dataclass
class HandClock:
    """Time that moves only when somebody sleeps, or by `step` s whenever it is read."""

    at: datetime = AT
    step: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        self.at += timedelta(seconds=self.step)
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


Answer = Json | Exception | Callable[[], Json]


@dataclass
class Answers:
    """An API that gives the answers written down for it, each path's in turn, the last for ever.

    A path without an answer gives None to a write and NotFound to a read.
    """

    answers: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    sent: list[Call] = field(default_factory=list)
    got: list[str] = field(default_factory=list)
    identity: str = "reconcile@pve!fleet"
    skew: float | None = 0.0
    trace: Callable[[str, str, float, int], None] | None = None

    @property
    def reads(self) -> int:
        return len(self.got)

    @property
    def writes(self) -> int:
        return len(self.sent)

    def get(self, path: str, params: Mapping[str, Param] | None = None) -> Json:
        self.got.append(path)
        if path not in self.answers:
            raise NotFound(f"no {path}")
        return self._next(path, self.got.count(path))

    def send(self, call: Call, *, heavy: bool = False) -> Json:
        self.sent.append(call)
        if call.path not in self.answers:
            return None
        return self._next(call.path, sum(one.path == call.path for one in self.sent))

    def _next(self, path: str, times: int) -> Json:
        answers = self.answers[path]
        answer = answers[min(times, len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


@dataclass
class Told:
    """A reporter that keeps what it was told."""

    events: list[Event] = field(default_factory=list)

    def report(self, *events: Event) -> None:
        self.events.extend(events)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


def pending(digest: str = "d1", **values: object) -> list[Json]:
    """The answer of `GET …/pending` to a VM with nothing pending."""
    rows = [{"key": key, "value": value} for key, value in values.items()]
    return msgspec.to_builtins([*rows, {"key": "digest", "value": digest}])  # type: ignore[no-any-return]


def later(found: SeenVM, seconds: float) -> SeenVM:
    return replace(found, at=found.at + timedelta(seconds=seconds))
