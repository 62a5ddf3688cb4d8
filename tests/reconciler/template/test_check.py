"""What is wrong with a template for the VMs that specs make from it (CI-04)."""

import pytest

from desired.spec import VMSpec
from desired.units import GIB
from reconciler.template.check import Checked, Finding, check
from reconciler.template.copies import Copy, Template
from state.conf import VMConfig
from tests.engine import spec

SOUND: dict[str, str | int | float] = {
    "agent": "1",
    "boot": "order=scsi0",
    "ide2": "local-lvm:vm-9000-cloudinit,media=cdrom",
    "name": "debian",
    "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
    "ostype": "l26",
    "scsi0": "local-lvm:base-9000-disk-0,size=3G",
    "serial0": "socket",
    "vga": "serial0",
    "template": 1,
}
NODES = ("pve1", "pve2")
BIG = {"system": {"size": "10GiB"}}


def copy(
    without: tuple[str, ...] = (), inside: dict[str, str | int] | None = None, **fields: object
) -> Copy:
    raw = {key: value for key, value in {**SOUND, **(inside or {})}.items() if key not in without}
    config = VMConfig(raw)
    boot = config.disks.get(config.boot_disk or "")
    known = {"nodes": NODES, "node": "pve1", "template": True, "links": True}
    size = boot.size if boot else None
    return Copy(9000, config=config, **{**known, "size": size, **fields})  # type: ignore[arg-type]


def checked(one: Copy, *users: VMSpec) -> Checked:
    return check(Template("debian", "demo", (one,), users or (spec(disks=BIG),)))


def told(one: Copy, *users: VMSpec) -> list[tuple[str, str, str]]:
    """What is said of a copy beyond what is sound, and beyond the questions."""
    (group,) = checked(one, *users).copies
    return [(f.level, f.what, f.says) for f in group if f.level not in ("ok", "ask")]


def test_a_sound_template_has_only_questions_that_nobody_outside_can_answer() -> None:
    found = checked(copy())
    assert not found.wrong
    levels = {one.level for one in found.copies[0]}
    assert levels == {"ok", "ask"}
    asked = [one.what for one in found.copies[0] if one.level == "ask"]
    assert asked == ["root partition", "growroot"]
    assert all(one.advice for one in found.copies[0] if one.level == "ask")


def test_the_smallest_system_disk_that_a_spec_asks_for_counts() -> None:
    users = (
        spec("a", disks={"system": {"size": "2GiB"}}, package="small"),
        spec("b", disks={"system": {"size": "20GiB"}}),
        spec("c", disks={"system": {"size": 0}}),
        spec("d", disks={"scsi1": {"size": "1GiB"}}),
    )
    ((level, what, says),) = told(copy(), *users)
    assert (level, what) == ("wrong", "system disk")
    assert says == "scsi0, 3 GiB; the smallest, a (package small), asks for 2 GiB"
    assert checked(copy(), *users).wrong
    assert told(copy(), *users[1:]) == []
    assert told(copy(), users[2]) == []
    assert told(copy(), spec(disks={"system": {"size": "3GiB"}})) == []


@pytest.mark.parametrize(
    ("one", "level", "says"),
    [
        (copy(template=False), "wrong", "vm 9000 is no template"),
        (copy(inside={"lock": "backup"}), "wrong", "is locked (backup)"),
        (copy(snapshots=("before", "after")), "wrong", "has snapshots: before, after"),
        (copy(without=("scsi0",)), "wrong", "no disk to boot from is found"),
        (copy(size=None), "warning", "Proxmox does not say its size"),
        (copy(without=("ide2",)), "wrong", "has no cloud-init drive"),
        (copy(without=("agent",)), "warning", "the guest agent is switched off"),
        (copy(without=("serial0",)), "wrong", "its display is serial0, which it has not"),
        (copy(without=("serial0", "vga")), "warning", "has no serial console"),
        (copy(links=False), "wrong", "its storage cannot make them, and web-1 asks for one"),
        (
            copy(inside={"scsi1": "local-lvm:base-9000-disk-1,size=5G"}),
            "warning",
            "every clone gets the disk scsi1 of 5 GiB",
        ),
        (
            copy(inside={"scsi1": "local-lvm:base-9000-disk-1"}),
            "warning",
            "every clone gets the disk scsi1",
        ),
        (
            copy(inside={"ide3": "local:iso/d.iso,media=cdrom"}),
            "warning",
            "every clone gets the medium local:iso/d.iso in ide3",
        ),
        (copy(inside={"hostpci0": "01:00"}), "warning", "every clone gets the device hostpci0"),
        (
            copy(inside={"cipassword": "**********"}),
            "warning",
            "cipassword is set: a VM whose spec does not name it has the template's",
        ),
    ],
)
def test_what_is_not_right_is_said_with_what_to_do(one: Copy, level: str, says: str) -> None:
    assert [(seen[0], seen[2]) for seen in told(one)] == [(level, says)]
    (group,) = checked(one).copies
    assert all(
        finding.advice for finding in group if finding.level != "ok" and finding.says == says
    )


