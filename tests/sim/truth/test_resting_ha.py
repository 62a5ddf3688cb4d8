"""HA where its managers do not run, as on the host that the flows were recorded on.

Sources: pve-ha-manager PVE/API2/HA/Status.pm (status, manager_status), PVE/HA/Config.pm
(get_service_status), PVE/HA/Tools.pm (get_verbose_service_state).
"""

import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.clock import ManualClock
from tests.sim.conftest import Hands


@pytest.fixture
def hands(recorded: Simulator, clock: ManualClock) -> Hands:
    """VM 100, stopped and managed for ten minutes."""
    hands = Hands(recorded, clock)
    assert hands.task("POST", "", vmid=100, memory=64) == "OK"
    assert recorded.call("POST", "/cluster/ha/resources", {"sid": "vm:100"}).ok
    clock.pass_by(600)
    return hands


def test_a_resource_stays_queued(hands: Hands, recorded: Simulator) -> None:
    quorum, service = recorded.call("GET", "/cluster/ha/status/current").data
    assert quorum["type"] == "quorum"
    assert service == {
        "id": "service:vm:100",
        "type": "service",
        "sid": "vm:100",
        "node": "pve1",
        "state": "queued",
        "status": "vm:100 (pve1, queued)",
        "request_state": "started",
        "max_restart": 1,
        "max_relocate": 1,
    }
    answer = recorded.call("GET", "/cluster/ha/status/manager_status").data
    assert (answer["manager_status"], "lrm_status" in answer) == ({}, False)


def test_a_start_is_asked_for_and_nothing_starts(
    hands: Hands, recorded: Simulator, clock: ManualClock
) -> None:
    upid = hands.call("POST", "/100/status/start").data
    assert (upid.split(":")[5], hands.end(upid)) == ("hastart", "OK")
    clock.pass_by(600)
    found = hands.get("/100/status/current")
    assert found["status"] == "stopped"
    assert found["ha"] == {"managed": 1, "group": None, "state": None}
    rows = recorded.call("GET", "/cluster/resources", {"type": "vm"}).data
    assert "hastate" not in rows[0]
