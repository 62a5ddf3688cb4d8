"""`reconcile rollout`, `debt` and `restart --only`: what a person sees and steers."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from state.conditions import Condition
from state.rollouts import Member, Rollout
from state.store import Store
from tests.engine import AT

FLEET = """\
fleet: lab
clusters: {lab: {simulated: {nodes: 1, speed: 600}}}
defaults: {cluster: lab, template: t}
templates: {t: {lab: [9000]}}
rollout: {max_unavailable: 2}
"""
STATES = ("done", "working", "waiting", "waiting", "waiting")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fleet" / "vms").mkdir(parents=True)
    (tmp_path / "fleet" / "fleet.yaml").write_text(FLEET)
    (tmp_path / "fleet" / "vms" / "web.yaml").write_text("web: {count: 5}\n")
    members = tuple(
        Member(f"web/{n}", state, 1 if n < 3 else 0, "", AT)  # type: ignore[arg-type]
        for n, state in enumerate(STATES, 1)
    )
    edits = frozenset({(("memory",), '"2GiB"')})
    one = Rollout(0, edits, "memory = 2GiB", "active", "", AT, AT, members=members)
    with Store.open(str(tmp_path / "lab.db"), at=AT) as store:
        store.rollouts.save([one])
        for number in range(1, 6):
            key = f"web/{number}"
            store.conditions.replace(
                key, [Condition(key, "RestartRequired", True, "power", "waits: memory", AT)]
            )
    return tmp_path


def call(folder: Path, *words: str) -> Result:
    options = ["--fleet", str(folder / "fleet"), "--database", str(folder / "lab.db")]
    return CliRunner().invoke(cli, [*options, *words])


def kept(folder: Path) -> Rollout:
    with Store.preview(str(folder / "lab.db"), at=AT) as store:
        return store.rollouts.recent()[0]


def test_a_list_shows_how_far_each_rollout_is(folder: Path) -> None:
    said = call(folder, "rollout", "list").output
    assert "[######..............] 1/5" in said and "memory = 2GiB" in said
    told = json.loads(call(folder, "rollout", "list", "--output", "json").output)
    assert told["rollouts"][0]["batches"] == [["web/3", "web/4"], ["web/5"]]


def test_one_shows_its_vms_and_the_batches_to_come(folder: Path) -> None:
    said = call(folder, "rollout", "show").output
    assert "next: web/3, web/4\nthen: web/5\n" in said
    assert call(folder, "rollout", "show", "1").output == said
    told = json.loads(call(folder, "rollout", "show", "--output", "json").output)
    assert (told["id"], told["done"], len(told["members"])) == (1, 1, 5)
    assert "no rollout 7; there is: 1" in call(folder, "rollout", "show", "7").output


def test_a_person_pauses_resumes_and_aborts(folder: Path) -> None:
    assert "is paused" in call(folder, "rollout", "pause", "--why", "slow").output
    assert (kept(folder).state, kept(folder).why) == ("paused", "slow")
    assert "rollout 1 is paused" in call(folder, "rollout", "pause").output
    assert "goes on" in call(folder, "rollout", "resume", "1", "--leave-out", "web/2").output
    after = kept(folder)
    assert (after.state, after.why) == ("active", "")
    assert [one.state for one in after.members] == ["done", "left", *STATES[2:]]
    assert call(folder, "rollout", "resume").exit_code == 1
    assert "3 VMs stay as they were" in call(folder, "rollout", "abort").output
    assert kept(folder).state == "aborted"
    refused = call(folder, "rollout", "resume", "--leave-out", "web/1")
    assert "does not wait for web/1" in refused.output


def test_an_empty_list_is_said_so(folder: Path) -> None:
    (folder / "lab.db").unlink()
    (folder / "lab.db.key").unlink()
    assert call(folder, "rollout", "list").output == "no rollouts\n"
    assert "there is: none" in call(folder, "rollout", "show").output


def test_many_vms_are_let_be_restarted_at_once_and_no_more_than_asked(folder: Path) -> None:
    said = call(folder, "restart", "--only", "web/*", "--max", "2").output
    line = "the next run restarts web/{} for what waits for that (waits: memory)\n"
    assert said == line.format(1) + line.format(2)
    assert "no VM of these" in call(folder, "restart", "--only", "db-*").output
    assert call(folder, "restart", "--only", "web/*", "--cancel").output.count("is not to be") == 5
    for words in (
        ("restart",),
        ("restart", "web/1", "--only", "x"),
        ("restart", "a", "--max", "1"),
    ):
        assert call(folder, *words).exit_code == 2


def test_a_drain_that_was_not_stopped_needs_no_word(folder: Path) -> None:
    assert call(folder, "debt", "--resume").output == "restarts were not stopped\n"
    with Store.open(str(folder / "lab.db"), at=AT) as store:
        store.settings.put("drain.stopped", {"key": "a", "at": AT.isoformat(), "why": "no start"})
    assert "a did not come back: no start" in call(folder, "debt", "--resume").output
    assert call(folder, "debt", "--resume").output == "restarts were not stopped\n"
