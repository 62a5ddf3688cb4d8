"""Laws of loading: whatever stands in one VM's entry, the others go on (DEP-27)."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from desired.spec import VMSpec
from desired.wording import known_keys
from tests.desired.fleets import load

SCALARS = st.sampled_from(
    [
        *(None, True, 0, 1, -1, 4096, 1.5, 10**30, "", "x", "a b", "1GiB", "1B", "12.5MB/s"),
        *("10.0.0.5/24", "10.0.0.5", "2001:db8::5/64", "auto", "dhcp", "v4", "v6", "inner"),
        *("{{ key }}", "{{ nope }}", "{{", "{% for i in range(3) %}{{ i }}{% endfor %}", "ok"),
        *("net0", "scsi0", "ACCEPT", "tcp", "22,80:85", "+web", "absent", "demo", "env:X", "small"),
    ]
)
NAMES = st.sampled_from(
    sorted(
        {"system", "scsi1", "net0", "net1", "vga", "args", "count", "for_each", "vars", "key", "x"}
        | {name for path in ((), ("cpu",), ("firewall",)) for name in known_keys(VMSpec, path)}
        | {name for part in ("disks", "nics") for name in known_keys(VMSpec, (part, "x"))}
        | set(known_keys(VMSpec, ("firewall", "rules", 0)))
        | set(known_keys(VMSpec, ("nics", "x", "ipv4")))
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.sampled_from([*known_keys(VMSpec, ()), "count", "for_each", "vars"])


@given(st.dictionaries(FIELDS, VALUES, max_size=6))
@example({"count": 2, "was": "{{ key }}", "nics": {"net0": {"ipv4": {"static": "10.0.0.5/24"}}}})
def test_no_entry_stops_the_others(entry: dict[str, object]) -> None:
    with TemporaryDirectory() as folder:
        text = json.dumps({"wild": entry}, ensure_ascii=False)
        fleet = load(Path(folder), {"vms/wild.yaml": text})
    taken = [error for error in fleet.errors if error.vm == "ok"]
    assert "ok" in fleet.vms or taken
    assert not fleet.vms.keys() & fleet.broken
    wild = {key for key in fleet.vms.keys() | fleet.broken if key.startswith("wild")}
    assert wild or entry.get("count") == 0 or not entry.get("for_each", True)
    assert bool(fleet.errors) == bool(fleet.broken)
    for error in fleet.errors:
        assert error.place.line == 1 and error.message


@given(
    st.text(st.characters(codec="utf-8"), max_size=60)
    | st.text("ab:{}[]-&*!<|#\"' \n\t", max_size=40)
)
def test_no_text_stops_the_others(text: str) -> None:
    with TemporaryDirectory() as folder:
        fleet = load(Path(folder), {"vms/wild.yaml": text})
    assert "ok" in fleet.vms or "ok" in fleet.broken
