"""Several servers of one cluster, over the wire: one dies, hangs, or is cut off."""

from collections.abc import Iterator

import pytest

from tests.scenarios.conftest import OpenEstate
from tests.scenarios.estate import LEASE
from tests.stores import stores_on

DEATHS = [("clone", False), ("config", False), ("status/start", False), ("config", True)]


@pytest.fixture(scope="module", autouse=True)
def stores() -> Iterator[str]:
    """Which kind of store it is makes no difference to a server."""
    with stores_on(None):
        yield "sqlite"


@pytest.mark.parametrize(("call", "silent"), DEATHS)
def test_an_endpoint_dies_in_the_middle_of_a_write(
    estate: OpenEstate, call: str, silent: bool
) -> None:
    """OPT-08: the others are asked, and nothing is sent twice: the cluster tells what was done."""
    made = estate(f"one: {{cluster: a, node: pve2, {LEASE}, memory: 1GiB}}\n", "a", light=1)
    demo = made.first
    other, _, first = demo.server.urls
    made.fleet(made.entry("a", (first, other), light=1))
    demo.fault("node-down", node="pve3", path=f"/nodes/pve2/qemu/*/{call}", silent=silent)
    for _ in range(6):
        summary = demo.run(time_limit=10.0)
        if summary.ready:
            break
        made.later(60.0)
    assert summary.ready == 1, demo.told.events
    assert made.machines("a") == {"one": "running"}
    assert len([vmid for vmid in demo.world().vms if vmid < 9000]) == 1
    assert not demo.world().nodes["pve3"].online
    begun = [one["type"] for one in demo.ask("GET", "/cluster/tasks")]
    assert sorted(kind for kind in begun if kind != "qmresize") == ["qmclone", "qmstart"]
