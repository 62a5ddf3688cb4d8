"""The right that guarded changes take, asked for only where a spec has them."""

from reconciler.pve.rights import needs
from reconciler.pve.usage import usage
from tests.engine import fleet, spec


def test_a_guard_needs_the_right_to_take_snapshots() -> None:
    def asked(guard: object) -> bool:
        found = needs(usage(fleet(spec("web-1", guard=guard)), "demo"))
        return any("VM.Snapshot" in need.privileges for need in found)

    assert asked("snapshot")
    assert not asked({"snapshot": False})
    assert not asked(None)
