"""Templates and images over HTTPS: built, checked, deployed from, killed meanwhile (CI-04)."""

import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from reconciler.sim.samples import add_file, demo_world
from tests.grounds import ROOT, WORLD, Grounds
from tests.scenarios.conftest import Open

IMAGE = "local:import/debian-13.qcow2"
URL = "https://cloud.example/noble.qcow2"
IMAGES = f'images: {{debian-13: {{demo: "{IMAGE}"}}}}\n'
VMS = """\
web:
  count: 3
  template: debian-13
  memory: 1GiB
  disks: {system: {size: 10GiB, iops_rd: 500}, scsi1: {size: 5GiB}}
  nics: {net0: {ipv4: {pool: public-v4}}}
  cloudinit: {user: admin, password: generate}
  firewall: {policy_in: DROP, anti_spoofing: true}
  tags: [web]
uefi: {template: debian-13, bios: ovmf, efi: {}, nics: {net0: {bridge: vmbr0}}}
cloned: {template: debian-12, node: pve2}
"""
BUILD = ("template", "build", "noble", "--node", "pve1", "--storage", "local-lvm", "--url", URL)


@pytest.fixture
def grounds(tmp_path: Path, scene: Open) -> Grounds:
    """A cluster with an image on one node, whose token may fetch others."""
    world = demo_world(time.time(), speed=600.0)
    add_file(world, "pve2", IMAGE, "import", "qcow2", 500 << 20)
    world.volumes["pve2", IMAGE].virtual = 3 << 30
    world.access.roles["Fleet"] += ["Datastore.AllocateTemplate", "Sys.AccessNetwork"]
    (tmp_path / WORLD).write_bytes(msgspec.json.encode(world.dump()))
    opened = scene(VMS)
    opened.write({"fleet.yaml": opened.head() + IMAGES})
    return opened


def calls(grounds: Grounds, call: str) -> int:
    return int(grounds.sim("GET", "calls").get(call, 0))


def test_vms_made_from_an_image_converge_beside_clones_and_are_then_silent(
    grounds: Grounds,
) -> None:
    """CI-04, DEP-13: an image takes the place of a template, nothing else differs."""
    summary = grounds.settle()
    assert (summary.vms, summary.ready, summary.failed) == (5, 5, 0)
    assert calls(grounds, "POST /nodes/{node}/qemu") == 4
    assert calls(grounds, "POST /nodes/{node}/qemu/{vmid}/clone") == 1
    made = [vm for vmid, vm in grounds.world().vms.items() if vmid < 9000]
    assert {(vm.status, vm.node) for vm in made} == {("running", "pve2")}
    assert not any(vm.pending for vm in made)
    web = next(vm for vm in made if vm.config["name"] == "web-1")
    assert "size=10G" in str(web.config["scsi0"])
    assert str(web.config["cipassword"]).startswith("$5$")
    assert grounds.run().writes == 0
    assert grounds.cli("template", "check", "debian-13").returncode == 0


def test_a_template_is_built_deployed_from_and_then_left_alone(grounds: Grounds) -> None:
    """CI-04: build, the line that it prints, deploy; a second build touches no VM."""
    grounds.write({"vms/vms.yaml": "web: {template: noble, disks: {system: {size: 9GiB}}}\n"})
    built = grounds.cli(*BUILD)
    assert built.returncode == 0, built.stderr
    line = next(one for one in built.stdout.splitlines() if "noble: {demo: [9003]}" in one)
    head = grounds.head() + line + "\n"
    grounds.write({"fleet.yaml": head})
    assert grounds.settle().ready == 1
    checked = grounds.cli("template", "check", "noble")
    assert checked.returncode == 0, checked.stdout
    again = grounds.cli(*BUILD, "--again")
    assert "noble: {demo: [9004]}" in again.stdout
    grounds.write({"fleet.yaml": head.replace("9003", "9004")})
    assert grounds.run().writes == 0
    with grounds.store() as store:
        (told,) = [one for one in store.conditions.all()["web"] if one.type == "ImageOutdated"]
    assert told.message.startswith("made from 9003, noble is 9004 now")


def killed_at(grounds: Grounds, word: str) -> None:
    """Start a build and kill it as soon as it says that it begins with something."""
    build = subprocess.Popen(
        grounds.words(*BUILD),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert build.stdout is not None
    for line in build.stdout:
        if line.startswith(word):
            build.kill()
            break
    build.stdout.close()
    assert build.wait(60) != 0, f"the build never said {word}"


def test_a_build_killed_in_each_phase_goes_on_and_makes_one_template(grounds: Grounds) -> None:
    """kill -9 of the real process; the same command again, until it is done."""
    for word in ("fetching", "creating", "converting"):
        killed_at(grounds, word)
    done = grounds.cli(*BUILD)
    assert done.returncode == 0, done.stderr
    templates = {vmid for vmid, vm in grounds.world().vms.items() if vm.template}
    assert templates == {9000, 9001, 9002, 9003, 9100}
    assert calls(grounds, "POST /nodes/{node}/qemu") == 1


def test_a_template_that_is_bad_for_its_vms_is_found_before_they_are_made(
    grounds: Grounds,
) -> None:
    """CI-04: too large, without a cloud-init drive, with a snapshot, no template at all."""
    grounds.write({"vms/vms.yaml": "a: {template: ubuntu-24, disks: {system: {size: 2GiB}}}\n"})
    grounds.ask("PUT", "/nodes/pve1/qemu/9100/config", delete="ide2,agent,serial0")
    checked = grounds.cli("template", "check", "ubuntu-24")
    assert checked.returncode == 1
    for said in ("asks for 2 GiB", "no cloud-init drive", "agent is switched off", "no serial"):
        assert said in checked.stdout
    doctor = grounds.cli("doctor")
    assert "VM 9100 has 4 GiB, a spec asks for 2 GiB only" in doctor.stdout
