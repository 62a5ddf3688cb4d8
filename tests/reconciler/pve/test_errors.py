"""Proxmox's words become one error each, its own text kept."""

import json
from pathlib import Path

import pytest

from reconciler.pve.errors import LIMIT, lost, read_answer, read_text
from reconciler.pve.form import redact
from state.api import (
    ApiError,
    Contention,
    Forbidden,
    Locked,
    MaybeRunning,
    NotFound,
    PartlyApplied,
    Refused,
    Stale,
    Unavailable,
)

FLOCK = "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"
STORAGE_LOCK = "can't lock file '/var/lock/pve-manager/pve-storage-local-lvm' - got timeout"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("VM is locked (backup)", Locked),
        (FLOCK, Locked),
        (STORAGE_LOCK, Contention),
        ("cfs-lock 'storage-ceph' error: got lock request timeout", Contention),
        ("clone failed: cfs-lock 'storage-nfs' error: got lock request timeout", Contention),
        ("checksum mismatch (file change by other user?)", Stale),
        ("detected modified configuration - file changed by other user? Try again.", Stale),
        ("cluster not ready - no quorum?", Unavailable),
        ("hostname lookup 'nope' failed - failed to get address info for: nope", Unavailable),
        ("Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist", NotFound),
        ("unable to find configuration file for VM 998 on node 'pve1'", NotFound),
        ("no such IPSet 'ipfilter-net0'", NotFound),
        ("no rule at position 9", NotFound),
        ("update pools failed: pool 'x' does not exist", NotFound),
        ("snapshot 'nope' does not exist", NotFound),
        ("volume 'local:110/vm-110-disk-9.qcow2' does not exist", ApiError),
        ("storage 'nope' does not exist", ApiError),
        ("shrinking disks is not supported", ApiError),
        ("VM 130 not running", ApiError),
        ("", ApiError),
    ],
)
def test_a_500_is_told_by_its_text(text: str, kind: type[ApiError]) -> None:
    error = read_answer(True, 500, text, "", {})
    assert type(error) is kind
    assert error.text.startswith(text)
    assert error.status == 500
    assert type(read_text(text, 0)) is kind


def test_a_taken_vmid_names_the_parameter() -> None:
    clone = read_text("unable to create VM 100: config file already exists")
    create = read_text("unable to create VM 100 - VM 100 already exists on node 'pve1'")
    assert isinstance(clone, Refused) and list(clone.keys) == ["newid"]
    assert isinstance(create, Refused) and list(create.keys) == ["vmid"]


def test_what_only_root_may_set_is_forbidden_by_key() -> None:
    error = read_text("only root can set 'args' config")
    assert isinstance(error, Forbidden) and list(error.keys) == ["args"]


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ({"cores": "type check ('integer') failed - got 'x'"}, Refused),
        ({"net0": "hotplug problem - error on hot-unplugging device 'net0'"}, PartlyApplied),
        ({"net0": "unable to apply pending change net0 : x", "cores": "y"}, PartlyApplied),
        ({"upid": "no such task"}, NotFound),
        ({}, Refused),
    ],
)
def test_a_400_is_told_by_its_keys(keys: dict[str, str], kind: type[ApiError]) -> None:
    error = read_answer(True, 400, "Parameter verification failed.", "", keys)
    assert type(error) is kind
    assert error.keys == keys


@pytest.mark.parametrize(
    ("status", "write", "kind"),
    [
        (301, True, MaybeRunning),
        (401, True, Forbidden),
        (403, True, Forbidden),
        (404, True, NotFound),
        (501, True, ApiError),
        (503, False, Unavailable),
        (595, True, Unavailable),
        (596, True, MaybeRunning),
        (596, False, Unavailable),
        (599, True, MaybeRunning),
    ],
)
def test_other_statuses(status: int, write: bool, kind: type[ApiError]) -> None:
    error = read_answer(write, status, "the reason", "", {})
    assert type(error) is kind
    assert "the reason" in error.text and error.status == status


def test_long_texts_are_cut() -> None:
    assert len(read_text("x" * 1000).text) == LIMIT
    keys = read_answer(True, 400, "", "", {"a": "y" * 1000}).keys
    assert len(keys["a"]) == LIMIT


def test_the_body_says_more_than_the_reason() -> None:
    assert read_answer(True, 500, "first", "first\nsecond\n", {}).text == "first\nsecond"


def test_lost_answers() -> None:
    assert type(lost(True, "x")) is MaybeRunning
    assert type(lost(False, "x")) is Unavailable


def test_secrets_are_taken_out_raw_and_encoded() -> None:
    shown = redact("a b/c, a%20b%2Fc, a%20b/c and a b", ["a b/c", "a b", ""])
    assert shown == "***, ***, *** and ***"


def test_every_recorded_refusal_has_a_meaning(shared: Path) -> None:
    kinds = set()
    for file in sorted((shared / "pve-transcripts").glob("*.json")):
        for call in json.loads(file.read_text())["calls"]:
            answer = call["response"]
            if answer["status"] < 400:
                continue
            body = answer["body"] if isinstance(answer["body"], dict) else {}
            keys = {key: str(said) for key, said in (body.get("errors") or {}).items()}
            message = str(body.get("message") or "")
            error = read_answer(
                call["request"]["method"] != "GET",
                answer["status"],
                answer["reason"],
                message,
                keys,
            )
            kinds.add(type(error))
            assert error.text and error.status == answer["status"]
            assert set(error.keys) <= {*keys, "newid", "vmid", "args", "lock"}
    assert kinds == {ApiError, Forbidden, Locked, NotFound, Refused, Stale, Unavailable}
