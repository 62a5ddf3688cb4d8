"""What a reset to a state comes to, and what may be forgotten."""

from datetime import UTC, datetime

import pytest

from reconciler.pipeline import CHANGE, DEPLOY
from reconciler.redo import INSTEAD
from reconciler.verbs.asking import Refused, refusal
from reconciler.verbs.forget import may_forget
from reconciler.verbs.reset import reset_to
from state.memory import Intent, Memory, Phase
from state.verbs import Wish
from tests.engine import binding, spec

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
READY = Memory(binding(phase=Phase.READY))


def wish(verb: str, **params: str) -> Wish:
    return Wish("web-1", verb, "t1", "ann", AT, params)


@pytest.mark.parametrize("row", [DEPLOY, CHANGE], ids=["deploy", "change"])
def test_c_13_a_state_means_done_and_what_is_behind_it_is_made_again(row: object) -> None:
    """C-13: of every state, in the table's order, without what is never made again."""
    names = DEPLOY.names if row is DEPLOY else CHANGE.names
    for number, state in enumerate(names[:-1]):
        if state in ("creation", "set_ip"):
            continue
        later = [name for name in names[number + 1 : -1] if name not in INSTEAD]
        assert list(reset_to(state, READY).steps) == later


def test_term_12_states_before_the_machine_destroy_it() -> None:
    assert reset_to("creation", READY).verb == "redeploy"
    assert reset_to("set_ip", READY).verb == "reinstall"
    assert reset_to("ready", READY).phase is Phase.READY
    assert reset_to("terminate", READY).phase is Phase.TERMINATE
    assert reset_to("remove", READY).phase is Phase.ABANDONED


@pytest.mark.parametrize("state", ["odd", "set_dns_records"])
def test_what_is_no_state_of_a_vm_is_refused(state: str) -> None:
    with pytest.raises(Refused):
        reset_to(state, READY)


def test_a_key_without_a_machine_has_no_state_to_set() -> None:
    with pytest.raises(Refused, match="no machine of it yet"):
        reset_to("ready", Memory())


@pytest.mark.parametrize("phase", [Phase.ERROR_TERMINATE, Phase.ABANDONED, Phase.REMOVED])
def test_term_13_what_has_ended_may_be_forgotten(phase: Phase) -> None:
    may_forget(Memory(binding(phase=phase)), wanted=True)


def test_term_13_what_lives_is_forgotten_only_when_no_spec_wants_it() -> None:
    with pytest.raises(Refused, match="only a VM is forgotten"):
        may_forget(READY, wanted=True)
    may_forget(READY, wanted=False)
    may_forget(Memory(intents={"removed": Intent("web-1", "removed", AT)}), wanted=True)


@pytest.mark.parametrize(
    ("verb", "memory", "why"),
    [
        ("snapshot", Memory(), "no machine of it yet"),
        ("move", Memory(binding(phase=Phase.ABANDONED)), "it is abandoned"),
        ("rollback", READY, "no snapshot is named"),
        ("move", READY, "either a node or a storage"),
    ],
)
def test_what_may_not_be_asked_says_why(verb: str, memory: Memory, why: str) -> None:
    assert why in refusal(spec(), memory, wish(verb))


def test_specs_have_a_say_in_what_is_asked() -> None:
    kept = spec(disks={"scsi1": {"size": "5GiB", "storage": "local", "reclaim": "retain"}})
    assert refusal(kept, READY, wish("reinstall")) == ""
    bound = spec(node={"name": "pve1", "enforce": True})
    assert "keeps it on pve1" in refusal(bound, READY, wish("move", node="pve2"))
    assert refusal(bound, READY, wish("move", node="pve1")) == ""
    assert "quota of snapshots is 0" in refusal(
        spec(quota={"snapshots": 0}), READY, wish("snapshot")
    )
    odd = refusal(spec(), READY, wish("rollback", name="../../status/stop"))
    assert odd.startswith("'../../status/stop' is no snapshot's name")
    assert "no spec wants it" in refusal(None, READY, wish("suspend"))
    assert refusal(None, READY, wish("delete-snapshot", name="gold")) == ""


def test_while_a_machine_ends_nothing_else_is_asked() -> None:
    ends = Memory(READY.binding, intents={"do.reinstall": Intent("web-1", "do.reinstall", AT)})
    assert "a reinstall of it is under way" in refusal(spec(), ends, wish("snapshot"))
