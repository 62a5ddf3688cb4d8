"""With the patch in its spec a VM is as it is wanted; what no spec can say is named."""

from pathlib import Path

import pytest

from reconciler.express.patch import Patch, applied, patch_of
from reconciler.registry import vm_handlers
from state.change import Change
from tests.casefile import read_case, read_seen, read_spec

CASES = Path(__file__).parent.parent.parent / "cases"
HANDLERS = {one.name: one for one in vm_handlers()}
FILES = [path for path in sorted(CASES.glob("*/*.yaml")) if path.parent.name in HANDLERS]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_patched_spec_wants_what_is_there(path: Path) -> None:
    case = read_case(path)
    handler = HANDLERS[case.handler]
    changes = [one for one in handler.diff(case.spec, case.seen) if isinstance(one, Change)]
    if case.seen.config is None or not changes:
        return
    patch = patch_of(case.spec, case.seen, changes, HANDLERS)
    again = {
        f"{one.handler} {one.field}"
        for one in handler.diff(applied(case.spec, patch.values), case.seen)
        if isinstance(one, Change) and not one.field.startswith("rules.")
    }
    assert again <= patch.left_out.keys()


def patch(spec: dict[str, object], seen: dict[str, object], handler: str) -> Patch:
    wanted, there = read_spec(spec), read_seen(seen)
    changes = [one for one in HANDLERS[handler].diff(wanted, there) if isinstance(one, Change)]
    return patch_of(wanted, there, changes, HANDLERS)


def test_a_patch_holds_the_differing_fields_only() -> None:
    found = patch(
        {"cpu": {"cores": 2, "limit": 1.5}, "memory": "1GiB"},
        {"config": {"cores": 4, "cpulimit": "1.5", "memory": "1024"}},
        "cpu",
    )
    assert found.tree == {"cpu": {"cores": 4}}
    assert found.left_out == {}


def test_our_rules_are_taken_as_they_stand_and_those_of_others_are_not() -> None:
    rules = [
        {"type": "in", "action": "DROP", "enable": "1", "comment": "reconcile:0123abcd ssh"},
        {"type": "in", "action": "ACCEPT", "enable": "1"},
    ]
    spec = {"firewall": {"rules": [{"in": "ACCEPT", "proto": "tcp", "dport": 22}]}}
    found = patch(spec, {"firewall": {"options": {"enable": 1}, "rules": rules}}, "firewall")
    assert found.values["firewall", "rules"] == [{"in": "DROP", "comment": "ssh"}]


def test_what_no_spec_says_is_named_with_the_reason() -> None:
    seen = {"config": {"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0", "ipconfig0": "ip=dhcp"}}
    seen |= {"leases": ["net0 203.0.113.7/24 gateway=203.0.113.1"]}
    spec = {"nics": {"net0": {"ipv4": {"pool": "public"}}}, "cloudinit": {"user": "ops"}}
    found = patch(spec, seen, "cloudinit")
    assert "store leases" in found.left_out["cloudinit ipconfig0"]
    odd = {"config": {"machine": "microvm"}}
    assert patch({"machine": "q35"}, odd, "firmware").left_out.keys() == {"firmware machine"}