def test_an_empty_drive_is_nothing_that_a_clone_keeps() -> None:
    assert told(copy(inside={"ide3": "none,media=cdrom"})) == []


def test_windows_has_no_serial_console_and_a_question_of_its_own() -> None:
    one = copy(without=("serial0", "vga"), inside={"ostype": "win11"})
    assert told(one) == []
    asked = [seen.says for seen in checked(one).copies[0] if seen.level == "ask"]
    assert len(asked) == 1
    assert "cloudbase-init" in asked[0]


def test_full_clones_need_no_storage_that_links() -> None:
    ((level, what, _),) = told(copy(links=False), spec(clone="full", disks=BIG))
    assert (level, what) == ("warning", "linked clones")


def test_an_image_is_measured_and_asked_of() -> None:
    image = Copy("local:import/d.qcow2", NODES, "pve1", size=3 * GIB)
    assert told(image) == []
    assert [one.what for one in checked(image).copies[0]] == [
        "system disk",
        "root partition",
        "growroot",
    ]
    large = Copy("local:import/d.qcow2", NODES, "pve1", size=30 * GIB)
    assert told(large) == [("wrong", "system disk", "30 GiB; the smallest, web-1, asks for 10 GiB")]


def test_a_copy_that_cannot_be_looked_at_is_wrong_and_nothing_more_is_said() -> None:
    found = checked(Copy(9000, missing="is not there"))
    assert found.wrong
    assert found.copies == (
        (Finding("wrong", "there", "is not there", "make it, or correct fleet.yaml"),),
    )


def test_nodes_that_specs_name_and_no_copy_reaches_are_told_once_each() -> None:
    users = [spec(f"web-{n}", node="pve3", disks=BIG) for n in range(5)]
    several = spec("any", node={"among": ["pve3", "pve2"]}, disks=BIG)
    (reach,) = checked(copy(), *users, several).whole
    assert reach.level == "warning"
    assert reach.says == "no copy reaches pve3, where web-0, web-1, web-2 and 2 more should be made"
    (sound,) = checked(copy(), several).whole
    assert (sound.level, sound.says) == ("ok", "VMs can be made on pve1, pve2")
    (none,) = checked(Copy(9000, missing="gone")).whole
    assert sound.advice == ""
    assert none.says == "VMs can be made on no node"


def test_storages_that_specs_name_must_be_where_vms_are_made_ci_06() -> None:
    users = (
        spec("a", storage="fast", disks=BIG),
        spec("b", storage="fast", disks={"scsi1": {"size": "1GiB", "storage": "slow"}}),
    )
    storages = {"fast": frozenset(NODES), "slow": frozenset({"pve2", "pve3"})}
    (found,) = check(Template("debian", "demo", (copy(),), users, storages)).whole
    assert (found.level, found.what) == ("warning", "reach")
    assert found.says == "storage slow, which b names, takes no disks on pve1"
    (found,) = check(Template("debian", "demo", (copy(),), users[:1], storages)).whole
    assert found.level == "ok"
    (lost,) = check(Template("debian", "demo", (copy(),), users[:1])).whole
    assert lost.says.endswith("takes no disks on pve1, pve2")
