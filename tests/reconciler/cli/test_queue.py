"""`reconcile queue` over HTTPS: asked for, sent by the next run, shown, tried again, cleaned."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click import UsageError
from click.testing import CliRunner, Result

from reconciler.cli import cli
from reconciler.cli.settings import EXIT_FAILED
from state.store import Store
from tests.grounds import Grounds

SNAPSHOT = "/nodes/{node}/qemu/{vmid}/snapshot"
NEVER = ("--method", "POST", "--path", "/nodes/pve9/apt/update")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    """A cluster that all these tests share; each leaves nothing in the queue."""
    folder = tmp_path_factory.mktemp("queue")
    with Grounds(folder, {"vms/vms.yaml": "web: {power: stopped}\n"}) as grounds:
        grounds.settle()
        yield grounds


def call(fleet: Grounds, *words: str) -> Result:
    options = ["--fleet", str(fleet.fleet), "--database", fleet.where]
    return CliRunner().invoke(cli, [*options, *words])


def said(fleet: Grounds, *words: str) -> str:
    done = call(fleet, *words)
    assert done.exit_code == 0, done.output
    return done.output


def told(fleet: Grounds, *words: str, status: int = 0) -> dict[str, object]:
    done = call(fleet, *words, "--output", "json")
    assert done.exit_code == status, done.output
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_q_11_a_job_is_asked_for_sent_and_shown_with_its_log(fleet: Grounds) -> None:
    """Q-01, Q-11, Q-12, CLI-04"""
    made = told(
        fleet, "queue", "add", "--vm", "web", "--method", "post", "--path", SNAPSHOT,
        "--param", "snapname=before", "--priority", "7",
    )  # fmt: skip
    assert (made["id"], made["vm"], made["priority"], made["status"]) == (1, "web", 7, "queued")
    listed = said(fleet, "queue", "list")
    assert "snapname=before" in listed
    assert "next run" in listed
    for _ in range(20):
        done = call(fleet, "process-queue", "--time-limit", "20", "--verbose")
        assert done.exit_code == 0, done.output
        assert "/cluster/resources" in done.output
        if told(fleet, "queue", "show", "1")["status"] == "success":
            break
    shown = said(fleet, "queue", "show", "1", "--follow")
    assert "job 1: POST" in shown
    assert "sends POST" in shown
    assert "done: OK" in shown
    assert "snapname" not in said(fleet, "queue", "list", "--status", "queued")
    assert "before" in said(fleet, "snapshots", "list", "web")
    assert said(fleet, "queue", "clean") == "1 job deleted\n"
    assert "nothing is in the queue" in said(fleet, "queue", "list")
    assert "sends POST" in said(fleet, "queue", "log")


def test_q_12_a_job_that_was_given_up_says_how_it_is_tried_again(fleet: Grounds) -> None:
    """Q-06, Q-07, Q-12"""
    number = str(told(fleet, "queue", "add", "--cluster", "demo", *NEVER)["id"])
    assert call(fleet, "process-queue").exit_code == EXIT_FAILED
    shown = call(fleet, "queue", "show", number)
    assert shown.exit_code == EXIT_FAILED
    assert "has no node pve9" in shown.output
    assert f"try again: reconcile queue retry {number}" in shown.output
    assert call(fleet, "queue", "list").exit_code == EXIT_FAILED
    assert said(fleet, "queue", "retry", number) == f"job {number}: the next run sends it\n"
    assert said(fleet, "queue", "cancel", number) == f"job {number}: cancelled\n"
    assert call(fleet, "queue", "cancel", number).exit_code == EXIT_FAILED
    assert said(fleet, "queue", "clean", "--error", "--older", "7d") == "0 jobs deleted\n"
    assert said(fleet, "queue", "clean", "--cancelled") == "1 job deleted\n"
    assert call(fleet, "queue", "show", number).exit_code == EXIT_FAILED
    assert said(fleet, "queue", "fail-stuck") == "no job is stuck\n"
    assert call(fleet, "queue", "fail-stuck", "--older", "soon").exit_code == UsageError.exit_code


def test_q_11_a_job_for_later_says_when_it_is_sent(fleet: Grounds) -> None:
    """Q-11"""
    vm = ("--vm", "web", "--method", "POST", "--path", SNAPSHOT, "--param", "snapname=late")
    made = said(fleet, "queue", "add", *vm, "--at", "2099-03-01T12:00")
    assert made.endswith(": sent by the first run after 2099-03-01 12:00:00\n")
    number = str(told(fleet, "queue", "list")["work"][0]["id"])  # type: ignore[index]
    said(fleet, "queue", "cancel", number)
    assert said(fleet, "queue", "clean") == "1 job deleted\n"


def test_what_is_not_for_the_queue_is_refused_at_once(fleet: Grounds) -> None:
    vm = ("queue", "add", "--vm", "web", "--path")
    destroy = call(fleet, *vm, "/nodes/{node}/qemu/{vmid}", "--method", "DELETE")
    assert destroy.exit_code == EXIT_FAILED
    assert "reconcile terminate" in destroy.output
    odd = call(fleet, *vm, SNAPSHOT, "--method", "POST", "--param", "snapname")
    assert "expected NAME=VALUE" in odd.output
    assert "nothing is in the queue" in said(fleet, "queue", "list")


def test_log_06_the_record_of_a_vm_is_one_document(fleet: Grounds) -> None:
    """LOG-06"""
    said(fleet, "snapshot", "web", "--name", "before")
    fleet.settle()
    found = told(fleet, "show", "web", "--record")
    assert (found["service_id"], found["service_status"], found["vm_id"]) == ("web", "ready", 100)
    assert (found["vm_name"], found["vm_status"]) == ("web.example.net", "stopped")
    assert str(found["vm_net0_mac"]).count(":") == 5
    assert [one["name"] for one in found["vm_snapshots"]] == ["before"]  # type: ignore[attr-defined]
    named = ("vm_rev_dns", "vm_backups", "vm_backup_schedule", "backup_now", "backup_restore")
    assert set(named) <= found.keys()
    assert found["vm_backups"] == []
    assert found["problem"] is None


def test_q_10_verify_answers_and_repairs(fleet: Grounds) -> None:
    """Q-10"""
    assert "web is as its spec says" in said(fleet, "verify", "web")
    fleet.ask("PUT", "/nodes/pve1/qemu/100/config", tags="theirs")
    assert told(fleet, "verify", "web", status=2)["differs"] is True
    repaired = told(fleet, "verify", "web", "--repair")
    assert (repaired["differs"], repaired["missing_volumes"]) == (False, {})


def test_a_step_that_failed_is_listed_and_tried_again_by_word(fleet: Grounds) -> None:
    """Q-01, Q-05: it has no last try."""
    at = datetime.now(UTC)
    with Store.open(fleet.where, at=at) as store:
        store.attempts.fail("web", "cpu", "no room", at, at + timedelta(hours=1))
    listed = told(fleet, "queue", "list", "--kind", "retry")["work"]
    assert isinstance(listed, list) and len(listed) == 1
    work = listed[0]
    assert (work["id"], work["attempts"], work["max_attempts"]) == ("web:cpu", 1, None)
    assert "no room" in said(fleet, "queue", "list", "--vm", "we*", "--search", "room")
    assert call(fleet, "queue", "retry", "web:disks").exit_code == EXIT_FAILED
    assert "expected a number or KEY:STEP" in call(fleet, "queue", "retry", "web").output
    assert said(fleet, "queue", "retry", "web:cpu") == "web:cpu: the next run tries it\n"
    assert "nothing is in the queue" in said(fleet, "queue", "list")


def test_q_07_what_is_stuck_is_given_up_by_word(fleet: Grounds) -> None:
    """Q-07: forced, and told as any other that was given up."""
    words = ("--vm", "web", "--method", "POST", "--path", SNAPSHOT, "--param", "snapname=stuck")
    number = told(fleet, "queue", "add", *words)["id"]
    assert isinstance(number, int)
    at = datetime.now(UTC) - timedelta(hours=3)
    with Store.open(fleet.where, at=at) as store:
        waits = store.queue.of(number)
        assert waits is not None
        taken = store.queue.claim(waits, at, "pve1")
        assert taken is not None and store.queue.sending(taken, at) is not None
    assert call(fleet, "queue", "retry", str(number)).exit_code == EXIT_FAILED
    assert said(fleet, "queue", "fail-stuck", "--older", "4h") == "no job is stuck\n"
    assert said(fleet, "queue", "fail-stuck") == f"given up: job {number}\n"
    assert "stuck: given up by" in call(fleet, "queue", "list", "--status", "error").output
    assert said(fleet, "queue", "clean", "--error") == "1 job deleted\n"


def test_log_07_status_is_searched_and_paged(fleet: Grounds) -> None:
    """LOG-07"""
    found = told(fleet, "status", "--search", "WEB", "--phase", "ready", "--page-size", "1")
    assert (found["total"], found["page"], found["pages"]) == (1, 1, 1)
    assert "no VM is like that" in said(fleet, "status", "--node", "pve9")
