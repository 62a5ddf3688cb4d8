"""`reconcile template`: what it prints, and how it ends."""

import json
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from reconciler.sim.samples import add_file, demo_world

FLEET = """\
fleet: demo
database: store.db
clusters:
  demo: {simulated: {speed: 10000}}
  gone:
    endpoints: ["https://127.0.0.1:9"]
    token: {id: "a@pve!b", secret: "env:NOBODY_SET_THIS"}
templates: {debian-12: {demo: [9000]}}
images: {d13: {demo: "local:import/d13.qcow2"}}
"""
VMS = "one: {cluster: demo, template: debian-12, disks: {system: {size: 2GiB}}}\n"
BUILD = ("template", "build", "d13", "--cluster", "demo", "--node", "pve2", "--storage", "shared")
IMAGE = ("--image", "local:import/d13.qcow2")


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    world = demo_world(time.time())
    add_file(world, "pve2", "local:import/d13.qcow2", "import", "qcow2", 600 << 20)
    world.access.roles["Fleet"] += ["Datastore.AllocateTemplate", "Sys.AccessNetwork"]
    (tmp_path / "store.demo.world.json").write_bytes(msgspec.json.encode(world.dump()))
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "vms").mkdir()
    (tmp_path / "vms" / "all.yaml").write_text(VMS)
    return tmp_path


def run(fleet: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--fleet", str(fleet), *words])


def test_check_says_what_is_wrong_in_three_forms_and_ends_with_1(fleet: Path) -> None:
    """CI-04"""
    done = run(fleet, "template", "check", "--cluster", "demo", "debian-12", "--verbose")
    assert done.exit_code == 1
    assert "! system disk: scsi0, 3 GiB; the smallest, one, asks for 2 GiB" in done.stdout
    assert "1 template, 1 copy: 1 wrong, 0 warnings, 2 questions" in done.stdout
    assert "? growroot" in done.stdout and ": fit" not in done.stdout
    table = run(fleet, "template", "check", "--cluster", "demo", "--output", "markdown").stdout
    assert "| debian-12 in demo, vm 9000 on pve1 | wrong | system disk |" in table
    answer = run(fleet, "template", "check", "--cluster", "demo", "--output", "json").stdout
    first, second = json.loads(answer)["templates"]
    assert (first["template"], second["template"]) == ("d13", "debian-12")
    assert second["copies"][0]["findings"][0]["level"] == "wrong"
    (fleet / "vms" / "all.yaml").write_text(VMS.replace("2GiB", "5GiB"))
    sound = run(fleet, "template", "check", "--cluster", "demo")
    assert sound.exit_code == 0
    assert "used by 1 VM: fit" in sound.stdout


def test_a_cluster_that_is_away_is_said_and_the_others_are_checked(fleet: Path) -> None:
    (fleet / "vms" / "all.yaml").write_text(VMS.replace("2GiB", "5GiB"))
    done = run(fleet, "template", "check")
    assert done.exit_code == 1
    assert "cluster gone: " in done.stderr
    assert "2 templates, 2 copies: 0 wrong" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("template", "check", "debian-13"), "no template debian-13; did you mean debian-12?"),
        (("template", "check", "--cluster", "dem"), "no cluster dem; did you mean demo?"),
        ((*BUILD[:4], "dem", *BUILD[5:], *IMAGE), "no cluster dem"),
        ((*BUILD[:3], *BUILD[5:], *IMAGE), "say which cluster: --cluster demo|gone"),
        (BUILD, "give either --image or --url"),
        ((*BUILD, *IMAGE, "--url", "https://a.example/b.raw"), "give either"),
        ((*BUILD, *IMAGE, "--checksum", "sha256:00"), "belong to --url"),
        ((*BUILD, "--url", "https://a.example/b.iso"), "names no image"),
        ((*BUILD, "--url", "https://a.example/b.raw", "--download-to", "shared"), "shared takes"),
        ((*BUILD, *IMAGE, "--vmid", "9000"), "vm 9000 is there already"),
    ],
)
def test_what_cannot_be_meant_is_said(fleet: Path, words: tuple[str, ...], said: str) -> None:
    done = run(fleet, *words)
    assert done.exit_code != 0
    assert said in done.output


def test_a_template_without_a_copy_to_check_is_said(fleet: Path) -> None:
    text = FLEET.replace("images: {", "images: {far: {gone: 'a:import/b.raw'}, ")
    (fleet / "fleet.yaml").write_text(text)
    done = run(fleet, "template", "check", "far", "--cluster", "demo")
    assert done.exit_code == 1
    assert "template far has no copy in demo" in done.stderr


def test_a_build_is_shown_then_done_once_and_then_there(fleet: Path) -> None:
    """CI-04: the line for fleet.yaml is printed; the same command again does nothing."""
    asked = run(fleet, *BUILD, *IMAGE, "--dry-run")
    assert [line.split()[:2] for line in asked.stdout.splitlines()] == [
        ["POST", "/nodes/pve2/qemu"],
        ["POST", "/nodes/pve2/qemu/9003/template"],
    ]
    assert not (fleet / "store.db").exists()
    done = run(fleet, *BUILD, *IMAGE)
    assert done.exit_code == 0, done.output
    assert "template vm 9003 on pve2 is ready" in done.stdout
    assert "  d13: {demo: [9003]}\nand take d13: {demo: ...} out of images:" in done.stdout
    assert "is there already (--again makes another)" in run(fleet, *BUILD, *IMAGE).stdout
    assert run(fleet, *BUILD, *IMAGE, "--dry-run").stdout == "nothing is left to do\n"
    told = json.loads(run(fleet, *BUILD, *IMAGE, "--output", "json").stdout)
    assert (told["vmid"], told["new"]) == (9003, False)
    left = run(fleet, *BUILD, *IMAGE, "--again", "--dry-run", "--output", "json").stdout
    assert len(json.loads(left)["calls"]) == 2


def test_a_build_from_a_url_names_copies_that_are_there(fleet: Path) -> None:
    words = (*BUILD, "--url", "https://cloud.example/d12.qcow2")
    done = run(fleet, *("debian-12" if one == "d13" else one for one in words))
    assert done.exit_code == 0, done.output
    assert "fetching https://cloud.example/d12.qcow2 to local:import/d12.qcow2" in done.stdout
    assert "debian-12: {demo: [9003]}   # [9000, 9003] if the others" in done.stdout
