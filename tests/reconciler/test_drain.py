"""What the drain withholds, and what it goes by."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from desired.spec import VMSpec
from desired.windows import Window
from reconciler.drain import Drain, resume, stopped_by
from reconciler.spent import Spent
from state.change import Change, Effect, Note
from state.memory import Attempt, Intent, Memory
from state.observed import SeenVM
from state.store import Store
from tests.engine import AT, SECOND, UUID, binding, change, fleet, seen, spec, task, view, vm

RESTART = change("power", "stop", old="running", new="stopped", effect=Effect.STOP_START)
ALWAYS = {"start": "* * * * *", "for": "1h", "at_most": 2}


def of(key: str, vmid: int = 101, status: str = "running", **intents: Intent) -> SeenVM:
    memory = Memory(binding(key, vmid, uuid=UUID), intents=intents)
    row = vm(vmid, status=status, uptime=9000)
    return seen(key, memory=memory, row=row, status=status)


def pair(**fields: object) -> tuple[VMSpec, ...]:
    return tuple(spec(key, anti_affinity="db", **fields) for key in "ab")


def learnt(*specs: VMSpec, memories: Mapping[str, Memory] | None = None) -> Drain:
    drain = Drain()
    with Store.temporary(at=AT) as store:
        drain.learn(fleet(*specs), store, memories or {}, AT)
    return drain


def told(note: Note | None) -> tuple[str | None, str]:
    assert note is not None
    return note.condition, note.reason


@pytest.mark.parametrize(
    "other",
    [
        change("cpu"),
        change("power", "power", new="running"),
        change("power", "stop.off", effect=Effect.STOP_START),
    ],
)
def test_only_restarts_are_withheld(other: Change) -> None:
    drain = learnt(*pair())
    drain.begin("a", AT)
    assert drain.withhold(of("b"), other, pair()[1], None) is None
    assert drain.withhold(of("b"), RESTART, pair()[1], None) is not None


def test_a_restart_that_was_begun_or_that_a_person_wants_now_passes() -> None:
    drain = learnt(*pair())
    drain.begin("a", AT)
    begun = of("b", stop=Intent("b", "stop", AT - 10 * SECOND, 0, "ab UPID:x"))
    assert drain.withhold(begun, RESTART, pair()[1], None) is None
    now = of("b", restart=Intent("b", "restart", AT, 0, "now"))
    assert drain.withhold(now, RESTART, pair()[1], None) is None
    asked = of("b", restart=Intent("b", "restart", AT))
    assert told(drain.withhold(asked, RESTART, pair()[1], None))[0] is None


def test_a_mate_that_is_being_restarted_is_waited_for_in_this_run() -> None:
    drain = learnt(*pair())
    drain.begin("a", AT)
    note = drain.withhold(of("b"), RESTART, pair()[1], None)
    assert told(note) == (None, "waits: a of group db is being restarted")
    assert drain.withhold(of("a"), RESTART, pair()[0], None) is None
    assert drain.withhold(of("c"), RESTART, spec("c"), None) is None
    drain.see(of("a"), ())
    assert drain.withhold(of("b"), RESTART, pair()[1], None) is None


def test_a_mate_that_does_not_run_is_waited_for_and_one_that_shall_not_is_not() -> None:
    specs = (*pair(), spec("c", anti_affinity="db", power="stopped"), spec("d"))
    drain = learnt(*specs)
    rows = [vm(101, status="stopped"), vm(102, status="running"), vm(103), vm(104)]
    drain.observe(specs, view(rows), {"a": 101, "b": 102, "c": 103, "d": 104})
    assert drain.off == {"a"}
    note = drain.withhold(of("b", 102), RESTART, pair()[1], None)
    assert told(note) == ("GroupDown", "waits until a of group db runs again")
    drain.observe(specs, view([vm(101, status="running"), *rows[1:]]), {})
    assert drain.off == set()
    drain.observe(specs, view(rows[1:]), {})
    assert drain.off == {"a"}


def test_what_an_earlier_run_left_may_be_down() -> None:
    memory = of("a", stop=Intent("a", "stop", AT)).memory
    drain = learnt(*pair(), memories={"a": memory, "b": Memory()})
    assert told(drain.withhold(of("b"), RESTART, pair()[1], None))[0] == "GroupDown"
    drain.learn(fleet(), Store.temporary(at=AT), {"b": memory}, AT)
    assert drain.left == {"a"}
    drain.see(of("a"), ())
    assert drain.withhold(of("b"), RESTART, pair()[1], None) is None


def test_a_window_has_room_for_so_many_and_for_who_was_counted() -> None:
    window = {"always": Window.model_validate(ALWAYS)}
    specs = {key: spec(key, restart="window", windows=window) for key in "abc"}
    drain = learnt(*specs.values())
    for key in ("a", "b", "elsewhere"):
        drain.begin(key, AT)
    note = drain.withhold(of("c"), RESTART, specs["c"], None)
    words = "window always: 2 of 2 VMs were restarted in this opening"
    assert told(note) == ("WindowFull", words)
    assert drain.withhold(of("a"), RESTART, specs["a"], None) is None
    asked = of("c", restart=Intent("c", "restart", AT))
    assert drain.withhold(asked, RESTART, specs["c"], None) is None
    allowed = specs["c"].model_copy(update={"restart": "allow"})
    assert drain.withhold(of("c"), RESTART, allowed, 1) is None
    drain.restarts = dict.fromkeys("ab", AT - 7200 * SECOND)
    assert drain.withhold(of("c"), RESTART, specs["c"], None) is None


def test_the_guard_says_how_many_where_the_window_does_not() -> None:
    window = {"always": Window.model_validate({"start": "* * * * *", "for": "1h"})}
    one = spec("c", restart="window", windows=window)
    drain = learnt(one, spec("a", restart="window", windows=window))
    drain.begin("a", AT)
    assert drain.withhold(of("c"), RESTART, one, None) is None
    assert told(drain.withhold(of("c"), RESTART, one, 1))[0] == "WindowFull"
    assert drain.withhold(of("c"), RESTART, spec("c", restart="window"), 1) is None


STOP = Intent("a", "stop", AT - 10 * SECOND, 0, "ab UPID:x")
FAILED = Attempt("a", "power", 1, "no room", AT, AT)


def test_one_whose_start_is_refused_stops_the_drain_and_a_person_lets_it_go_on() -> None:
    lost = of("a", status="stopped", stop=STOP)
    lost = replace(lost, memory=replace(lost.memory, attempts={"power": FAILED}))
    with Store.temporary(at=AT) as store:
        drain = Drain()
        drain.learn(fleet(*pair()), store, {}, AT)
        drain.keep(store)
        assert stopped_by(store) is None
        drain.see(lost, ())
        drain.keep(store)
        drain.keep(store)
        stopped = stopped_by(store)
        assert stopped is not None and (stopped.key, stopped.why) == ("a", "no room")
        assert [one.event for one in store.outbox.past("drain_stopped")] == ["drain_stopped"]
        condition, words = told(drain.withhold(of("c"), RESTART, spec("c"), None))
        assert condition == "DrainStopped" and words.endswith("then reconcile debt --resume")
        assert drain.withhold(of("a"), RESTART, pair()[0], None) is None
        later = Drain()
        later.learn(fleet(*pair()), store, {}, AT)
        assert later.stopped == stopped
        assert resume(store) == stopped
        assert resume(store) is None
        again = Drain()
        again.learn(fleet(*pair()), store, {"a": lost.memory}, AT)
        assert again.stopped is None
        anew = replace(lost.memory, intents={"stop": replace(STOP, at=AT - SECOND)})
        again = Drain()
        again.learn(fleet(*pair()), store, {"a": anew}, AT)
        assert again.stopped is not None


def test_a_start_that_proxmox_never_heard_of_stops_nothing_for_some_time() -> None:
    note = Note("a", "power", "verify", "VM failed to start", "StartFailed", blocking=True)
    unheard = of("a", status="stopped", stop=STOP)
    drain = learnt(*pair())
    drain.see(unheard, [note])
    assert drain.stopped is None
    heard = replace(task("qmstart", 101), starttime=int(AT.timestamp()))
    drain.see(replace(unheard, cluster=view(tasks=(heard,))), [note])
    assert drain.stopped is not None and drain.stopped.why == "VM failed to start"
    long = of("a", status="stopped", stop=replace(STOP, at=AT - 301 * SECOND))
    drain = learnt(*pair())
    drain.see(long, [note])
    assert drain.stopped is not None


def test_a_vm_that_was_only_to_stay_off_stops_nothing() -> None:
    off = of("a", stop=replace(STOP, detail="off UPID:x"))
    off = replace(off, memory=replace(off.memory, attempts={"power": FAILED}))
    drain = learnt(*pair())
    drain.see(off, ())
    assert drain.stopped is None and drain.begun == {"a"}
    drain.see(of("b", status="stopped"), ())
    assert drain.begun == {"a"}


def test_an_unbound_vm_has_no_start_to_be_heard_of() -> None:
    drain = learnt(*pair())
    note = Note("a", "power", "verify", "x", "HAError")
    bare = replace(of("a", status="stopped"), memory=Memory(intents={"stop": STOP}))
    drain.see(bare, [note])
    assert drain.stopped is None
    assert Spent().drain.known is False
