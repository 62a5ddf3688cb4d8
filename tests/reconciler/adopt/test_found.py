"""Which VMs may be taken over: what is somebody's, or cannot be told from others, is left."""

from pathlib import Path

import pytest

from reconciler.adopt.found import Selection
from reconciler.sim.ha.book import book
from tests.adoption import ALL, FILES, applied, make, proposed, wrote
from tests.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, FILES)


def refused(lab: Lab, vmid: int = 300) -> str:
    (found,) = [one for one in proposed(lab).vms if one.candidate.row.vmid == vmid]
    return found.refused


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("store=aaaa fleet=law key=x vmid=300", "belongs to store aaaa, not to"),
        ("store=aaaa fleet=other key=x vmid=300", "belongs to fleet other"),
        ("store=aaaa fleet=law key=x vmid=7", "is a copy of vm 7 (x): remove its marker line"),
    ],
)
def test_a_vm_with_anothers_marker_is_not_ours_to_take(lab: Lab, line: str, words: str) -> None:
    """C-19: whose it is stands in its marker."""
    make(lab, 300, description=f"reconcile: {line}")
    assert words in refused(lab)


def test_one_that_a_lost_store_knew_is_for_rebuild_state(lab: Lab) -> None:
    make(lab, 300)
    wrote(lab)
    applied(lab)
    lab.run()
    with lab.store() as store:
        identity = store.id
    text = f"reconcile: store={identity} fleet=law key=x vmid=301"
    make(lab, 301, description=text)
    assert "rebuild-state" in refused(lab, 301)


def test_a_locked_vm_and_one_in_error_of_ha_wait(lab: Lab) -> None:
    make(lab, 300)
    make(lab, 301)
    lab.world.vms[300].config["lock"] = "backup"
    assert "is locked (backup)" in refused(lab)
    del lab.world.vms[300].config["lock"]
    del lab.world.vms[301].config["smbios1"]
    assert "has no SMBIOS uuid" in refused(lab, 301)


def test_one_that_the_ha_manager_gave_up_waits(lab: Lab) -> None:
    make(lab, 300)
    lab.ask("POST", "/cluster/ha/resources", sid="vm:300", state="stopped")
    lab.clock.sleep(60)
    lab.ask("GET", "/cluster/resources")
    book(lab.world).services["vm:300"].state = "error"
    assert "the HA manager has it in state error" in refused(lab)


def test_one_without_a_name_is_left_out(lab: Lab) -> None:
    make(lab, 300)
    del lab.world.vms[300].config["name"]
    assert refused(lab) == "has no name in Proxmox: give it one first"


def test_templates_and_vms_of_the_fleet_are_passed_over(lab: Lab) -> None:
    make(lab, 300)
    wrote(lab)
    applied(lab)
    found = proposed(lab)
    assert {one.refused for one in found.vms} == {"is a template", "is in the fleet already"}
    assert all(one.expected for one in found.left_out) and found.texts == {}


def test_vms_are_chosen_by_tag_pool_and_vmid(lab: Lab) -> None:
    make(lab, 300, tags="shop")
    make(lab, 301, pool="customers")
    make(lab, 302)
    make(lab, 303)

    def chosen(selection: Selection) -> list[int]:
        return [one.candidate.row.vmid for one in proposed(lab, selection).vms]

    assert chosen(Selection(tags=("SHOP",))) == [300]
    assert chosen(Selection(pools=("customers",), vmids=(303,))) == [301, 303]
    assert proposed(lab, Selection(vmids=(999,))).problems == ("cluster demo has no vm 999",)
    assert chosen(Selection(everything=True, clusters=("demo",)))[:4] == [300, 301, 302, 303]


def test_a_vm_on_a_node_that_is_down_is_left(lab: Lab) -> None:
    make(lab, 300)
    lab.world.nodes["pve1"].online = False
    assert refused(lab) == "node pve1 is not online"


def test_a_cluster_without_quorum_is_a_problem(lab: Lab) -> None:
    lab.world.quorate = False
    found = proposed(lab, ALL)
    assert found.vms == () and "quorum" in found.problems[0]
