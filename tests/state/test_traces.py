"""What others did to our VMs, and the spec under which a VM last settled."""

from datetime import UTC, datetime, timedelta

from state.applied import AppliedSpec
from state.memory import Binding
from state.store import Store
from state.traces import KEPT, Trace

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_traces_are_kept_by_machine_and_in_their_order() -> None:
    with Store.temporary(at=AT) as store:
        first = Trace(AT, 101, "root@pam", "update VM 101: -cores 4")
        later = Trace(AT + timedelta(hours=1), 101, "ann@pve", "update VM 101: -memory 2048")
        store.traces.add("lab", [first, Trace(AT, 102, "root@pam", "update VM 102: -cores 1")])
        store.traces.add("lab", [later])
        store.traces.add("other", [Trace(AT, 101, "eve@pve", "update VM 101: -name x")])
        assert store.traces.of("lab", 101) == (first, later)


def test_old_traces_go() -> None:
    with Store.temporary(at=AT) as store:
        store.traces.add("lab", [Trace(AT, 101, "root@pam", "update VM 101: -cores 4")])
        fresh = Trace(AT + KEPT + timedelta(seconds=1), 102, "root@pam", "update VM 102: -cores 4")
        store.traces.add("lab", [fresh])
        assert store.traces.of("lab", 101) == ()
        store.traces.add("lab", [])
        assert store.traces.of("lab", 102) == (fresh,)


def test_the_applied_spec_follows_its_machine_and_goes_with_it() -> None:
    with Store.temporary(at=AT) as store:
        store.bindings.bind(Binding("old", "lab", 101, "old"))
        store.applied.put(AppliedSpec("old", "{}", AT))
        store.applied.put(AppliedSpec("old", '{"a":1}', AT))
        assert store.bindings.rename_key("old", "new")
        assert store.applied.of("old") is None
        assert store.applied.of("new") == AppliedSpec("new", '{"a":1}', AT)
        store.bindings.forget("new", AT)
        assert store.applied.of("new") is None
