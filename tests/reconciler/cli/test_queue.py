"""`reconcile queue` over HTTPS: asked for, sent by the next run, shown, tried again, cleaned."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from reconciler.cli.settings import EXIT_FAILED, EXIT_USAGE
from tests.grounds import Grounds

SNAPSHOT = "/nodes/{node}/qemu/{vmid}/snapshot"
NEVER = ("--method", "POST", "--path", "/nodes/pve9/apt/update")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Grounds]:
    with Grounds(tmp_path, {"vms/vms.yaml": "web: {power: stopped}\n"}) as grounds:
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
        done = call(fleet, "process-queue", "--time-limit", "20")
        assert done.exit_code == 0, done.output
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
    said(fleet, "queue", "add", "--cluster", "demo", *NEVER)
    assert call(fleet, "process-queue").exit_code == EXIT_FAILED
    shown = call(fleet, "queue", "show", "1")
    assert shown.exit_code == EXIT_FAILED
    assert "has no node pve9" in shown.output
    assert "try again: reconcile queue retry 1" in shown.output
    assert call(fleet, "queue", "list").exit_code == EXIT_FAILED
    assert said(fleet, "queue", "retry", "1") == "job 1: the next run sends it\n"
    assert said(fleet, "queue", "cancel", "1") == "job 1: cancelled\n"
    assert "only what waits" not in call(fleet, "queue", "cancel", "1").output
    assert call(fleet, "queue", "cancel", "1").exit_code == EXIT_FAILED
    assert said(fleet, "queue", "clean", "--error", "--older", "7d") == "0 jobs deleted\n"
    assert said(fleet, "queue", "clean", "--cancelled") == "1 job deleted\n"
    assert call(fleet, "queue", "show", "1").exit_code == EXIT_FAILED
    assert said(fleet, "queue", "fail-stuck") == "no job is stuck\n"


def test_what_is_not_for_the_queue_is_refused_at_once(fleet: Grounds) -> None:
    vm = ("queue", "add", "--vm", "web", "--path")
    destroy = call(fleet, *vm, "/nodes/{node}/qemu/{vmid}", "--method", "DELETE")
    assert destroy.exit_code == EXIT_FAILED
    assert "reconcile terminate" in destroy.output
    odd = call(fleet, *vm, SNAPSHOT, "--method", "POST", "--param", "snapname")
    assert odd.exit_code == EXIT_USAGE or "expected NAME=VALUE" in odd.output
    assert "nothing is in the queue" in said(fleet, "queue", "list")
