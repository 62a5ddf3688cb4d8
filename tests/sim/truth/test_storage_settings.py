"""What the sections of storage.cfg take: the formats of PVE::Storage::Plugin."""

import pytest

from reconciler.sim.api import Simulator

DIR = {"storage": "aa", "type": "dir", "path": "/srv"}
NFS = {"storage": "aa", "type": "nfs", "server": "192.0.2.1", "export": "/tank"}
NO_PATH = "value does not look like a valid absolute path"
NO_SERVER = "value does not look like a valid server name or IP address"
NO_PORTAL = "value does not look like a valid portal address"


@pytest.mark.parametrize(
    ("given", "name", "complaint"),
    [
        (DIR | {"path": "srv"}, "path", f"invalid format - {NO_PATH}\n"),
        (DIR | {"path": "/;"}, "path", f"invalid format - {NO_PATH}\n"),
        (NFS | {"server": "a_b"}, "server", f"invalid format - {NO_SERVER}\n"),
        (NFS | {"options": "a b"}, "options", "invalid format - invalid options 'a b'\n"),
        (
            DIR | {"prune-backups": "3"},
            "prune-backups",
            "invalid format - value without key, but schema does not define a default key\n",
        ),
        (
            DIR | {"prune-backups": "keep-all=1,keep-last=2"},
            "prune-backups",
            "invalid format - keep-all cannot be set together with other options.\n",
        ),
        (
            DIR | {"content-dirs": "iso"},
            "content-dirs",
            "invalid format - invalid override 'iso'\n",
        ),
        (
            DIR | {"content-dirs": "x=a"},
            "content-dirs",
            "invalid format - invalid content type 'x'\n",
        ),
        (
            DIR | {"max-protected-backups": "-2"},
            "max-protected-backups",
            "value must have a minimum value of -1",
        ),
        (
            DIR | {"preallocation": "all"},
            "preallocation",
            "value 'all' does not have a value in the enumeration 'off, metadata, falloc, full'",
        ),
        (
            {"storage": "aa", "type": "lvm", "vgname": "-a"},
            "vgname",
            "invalid format - lvm name '-a' contains illegal characters\n",
        ),
        (
            {"storage": "aa", "type": "rbd", "monhost": "a,:5"},
            "monhost",
            f"invalid format - {NO_PORTAL}\n",
        ),
    ],
)
def test_values_without_sense(
    recorded: Simulator, given: dict[str, str], name: str, complaint: str
) -> None:
    answer = recorded.call("POST", "/storage", given)
    assert (answer.status, answer.errors) == (400, {name: complaint})


@pytest.mark.parametrize(
    "given",
    [
        DIR | {"prune-backups": "keep-last=3,keep-daily=7", "content-dirs": "iso=a/b.c"},
        DIR | {"bwlimit": "default=100,move=1.5", "preallocation": "off"},
        NFS | {"server": "2001:db8::1", "options": "vers=4.2,soft"},
        {"storage": "aa", "type": "rbd", "monhost": "192.0.2.1:6789 [2001:db8::1]:3300 a.b"},
        {"storage": "aa", "type": "lvm", "vgname": "vg0"},
    ],
)
def test_values_with_sense(recorded: Simulator, given: dict[str, str]) -> None:
    answer = recorded.call("POST", "/storage", given)
    assert answer.status == 200, answer


def test_a_format_that_the_kind_does_not_know_is_dropped(recorded: Simulator) -> None:
    recorded.call("POST", "/storage", NFS | {"format": "subvol"})
    assert "format" not in recorded.call("GET", "/storage/aa").data


def test_what_is_fixed_for_one_kind_may_change_for_another(recorded: Simulator) -> None:
    head = "update storage failed: can't change value of fixed parameter"
    recorded.call("POST", "/storage", NFS)
    recorded.call("POST", "/storage", {"storage": "pool", "type": "zfspool", "pool": "tank"})
    recorded.call("POST", "/storage", {"storage": "ceph", "type": "rbd", "monhost": "a"})
    moved = recorded.call("PUT", "/storage/aa", {"server": "192.0.2.2"})
    assert moved.reason == f"{head} 'server'"
    assert recorded.call("PUT", "/storage/pool", {"pool": "b"}).reason == f"{head} 'pool'"
    assert recorded.call("PUT", "/storage/ceph", {"pool": "b"}).status == 200
    assert recorded.call("PUT", "/storage/aa", {"path": "/mnt"}).status == 400
