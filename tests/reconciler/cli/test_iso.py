"""`reconcile iso list`: what a spec may put into a CD-ROM drive."""

import json
import time
from pathlib import Path

import msgspec
from click.testing import CliRunner

from reconciler.cli import cli
from reconciler.sim.samples import add_file, demo_world

FLEET = """\
fleet: isos
database: store.db
clusters:
  demo: {simulated: {}}
  gone:
    endpoints: ["https://127.0.0.1:9"]
    token: {id: "a@pve!b", secret: "env:NOBODY_SET_THIS"}
"""


def test_isos_are_listed_by_group_and_a_cluster_that_is_gone_hides_none_ci_07(
    tmp_path: Path,
) -> None:
    world = demo_world(time.time())
    for node, name in (("pve1", "debian-12"), ("pve2", "debian-12"), ("pve1", "memtest")):
        add_file(world, node, f"local:iso/{name}.iso", "iso", "iso", 600 << 20)
    (tmp_path / "store.demo.world.json").write_bytes(msgspec.json.encode(world.dump()))
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "vms").mkdir()
    (tmp_path / "vms" / "all.yaml").write_text("one: {cluster: demo, state: absent}\n")
    words = ["--fleet", str(tmp_path), "iso", "list"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1
    assert "cluster gone: " in done.stderr and "NOBODY_SET_THIS" in done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["debian", "local:iso/debian-12.iso", "600", "MiB", "pve1,", "pve2"] in lines
    assert ["OTHER", "local:iso/memtest.iso", "600", "MiB", "pve1"] in lines
    told = json.loads(CliRunner().invoke(cli, [*words, "--output", "json"]).stdout)
    assert told["clusters"]["demo"]["OTHER"] == [
        {"volume": "local:iso/memtest.iso", "size": 629145600, "nodes": ["pve1"]}
    ]
