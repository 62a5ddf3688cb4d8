"""A site's own handler of VMs: asked in a child, then planned, guarded, sent and journaled."""

from pathlib import Path

import pytest

from reconciler.loops.loop import LoopResult
from reconciler.own.fitness import unfit
from reconciler.testing import MARK, seen_of, spec_of
from state.change import Call, Method
from tests.reconciler.own.jobs import OwnLab, own_lab

HERE = "/nodes/pve1/qemu/100"
HEAD = """\
from handlers.handler import config_call
from state.change import Call, Change, Method, Note


class Handler:
    def diff(self, spec, seen):
"""
CODE = (
    HEAD
    + """\
        wanted = spec.extensions.get("keyboard")
        if wanted is None or seen.config.wanted.text("keyboard") == wanted:
            return
        yield Note(seen.key, "", "keyboard", "not set yet", "KeyboardOff")
        call = config_call(seen, {"keyboard": wanted})
        yield Change(seen.key, "", "keyboard", None, wanted, (call,))
"""
)


@pytest.fixture
def lab(tmp_path: Path) -> OwnLab:
    made = own_lab(tmp_path)
    file = next((made.fleet / "vms").iterdir())
    file.write_text(f"{file.read_text()}  extensions: {{keyboard: de}}\nvm-1: {{node: pve1}}\n")
    made.settle()
    return made


def run(lab: OwnLab, body: str, **metadata: object) -> LoopResult:
    """Run a handler whose diff has a body, indented by eight."""
    lab.code("own", HEAD + body, handler=True, **metadata)
    return lab.one(lab.own("own"))


def test_a_handler_is_planned_sent_and_journaled_by_the_one_engine(lab: OwnLab) -> None:
    """An extension of the spec reaches it; a second run finds nothing to do."""
    lab.code("own", CODE, handler=True)
    dry = lab.preview(lab.own("own"))
    assert dry.plan is not None
    assert [(vm.key, len(vm.changes)) for vm in dry.plan.vms] == [("vm-0", 1), ("vm-1", 0)]
    assert not lab.wire.writes(lab.wire.run)
    result = lab.one(lab.own("own"))
    assert (result.status, result.processed) == ("success", 1)
    [sent] = lab.wire.writes(lab.wire.run)
    assert sent.method == "PUT" and sent.path.endswith("/config")
    assert sent.params["keyboard"] == "de" and "digest" in sent.params
    again = lab.one(lab.own("own"))
    assert (again.status, again.processed) == ("success", 0)
    assert not lab.wire.writes(lab.wire.run)
    with lab.store() as store:
        steps = [step.label for run in store.journal.vm_runs("vm-0") for step in run.steps]
    assert "Change own.own" in steps


def test_what_a_handler_raises_fails_that_vm_alone(lab: OwnLab) -> None:
    body = "        if seen.key == 'vm-0':\n            raise ValueError('no')\n        return ()"
    result = run(lab, body)
    assert (result.status, result.errors) == ("error", 1)
    assert "ValueError: no" in lab.told.words("vm-0")
    assert not lab.told.words("vm-1")


def test_a_handler_that_dies_is_begun_anew_for_the_next_vm(lab: OwnLab) -> None:
    body = "        if seen.key == 'vm-0':\n            import os; os._exit(4)\n        return ()"
    assert run(lab, body).errors == 1
    assert "its process ended with 4" in lab.told.words("vm-0")


def test_a_handler_that_hangs_is_cut_and_no_more_vms_are_asked_in_vain(lab: OwnLab) -> None:
    result = run(lab, "        while True: pass", deadline="1s")
    assert result.errors == 2
    assert "its time was out" in lab.told.words("vm-1")


UNFIT = [
    ("        open('/tmp/never', 'w')", "a diff is pure: write /tmp/never is refused"),
    ("        return 5", "TypeError: 'int' object is not iterable"),
    ("        yield 5", "TypeError: expected changes and notes of diff, seen int"),
    ("        yield Change(seen.key, '', 'x', None, 1)", "the change of x has no call"),
    ("        yield Note(seen.key, '', 'x', 'why', 'lower')", "expected a condition such as"),
    (
        "        yield Change(seen.key, '', 'x', {}, 1, ())",
        "its diff gave what is no change or note",
    ),
    (
        "        call = config_call(seen, {'memory': 1})\n"
        "        yield Change(seen.key, '', 'memory', None, 1, (call,))",
        "memory belongs to memory of the spec",
    ),
]


