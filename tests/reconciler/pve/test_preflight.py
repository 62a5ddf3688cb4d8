"""What is missing is one line each, with what to do, before the first write."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from desired.catalog import Cluster, PlacementRules
from desired.firewall import Firewall
from desired.hardware import Disk, Nic
from desired.source import Fleet
from desired.spec import Placement, VMSpec
from reconciler.pve.client import ProxmoxApi
from reconciler.pve.contact import ClosedApi
from reconciler.pve.inprocess import InProcessApi
from reconciler.pve.preflight import Finding, Preflight, preflight
from reconciler.pve.rights import Need, grant, lacking, needs
from reconciler.pve.usage import usage
from reconciler.sim.api import Simulator
from reconciler.sim.cluster.inventory import Storage
from reconciler.sim.faults import Fault
from reconciler.sim.samples import add_file, demo_world
from tests.reconciler.pve.tls_server import Server, reply

AT = datetime(2026, 11, 20, tzinfo=UTC)
TOKEN = "reconcile@pve!fleet"


def spec(key: str = "web-1", **fields: object) -> VMSpec:
    known: dict[str, object] = {
        "key": key,
        "cluster": "demo",
        "name": key.replace("/", "-"),
        "template": "debian-12",
        "storage": "local-lvm",
        "nics": {"net0": Nic(bridge="vmbr0", vlan=100)},
    }
    return VMSpec.model_validate({**known, **fields})


def fleet(*specs: VMSpec) -> Fleet:
    return Fleet(
        name="demo",
        clusters={"demo": Cluster.model_validate({"simulated": {}})},
        vms={one.key: one for one in specs or (spec(),)},
        templates={"debian-12": {"demo": (9000, 9001)}, "gone": {"demo": (9999,)}},
    )


@pytest.fixture
def simulator() -> Simulator:
    world = demo_world(AT.timestamp())
    world.advance(AT.timestamp() + 60)
    return Simulator(world, lambda: AT.timestamp() + 60)


def look(simulator: Simulator, wanted: Fleet, identity: str = TOKEN) -> Preflight:
    return preflight(InProcessApi(simulator, identity), wanted, "demo", AT)


def only(seen: Preflight, what: str) -> Finding:
    found = [one for one in seen.findings if one.what == what]
    assert len(found) == 1, found
    return found[0]


def test_a_sound_cluster_has_nothing_missing(simulator: Simulator) -> None:
    seen = look(simulator, fleet())
    assert seen.missing == ()
    assert seen.problem is None
    assert only(seen, "version").message == "Proxmox VE 8.4.1"
    assert only(seen, "quorum").message == "quorate, 3 of 3 nodes online"
    assert only(seen, "clock").message == "the same"
    assert only(seen, "bridge vmbr0").message == "on pve1, pve2, pve3"
    assert only(seen, "storage local-lvm").message == "on pve1, pve2, pve3"
    assert [f.message for f in seen.findings if f.what == "template debian-12"] == [
        "VM 9000 on pve1",
        "VM 9001 on pve2",
    ]


def test_facts_are_plain_and_kept(simulator: Simulator) -> None:
    facts = look(simulator, fleet()).facts
    assert facts["version"] == "8.4.1"
    assert facts["firewall_enabled"] is True
    assert facts["nodes"] == {"pve1": "192.0.2.11", "pve2": "192.0.2.12", "pve3": "192.0.2.13"}
    assert facts["bridges"] == {name: ["vmbr0", "vmbr1"] for name in ("pve1", "pve2", "pve3")}
    assert facts["checked_at"] == AT.isoformat()


def test_missing_templates_are_named(simulator: Simulator) -> None:
    simulator.world.vms[9001].config.pop("template")
    simulator.world.seen[9001].pop("template")
    seen = look(simulator, fleet(spec(), spec("x", template="gone"), spec("y", template="none")))
    texts = {(f.what, f.message) for f in seen.missing}
    assert texts == {
        ("template debian-12", "VM 9001 on pve2 is no template"),
        ("template gone", "VM 9999 does not exist"),
        ("template none", "has no copy in this cluster"),
    }
    assert all(finding.advice for finding in seen.missing)


def test_a_young_template_is_read_from_its_config(simulator: Simulator) -> None:
    simulator.world.seen.pop(9000)
    assert look(simulator, fleet()).missing == ()


def test_storages_must_exist_and_hold_images(simulator: Simulator) -> None:
    wanted = fleet(spec(storage="local"), spec("x", disks={"scsi1": Disk(storage="nope")}))
    texts = {f.what: f.message for f in look(simulator, wanted, "root@pam").missing}
    assert texts == {"storage local": "holds no disk images", "storage nope": "does not exist"}


def test_bridges_must_be_on_the_nodes_that_use_them(simulator: Simulator) -> None:
    simulator.world.nodes["pve2"].bridges.pop()
    nic = {"net0": Nic(bridge="vmbr1")}
    anywhere = fleet(spec(nics=nic))
    assert only(look(simulator, anywhere), "bridge vmbr1").message == "not on pve2"
    fixed = fleet(spec(nics=nic, node=Placement(name="pve1")))
    assert only(look(simulator, fixed), "bridge vmbr1").ok


def test_a_firewall_that_is_off_matters_when_rules_are_wanted(simulator: Simulator) -> None:
    simulator.world.firewall["cluster"]["options"]["enable"] = 0
    assert only(look(simulator, fleet()), "firewall").ok
    seen = look(simulator, fleet(spec(firewall=Firewall())))
    assert not only(seen, "firewall").ok
    assert seen.facts["firewall_enabled"] is False
    assert seen.problem is None


def test_without_quorum_nothing_is_written(simulator: Simulator) -> None:
    for name in ("pve2", "pve3"):
        simulator.faults.add(Fault("node-down", node=name))
    simulator.faults.add(Fault("quorum-lost"))
    seen = look(simulator, fleet())
    assert seen.problem is not None
    assert seen.problem.startswith("quorum: no quorum, 1 of 3 nodes online; bring nodes back")
    assert only(seen, "node pve2").advice == "start it, or wait"
    assert only(seen, "bridge vmbr0").message == "on pve1"


def test_clocks_that_differ_are_found(simulator: Simulator) -> None:
    simulator.offset = 300
    clock = only(look(simulator, fleet()), "clock")
    assert (clock.ok, clock.message) == (False, "300 s ahead")
    simulator.offset = -5
    assert only(look(simulator, fleet()), "clock").message == "5 s behind"


def test_missing_rights_come_with_the_line_that_grants_them(simulator: Simulator) -> None:
    role = simulator.world.access.roles["Fleet"]
    for name in ("VM.Config.Disk", "VM.Clone", "SDN.Use"):
        role.remove(name)
    simulator.world.access.changed()
    texts = {f.message: f.advice for f in look(simulator, fleet()).missing if f.what == "rights"}
    assert texts[f"{TOKEN} lacks VM.Clone, VM.Config.Disk on /vms"] == (
        "pveum role add Reconcile-vms --privs 'VM.Clone VM.Config.Disk' && "
        f"pveum acl modify /vms --users 'reconcile@pve' --tokens '{TOKEN}' --roles Reconcile-vms"
    )
    assert f"{TOKEN} lacks SDN.Use on /sdn/zones/localnetwork/vmbr0/100" in texts


def test_root_has_everything(simulator: Simulator) -> None:
    seen = look(simulator, fleet(spec(pool="web")), "root@pam")
    assert only(seen, "rights").ok
    assert "token" not in [finding.what for finding in seen.findings]


def test_a_cluster_that_cannot_be_asked_is_one_line(simulator: Simulator) -> None:
    simulator.faults.add(
        Fault("error-before", path="/version", status=595, text="No route to host")
    )
    seen = look(simulator, fleet())
    assert [finding.what for finding in seen.findings] == ["version"]
    assert seen.problem and "No route to host" in seen.problem
    assert "endpoints" in seen.findings[0].advice


def test_who_cannot_log_in_is_not_sent_to_the_servers() -> None:
    """A secret that is not set, or an inventory that cannot be read: the entry is what is wrong."""
    seen = preflight(ClosedApi("env:PVE_TOKEN: not set"), fleet(), "demo", AT)
    assert seen.problem and "env:PVE_TOKEN" in seen.problem and "pveproxy" not in seen.problem
    assert seen.findings[0].advice.startswith("check its entry in fleet.yaml")


def test_a_check_that_fails_stops_no_other(simulator: Simulator) -> None:
    simulator.faults.add(
        Fault("error-before", path="/cluster/firewall/options", status=403, text="no")
    )
    seen = look(simulator, fleet())
    assert not only(seen, "firewall").ok
    assert only(seen, "rights").ok


Serve = Callable[..., Server]
Open = Callable[..., ProxmoxApi]


@pytest.mark.parametrize(
    ("version", "ok"), [("7.4-3", False), ("8.4.1", True), ("9.2.11", True), ("10.0", False)]
)
def test_unknown_versions_are_only_read(
    serve: Serve, connect: Open, version: str, ok: bool
) -> None:
    bodies = {
        "/api2/json/version": f'{{"data":{{"version":"{version}"}}}}',
        "/api2/json/access/users/u%40pve/token/t": '{"data":{"privsep":"0"}}',
    }
    server = serve(lambda asked: reply(bodies.get(asked.path, '{"data":[]}')))
    seen = preflight(connect(server.url), fleet(), "demo", AT)
    assert (seen.problem is None) is ok
    assert only(seen, "token").message == "u@pve!t may do everything that its user has"


def test_rights_are_inherited_only_where_they_propagate() -> None:
    listed = {
        "/vms": {"VM.Audit": 1, "VM.Clone": 0},
        "/pool/a": {"Pool.Allocate": 1},
    }
    assert lacking(listed, Need("/vms/9000", ("VM.Audit", "VM.Clone"))) == ("VM.Clone",)
    assert lacking(listed, Need("/vms", ("VM.Audit", "VM.Clone"))) == ()
    assert lacking(listed, Need("/storage/local", ("Datastore.Audit",))) == ("Datastore.Audit",)
    assert lacking(listed, Need("/pool/a/b", ("Pool.Allocate",))) == ()
    assert lacking({"/": {"Sys.Audit": 1}}, Need("/odd/x", ("Sys.Audit",))) == ()


def test_rights_that_only_some_specs_need_are_asked_for_with_them() -> None:
    kinds = {
        "pci": {"hostpci0": "gpu"},
        "usb": {"usb0": "dongle"},
        "virtiofs": {"virtiofs0": "data"},
        "rng": "/dev/hwrng",
        "iso": "local:iso/a.iso",
        "ha": {},
    }
    plain, odd = fleet(), fleet(spec("web-1", startup={"order": 1}, **kinds))
    by_path = {need.path: need.privileges for need in needs(usage(odd, "demo"))}
    assert {"Sys.Console", "Sys.Modify"} <= set(by_path["/"])
    assert {"VM.Config.HWType", "VM.Config.CDROM"} <= set(by_path["/vms"])
    mappings = [path for path, rights in by_path.items() if rights == ("Mapping.Use",)]
    assert mappings == ["/mapping/" + one for one in ("dir/data", "hwrng", "pci/gpu", "usb/dongle")]
    assert by_path["/storage/local"] == ("Datastore.Audit",)
    asked = {one for need in needs(usage(plain, "demo")) for one in need.privileges}
    assert not asked & {
        "Sys.Console",
        "Sys.Modify",
        "VM.Config.HWType",
        "VM.Config.CDROM",
        "Mapping.Use",
    }


@pytest.mark.parametrize(
    "fields",
    [{"guard": {"snapshot": True}}, {"disks": {"scsi1": {"size": 0, "reclaim": "delete"}}}],
)
def test_cp_07_snapshots_that_come_or_go_with_a_change_take_a_right(
    fields: dict[str, object],
) -> None:
    def asked(**fields: object) -> bool:
        found = needs(usage(fleet(spec("web-1", **fields)), "demo"))
        return any("VM.Snapshot" in need.privileges for need in found)

    assert asked(**fields) and not asked()


def test_vms_that_are_never_migrated_need_no_right_to_it() -> None:
    """DEP-15"""

    def asked(**fields: object) -> bool:
        stays = fleet(spec("web-1", **fields))
        stays = replace(stays, placement=PlacementRules(post_clone_migration=False))
        return any("VM.Migrate" in need.privileges for need in needs(usage(stays, "demo")))

    assert not asked(node="pve1")
    assert asked(node={"name": "pve1", "enforce": True})
    every = needs(usage(fleet(spec("web-1")), "demo"))
    assert any("VM.Migrate" in need.privileges for need in every)


def test_storages_that_stand_in_for_others_are_looked_at_too() -> None:
    """CI-06"""
    mapped = replace(
        fleet(spec("web-1", storage="aa")),
        placement=PlacementRules(storage_map={"aa": ("bb", "cc")}),
    )
    assert usage(mapped, "demo").storages == ("aa", "bb", "cc")


@pytest.mark.parametrize("field", [{"vga": "qxl"}, {"machine": "q35"}, {"config": {"acpi": False}}])
def test_hardware_of_a_type_takes_a_right_of_its_own(field: dict[str, object]) -> None:
    assert usage(fleet(spec("web-1", **field)), "demo").hardware


def test_state_disks_need_their_storage() -> None:
    wanted = fleet(spec(efi={"storage": "fast"}, tpm={"storage": "safe"}))
    assert usage(wanted, "demo").storages == ("fast", "local-lvm", "safe")


def test_files_must_be_on_the_nodes_that_use_them_ci_07(simulator: Simulator) -> None:
    world = simulator.world
    add_file(world, "pve1", "local:iso/a.iso", "iso", "iso", 4096)
    add_file(world, "pve1", "local:snippets/u.yaml", "snippets", "snippet", 64)
    custom = {"custom": {"user": "local:snippets/u.yaml", "vendor": "local:snippets/none.yaml"}}
    here = fleet(spec(node="pve1", iso="local:iso/a.iso", cloudinit=custom))
    found = {one.what: one for one in look(simulator, here).findings}
    assert found["iso local:iso/a.iso"].message == "on pve1" and found["iso local:iso/a.iso"].ok
    unseen = found["snippet local:snippets/none.yaml"]
    assert (unseen.ok, unseen.message) == (
        True,
        "not verified: only Datastore.Allocate on /storage/local shows it",
    )
    simulator.world.access.roles["Fleet"].append("Datastore.Allocate")
    simulator.world.access.changed()
    found = {one.what: one for one in look(simulator, here).findings}
    assert found["snippet local:snippets/u.yaml"].ok
    missing = found["snippet local:snippets/none.yaml"]
    assert (missing.ok, missing.message) == (False, "is on no node that was seen")
    anywhere = only(look(simulator, fleet(spec(iso="local:iso/a.iso"))), "iso local:iso/a.iso")
    assert (anywhere.ok, anywhere.message) == (False, "on pve1, not on pve2, pve3")
    assert anywhere.advice == "copy it to them"


def test_a_shared_storage_is_asked_once_for_its_files(simulator: Simulator) -> None:
    world = simulator.world
    path = {"path": "/mnt/pve/nfs", "server": "192.0.2.9", "export": "/isos"}
    world.storages["nfs"] = Storage("nfs", "nfs", ["iso"], 1 << 40, shared=True, options=path)
    add_file(world, "", "nfs:iso/b.iso", "iso", "iso", 4096)
    seen = look(simulator, fleet(spec(iso="nfs:iso/b.iso")))
    assert only(seen, "iso nfs:iso/b.iso").message == "on pve1, pve2, pve3"


def test_a_vnet_has_its_rights_in_its_zone() -> None:
    """SDN vnets are bridges of a zone of their own."""
    used = usage(fleet(spec(nics={"net0": Nic(bridge="blue", vlan=5)})), "demo")
    paths = [need.path for need in needs(used, {"blue": "evpn"})]
    assert paths[-1] == "/sdn/zones/evpn/blue/5"
    assert needs(used)[-1].path == "/sdn/zones/localnetwork/blue/5"


def test_vnets_are_asked_for_where_a_bridge_may_be_one(serve: Serve, connect: Open) -> None:
    bodies = {
        "/api2/json/version": '{"data":{"version":"8.4.1"}}',
        "/api2/json/cluster/sdn/vnets": '{"data":[{"vnet":"blue","zone":"evpn"}]}',
    }
    server = serve(lambda asked: reply(bodies.get(asked.path, '{"data":[]}')))
    for bridge, zone in (("blue", "evpn"), ("vmbr7", "localnetwork")):
        wanted = fleet(spec(nics={"net0": Nic(bridge=bridge)}))
        seen = preflight(connect(server.url), wanted, "demo", AT)
        lines = [one.message for one in seen.findings if one.what == "rights"]
        assert f"u@pve!t lacks SDN.Use on /sdn/zones/{zone}/{bridge}" in lines


def test_vms_in_pools_need_rights_on_their_pools_only() -> None:
    paths = [need.path for need in needs(usage(fleet(spec(pool="a"), spec("x", pool="b")), "demo"))]
    assert paths == [
        "/",
        "/pool/a",
        "/pool/b",
        "/vms/9000",
        "/vms/9001",
        "/storage/local-lvm",
        "/sdn/zones/localnetwork/vmbr0/100",
    ]
    mixed = needs(usage(fleet(spec(pool="a"), spec("x", nics={"net0": Nic(bridge="b1")})), "demo"))
    assert Need("/pool/a", ("Pool.Allocate", "Pool.Audit")) in mixed
    assert Need("/sdn/zones/localnetwork/b1", ("SDN.Use",)) in mixed


def test_other_clusters_and_absent_vms_need_nothing() -> None:
    bare = spec("y", cluster="other", nics={"net0": Nic()})
    used = usage(fleet(bare, spec("x", state="absent")), "demo")
    assert usage(fleet(bare), "other").bridges == {}
    assert (used.storages, dict(used.bridges), used.unpooled) == ((), {}, False)


def test_a_user_is_granted_rights_as_a_user() -> None:
    assert grant("root@pam", "/", ["Sys.Audit"]) == (
        "pveum role add Reconcile --privs 'Sys.Audit' && "
        "pveum acl modify / --users 'root@pam' --roles Reconcile"
    )


def test_a_template_larger_than_what_is_made_of_it_is_found_ci_04(simulator: Simulator) -> None:
    """What is not asked for cannot be too small; the least that any spec asks for counts."""
    asked = [spec(f"web-{n}", disks={"system": {"size": f"{n}GiB"}}) for n in (2, 9)]
    seen = look(simulator, fleet(*asked, spec("any"), spec("all", disks={"system": {"size": 0}})))
    told = [one.message for one in seen.findings if one.what == "template debian-12" and not one.ok]
    assert told == [
        "VM 9000 has 3 GiB, a spec asks for 2 GiB only",
        "VM 9001 has 3 GiB, a spec asks for 2 GiB only",
    ]
    fits = look(simulator, fleet(spec(disks={"system": {"size": "3GiB"}})))
    assert all(one.ok for one in fits.findings if one.what == "template debian-12")


IMAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "debian-13": {"demo": ("local:import/a.qcow2", "local:import/b.qcow2")},
    "debian-12": {"demo": ("local:import/never-used.qcow2",)},
}


def test_images_must_be_on_one_node_at_least_ci_04(simulator: Simulator) -> None:
    add_file(simulator.world, "pve2", "local:import/a.qcow2", "import", "qcow2", 1 << 20)
    seen = look(simulator, replace(fleet(spec(template="debian-13"), spec("old")), images=IMAGES))
    told = {one.what: one for one in seen.findings if one.what.startswith("template ")}
    found, lost = (told[f"template debian-13 local:import/{name}.qcow2"] for name in "ab")
    assert (found.ok, found.message) == (True, "on pve2")
    assert (lost.ok, lost.message) == (False, "is on no node that was seen")
    assert told["template debian-12"].ok


def test_a_vm_made_from_an_image_needs_rights_of_its_own() -> None:
    """VM.Config.HWType, and to see the image; no right on a template."""
    used = usage(replace(fleet(spec(template="debian-13")), images=IMAGES), "demo")
    asked = {need.path: need.privileges for need in needs(used)}
    assert "VM.Config.HWType" in asked["/vms"]
    assert asked["/storage/local"] == ("Datastore.Audit",)
    assert "/vms/9000" not in asked
