"""Why a VM is where it is, in words and for machines."""

from datetime import UTC, datetime

from reconciler.show.places import place_json, place_lines
from state.placing import Choice, Verdict

CHOICE = Choice(
    "pve2",
    "the fewest of web, then the most free RAM",
    (
        Verdict("pve1", "clone", 1, 3, 12 << 30),
        Verdict("pve2", "clone, then migrate", 0, 1, 10 << 30),
        Verdict("pve3", "", 0, 0, 0, ("it is in maintenance", "storage fast is not there")),
    ),
)


def test_every_node_has_its_reason_or_its_rank() -> None:
    """DEP-16"""
    assert place_lines(CHOICE) == (
        "chosen: pve2, by the fewest of web, then the most free RAM",
        "  pve1: clone, 12.0 GiB of RAM would be left, 1 of its group there, 3 VMs of the fleet",
        "  pve2: clone, then migrate, 10.0 GiB of RAM would be left, 1 VM of the fleet",
        "  pve3: not, it is in maintenance; storage fast is not there",
    )
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    head = place_lines(Choice("", "x", CHOICE.verdicts), at)[0]
    assert head.startswith("chosen on 2026-11-20 ")
    assert head.endswith(": no node fitted")


def test_machines_read_the_same() -> None:
    assert place_json(Choice("", "x", CHOICE.verdicts[2:])) == {
        "node": None,
        "rule": "x",
        "nodes": [
            {
                "node": "pve3",
                "way": None,
                "against": ["it is in maintenance", "storage fast is not there"],
                "mates": 0,
                "vms": 0,
                "free": 0,
            }
        ],
    }