def test_a_handler_that_does_what_it_may_not_changes_nothing(lab: OwnLab) -> None:
    for number, (body, words) in enumerate(UNFIT):
        lab.code(f"own_{number}", HEAD + body, handler=True)
        result = lab.one(lab.own(f"own_{number}"))
        assert result.status == "error"
        assert words in lab.told.words("vm-0")
        assert not lab.wire.writes(lab.wire.run)


def test_what_a_handler_prints_is_kept(lab: OwnLab) -> None:
    """FRM-18"""
    result = run(lab, "        print('saw', seen.key)\n        return ()")
    assert result.details == ("saw vm-0", "saw vm-1")


def test_code_without_a_handler_says_so(lab: OwnLab) -> None:
    lab.put("own", "    return Result()", handler=True)
    assert lab.one(lab.own("own")).status == "error"
    assert "has no attribute 'Handler'" in lab.told.words("vm-0")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (Call(Method.DELETE, HERE), "expected a call below"),
        (Call(Method.POST, f"{HERE}/migrate"), "expected a call below"),
        (Call(Method.PUT, f"{HERE}/resize"), "expected a call below"),
        (Call(Method.POST, f"{HERE}/status/stop"), "expected a call below"),
        (Call(Method.DELETE, f"{HERE}/snapshot/before"), "expected a call below"),
        (Call(Method.PUT, "/nodes/pve1/qemu/999/config"), "expected a call below"),
        (Call(Method.POST, f"{HERE}/firewall/../status/stop"), "expected a call below"),
        (Call(Method.POST, f"{HERE}/config", {"keyboard": "de"}), "written by PUT"),
        (Call(Method.PUT, f"{HERE}/config", {"delete": "localtime,net0"}), "net0 belongs to"),
        (Call(Method.PUT, f"{HERE}/config", {"args": "-x"}), "args only the login root@pam"),
        (Call(Method.PUT, f"{HERE}/config", {"keyboard": "de"}), "keyboard is said by the spec"),
        (Call(Method.PUT, f"{HERE}/config", {"description": "mine"}), "keep it"),
        (Call(Method.PUT, f"{HERE}/config", {"delete": "description"}), "keep it"),
        (Call(Method.PUT, f"{HERE}/config", {"description": f"mine\n\n{MARK}"}), ""),
        (Call(Method.PUT, f"{HERE}/config", {"localtime": 1}), ""),
        (Call(Method.POST, f"{HERE}/snapshot", {"snapname": "x"}), ""),
        (Call(Method.POST, f"{HERE}/status/reboot"), ""),
    ],
)
def test_a_handler_writes_to_its_vm_alone_and_to_no_key_of_ours(call: Call, words: str) -> None:
    seen = seen_of()
    found = unfit(call, spec_of(config={"keyboard": "us"}), seen)
    assert (words in found) if words else not found


def test_a_firewall_that_the_spec_says_is_not_a_handlers() -> None:
    call = Call(Method.PUT, f"{HERE}/firewall/options", {"enable": 1})
    assert not unfit(call, spec_of(), seen_of())
    assert "said by the spec" in unfit(call, spec_of(firewall={}), seen_of())


def test_a_reboot_counts_as_one_whatever_the_handler_says(lab: OwnLab) -> None:
    body = (
        "        if 'done' in (seen.config.wanted.text('description') or ''):\n            return\n"
        "        call = Call(Method.POST, f'/nodes/{seen.node}/qemu/100/status/reboot')\n"
        "        if seen.key == 'vm-0':\n"
        "            yield Change(seen.key, '', 'up', None, 'rebooted', (call,))"
    )
    lab.code("own", HEAD + body, handler=True)
    dry = lab.preview(lab.own("own"))
    assert dry.plan is not None
    [change] = [one for vm in dry.plan.vms for one in vm.changes]
    assert change.effect == "stop-start"
