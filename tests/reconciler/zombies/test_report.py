"""`reconcile zombies`: all clusters of a fleet, as text, JSON and markdown."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from reconciler.config import Opened, open_preview
from reconciler.show.text import Paint
from reconciler.show.zombies import render_zombies, zombies_json, zombies_markdown
from reconciler.zombies.report import known, zombies
from reconciler.zombies.search import Search
from reconciler.zombies.zombie import Ended, Zombies
from state.api import Api, Json, Unavailable
from state.store import Store
from tests.engine import AT, Answers
from tests.orphanage import TINY, Orphanage
from tests.reconciler.zombies.test_search import DISK, STORAGE, cluster


class Several(Opened):
    """A fleet whose clusters answer as they are told to."""

    apis: dict[str, Api]

    def connect(self, name: str) -> Api:  # type: ignore[override]
        if name not in self.apis:
            raise Unavailable("no route to host")
        return self.apis[name]


@contextmanager
def several(folder: Path, **apis: Api) -> Iterator[Opened]:
    names = ", ".join(f"{name}: {{simulated: {{}}}}" for name in (*apis, "away"))
    folder.mkdir()
    (folder / "vms").mkdir()
    (folder / "fleet.yaml").write_text(f"fleet: law\nclusters: {{{names}}}\n")
    (folder / "vms" / "a.yaml").write_text("a: {cluster: away, state: absent}\n")
    with open_preview(folder, str(folder / "db"), AT) as real:
        ours = Several(real.fleet, real.store, real.database, real.preview, real.stack)
        ours.apis = apis
        yield ours


def with_guest(vmid: int) -> Answers:
    guest = {"type": "qemu", "vmid": vmid, "node": "pve1", "status": "running"}
    return cluster({"/cluster/resources": [STORAGE, guest]})


def test_each_cluster_is_asked_and_one_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with several(tmp_path / "f", one=cluster(), two=cluster(quorate=0)) as opened:
        found = zombies(opened, (), AT)
        alone = zombies(opened, ("two",), AT)
    assert [(one.cluster, one.what) for one in found.found] == [("one", DISK["volid"])]
    assert found.problems == (
        "cluster away: no route to host",
        "cluster two: it has no quorum, so nothing may be taken for gone",
    )
    assert (found.clusters, alone.clusters, alone.found) == (("one", "two"), ("two",), ())


def test_what_another_cluster_may_own_is_left_out(tmp_path: Path) -> None:
    with several(tmp_path / "f", one=cluster(), two=with_guest(7)) as opened:
        assert zombies(opened, (), AT).found == ()


def test_a_cluster_that_breaks_off_is_told(tmp_path: Path) -> None:
    broken = cluster({"/cluster/status": Unavailable("gone")})
    with several(tmp_path / "f", one=broken) as opened:
        found = zombies(opened, (), AT)
    assert found.problems == ("cluster away: no route to host", "cluster one: gone")


def test_what_was_ours_is_known_by_its_end() -> None:
    store = Store.temporary(at=AT)
    for vmid, kept_for in ((100, None), (102, 0), (103, 86400.0)):
        detail: dict[str, Json] = {"cluster": "demo", "vmid": vmid, "kept_for": kept_for}
        store.outbox.add("vm_terminated", f"web-{vmid}", AT, detail)
    store.outbox.add("vm_terminated", "web-2", AT, {"cluster": "else", "vmid": 101})
    store.outbox.add("vm_terminated", "web-101", AT, {"cluster": "else", "vmid": 101})
    found = known(store, "demo")
    assert found.ended is not None and found.ended[100] == Ended("web-100", AT)
    assert [found.kept(vmid) for vmid in (100, 101, 102, 103)] == [
        "of web-100, ended 2026-03-01: kept by its `terminate`",
        "",
        "",
        "of web-103, ended 2026-03-01: kept by its `terminate` until 2026-03-02",
    ]


def test_the_report_is_text_json_and_markdown() -> None:
    row = {**DISK, "size": 1 << 30, "ctime": 1_700_000_000, "content": "backup", "notes": "a|b\nc"}
    api = cluster({"/nodes/pve1/storage/nas/content": [row]})
    (one,) = Search("demo", api).zombies()
    found = Zombies(AT, (one,), ("cluster x: away",), ("demo",))
    text = render_zombies(found, Paint()).splitlines()
    assert text[2] == "- pvesm free nas:7/vm-7-disk-0.raw   (a|b)"
    assert text[3:5] == [
        "! cluster x: away",
        "Zombies: 1 thing of guests gone, 1.0 GiB on 1 cluster.",
    ]
    table = zombies_markdown(found).splitlines()
    assert table[2].endswith("| `pvesm free nas:7/vm-7-disk-0.raw`   (a\\|b) |")
    (told,) = json.loads(json.dumps(zombies_json(found)))["zombies"]
    assert (told["kind"], told["vmid"], told["size"]) == ("backup", 7, 1 << 30)
    assert told["made_at"] == "2023-11-14T22:13:20.000Z"
    kept = Zombies(AT, (replace(one, kept="of web-1"),))
    assert (found.unwanted, kept.unwanted) == (True, False)
    nothing = Zombies(AT, (), (), ("demo",))
    assert zombies_markdown(nothing) == "Nothing is left of guests that are gone."
    assert render_zombies(nothing, Paint()).startswith("Zombies: 0 things of guests gone on 1")


@pytest.mark.parametrize(("output", "words"), [("text", "Zombies: 0"), ("markdown", "Nothing")])
def test_the_command_asks_the_clusters(output: str, words: str, tmp_path: Path) -> None:
    lab = Orphanage(tmp_path, {"a": TINY})
    lab.run()
    result = call(lab, "--output", output)
    assert (result.exit_code, result.output.startswith(words)) == (0, True)


def test_an_unknown_cluster_is_a_wrong_command_line(tmp_path: Path) -> None:
    result = call(Orphanage(tmp_path, {"a": TINY}), "--cluster", "nope")
    assert (result.exit_code, "expected one of demo" in result.output) == (64, True)


def call(lab: Orphanage, *words: str) -> Result:
    place = ["--fleet", str(lab.fleet), "--database", str(lab.database)]
    return CliRunner().invoke(cli, [*place, "zombies", *words], catch_exceptions=False)
