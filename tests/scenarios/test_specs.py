"""Specs in the database, from the command line to the cluster, on both kinds of store."""

import subprocess
from collections.abc import Callable

from tests.grounds import Grounds

Open = Callable[..., Grounds]
SOURCES = "sources: [files, database]\n"


def said(done: "subprocess.CompletedProcess[str]", status: int = 0) -> str:
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def test_a_fleet_moves_into_the_database_and_stays_as_it_is(scene: Open) -> None:
    here = scene("web: {count: 2}\nmail: {}\n")
    assert here.settle().vms == 3
    assert "2 specs stored" in said(here.cli("spec", "import", str(here.fleet)))
    here.write({"fleet.yaml": here.head() + SOURCES})
    (here.fleet / "vms" / "vms.yaml").write_text("mail: {}\n")
    told = said(here.cli("--once", "--dry-run"), 1)
    assert "db:mail revision 1: mail: defined twice, first at" in told
    said(here.cli("spec", "delete", "mail", "--if-revision", "1"))
    assert here.run().writes == 0
    assert {vm.kind for vm in here.dry().vms} == {"unchanged"}

    document = here.fleet / "web.yaml.new"
    document.write_text("{count: 2, description: of the shop, cpu: {cores: 64, sockets: 0}}\n")
    put = ("spec", "put", "web", str(document), "--author", "ann")
    assert "db:web revision 2: cpu.sockets: expected at least 1" in said(here.cli(*put), 1)
    document.write_text("{count: 2, description: of the shop}\n")
    said(here.cli(*put, "--if-revision", "1"))
    summary = here.run()
    assert (summary.changed, summary.ready) == (2, 3)
    assert here.run().writes == 0


def test_of_two_who_edit_the_same_revision_one_is_refused(scene: Open) -> None:
    here = scene("mail: {}\n")
    here.write({"fleet.yaml": here.head() + SOURCES, "first.yml": "{}", "second.yml": "{count: 2}"})
    puts = [
        subprocess.Popen(
            here.words("spec", "put", "web", str(here.fleet / name), "--if-revision", "0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("first.yml", "second.yml")
    ]
    told = [put.communicate(timeout=60) for put in puts]
    assert sorted(put.returncode for put in puts) == [0, 1]
    (refused,) = [err for put, (_, err) in zip(puts, told, strict=True) if put.returncode]
    assert "spec web: none expected, revision 1" in refused or "edited meanwhile" in refused
    assert said(here.cli("spec", "history", "web")).count("stored") == 1
