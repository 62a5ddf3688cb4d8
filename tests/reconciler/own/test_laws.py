"""`check_laws` of `reconciler.testing`: each law, and a handler that breaks it."""

import socket
from collections.abc import Callable, Iterable
from itertools import count

import pytest

from desired.spec import VMSpec
from handlers.handler import config_call
from reconciler.testing import LawBroken, after, check_laws, seen_of, spec_of
from state.change import Call, Change, Method, Note
from state.observed import SeenVM

Diff = Callable[[VMSpec, SeenVM], Iterable[Change | Note]]
CASES = [
    (spec_of(extensions={"keyboard": "de"}), seen_of()),
    (spec_of(extensions={"keyboard": "de"}), seen_of({"keyboard": "de"})),
    (spec_of(), seen_of(status="stopped")),
]
COUNTER = count()


class Own:
    """A handler with any diff."""

    def __init__(self, diff: Diff) -> None:
        self.diff = diff


def keyboard(spec: VMSpec, seen: SeenVM, seen_as: str = "keyboard") -> Iterable[Change | Note]:
    wanted = spec.extensions.get("keyboard")
    assert seen.config is not None
    if wanted is None or seen.config.wanted.text(seen_as) == wanted:
        return
    call = config_call(seen, {"keyboard": str(wanted)})
    yield Change(seen.key, "", "keyboard", None, str(wanted), (call,))


def test_a_sound_handler_keeps_the_laws() -> None:
    check_laws(Own(keyboard), CASES)


def connect(spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
    with socket.socket() as one:
        one.connect(("127.0.0.1", 9))
    return ()


def write(spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
    with open("never", "w"):
        return ()


def counting(spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
    yield Note(seen.key, "", "x", str(next(COUNTER)))


def spoiling(spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
    spec.extensions["keyboard"] = "us"
    return ()


def forgetful(spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
    return keyboard(spec, seen, "localtime")


def idle(spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
    yield Change(seen.key, "", "x", None, 1)


def ending(spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
    yield Change(seen.key, "", "x", None, 1, (Call(Method.DELETE, "/nodes/pve1/qemu/100"),))


@pytest.mark.parametrize(
    ("diff", "words"),
    [
        (connect, r"not pure: it would connect \('127.0.0.1', 9\)"),
        (write, "not pure: it would write never"),
        (counting, "says something else when it is asked again"),
        (spoiling, "changed what it was given"),
        (forgetful, "not idempotent: it asks for keyboard again"),
        (idle, "the change of x has no call"),
        (ending, "DELETE /nodes/pve1/qemu/100: expected a call below"),
    ],
)
def test_each_law_that_is_broken_is_named(diff: Diff, words: str) -> None:
    with pytest.raises(LawBroken, match=f"case 1 .web-1.: .*{words}"):
        check_laws(Own(diff), [(spec_of(extensions={"keyboard": "de"}), seen_of())])


def test_no_case_proves_nothing() -> None:
    with pytest.raises(LawBroken, match="expected at least one case"):
        check_laws(Own(keyboard), [])


def test_a_vm_after_its_changes_has_keys_set_and_deleted() -> None:
    seen = seen_of({"keyboard": "de"})
    call = config_call(seen, {"localtime": 1, "delete": "keyboard"})
    [found] = [after(seen, [Change(seen.key, "", "x", None, 1, (call,))])]
    assert found.config is not None
    assert found.config.wanted.raw["localtime"] == 1
    assert "keyboard" not in found.config.wanted.raw
    assert after(seen, []) is seen


def test_calls_that_are_no_config_are_not_asked_to_be_idempotent() -> None:
    def snapshot(spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        call = Call(Method.POST, "/nodes/pve1/qemu/100/snapshot", {"snapname": "x"})
        yield Change(seen.key, "", "x", None, 1, (call,))

    check_laws(Own(snapshot), [(spec_of(), seen_of())])
