"""Tickets, realms, permissions and tags beyond the recorded flows.

Every case names the place in Proxmox's sources (repository path) that it follows.
"""

from typing import Any

import pytest

from reconciler.sim.accounts.access import Grant, Token, User
from reconciler.sim.accounts.passwords import crypt_sha256
from reconciler.sim.api import Answer, Simulator
from tests.sim.conftest import Hands


@pytest.fixture
def people(recorded: Simulator) -> Simulator:
    """alice@pve, who may use VMs, with a token of her own."""
    access = recorded.world.access
    token = Token("1234")
    access.users["alice@pve"] = User("secret99", tokens={"t": token})
    access.users["bob@pve"] = User("secret99", enable=False)
    access.roles["Use"] = ["VM.Audit", "VM.Config.Options"]
    access.grants.append(Grant("/vms", "user", "alice@pve", "Use"))
    access.changed()
    return recorded


def login(simulator: Simulator, **given: object) -> Answer:
    plain = {"username": "alice@pve", "password": "secret99"}
    return simulator.call("POST", "/access/ticket", {**plain, **given}, None)


def test_the_hash_is_that_of_crypt() -> None:
    """`openssl passwd -5 -salt saltstring 'Hello world!'`."""
    hashed = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
    assert crypt_sha256("Hello world!", "saltstring") == hashed


def test_the_realm_is_always_appended(people: Simulator) -> None:
    """pve-access-control PVE/API2/AccessControl.pm (create_ticket)."""
    assert login(people, username="alice", realm="pve").ok
    assert login(people, username="alice@pve", realm="pve").status == 401
    errors = login(people, username="alice", realm="a b").errors or {}
    assert errors["realm"].startswith("invalid format - value does not look like a valid realm")


def test_a_ticket_renews_itself_and_that_of_root_logs_anybody_in(people: Simulator) -> None:
    """pve-access-control PVE/API2/AccessControl.pm (create_ticket_do)."""
    ticket = login(people).data["ticket"]
    assert login(people, password=ticket).ok
    root = login(people, username="root@pam", password="pvetest").data["ticket"]
    assert login(people, password=root).data["username"] == "alice@pve"
    assert login(people, username="root@pam", password=ticket).status == 401
    assert login(people, username="bob@pve", password=root).status == 401


def test_rights_are_verified_without_a_new_ticket(people: Simulator) -> None:
    """pve-access-control PVE/API2/AccessControl.pm (verify_auth)."""
    found = login(people, path="/vms/100", privs="VM.Audit").data
    assert found["username"] == "alice@pve" and "ticket" not in found
    assert login(people, path="/vms/100", privs="VM.Allocate").status == 401
    assert login(people, path="/a b", privs="VM.Audit").status == 401
    errors = login(people, path="/", privs="VM.Fly").errors or {}
    assert "invalid privilege 'VM.Fly'" in errors["privs"]
    root = login(people, username="root@pam", password="pvetest").data["ticket"]
    assert login(people, password=root, path="/vms/1", privs="VM.Audit").status == 401


def test_logins_are_logged_as_roots(people: Simulator) -> None:
    login(people)
    last = people.world.logbook[-1]
    assert (last.user, last.msg) == ("root@pam", "successful auth for user 'alice@pve'")


def test_the_name_of_the_cluster_is_for_auditors(demo: Simulator) -> None:
    """pve-access-control PVE/API2/AccessControl.pm (create_ticket)."""
    demo.world.access.users["alice@pve"] = User("secret99")
    demo.world.access.users["root@pam"].password = "pvetest"
    assert "clustername" not in login(demo).data
    assert "clustername" in login(demo, username="root@pam", password="pvetest").data


def test_a_path_is_answered_as_it_was_asked(people: Simulator) -> None:
    """pve-access-control PVE/API2/AccessControl.pm (permissions)."""

    def asked(path: str, user: str = "alice@pve") -> Any:
        return people.call("GET", "/access/permissions", {"path": path}, user).data

    assert asked("/vms/100") == {"/vms/100": {"VM.Audit": 1, "VM.Config.Options": 1}}
    assert asked("/storage/local") == {"/storage/local": {}}
    assert asked("/vms/100", "alice@pve!t") == {"/vms/100": {}}


def test_realms_are_read_by_name(people: Simulator) -> None:
    """pve-access-control PVE/API2/Domains.pm (read), PVE/Auth/Plugin.pm (parse_config)."""
    found = people.call("GET", "/access/domains/pve").data
    assert (found["type"], set(found)) == ("pve", {"type", "comment", "digest"})
    assert people.call("GET", "/access/domains/pam").data["plugin"] == "PVE::Auth::PAM"
    answer = people.call("GET", "/access/domains/ldap")
    assert answer.reason == "domain 'ldap' does not exist"


def test_nobody_has_a_second_factor(people: Simulator) -> None:
    """pve-access-control PVE/API2/TFA.pm, PVE/API2/User.pm (read_user_tfa_type)."""
    assert people.call("GET", "/access/tfa", {}, "alice@pve").data == []
    assert people.call("GET", "/access/tfa/alice@pve", {}, "alice@pve").data == []
    path = "/access/users/alice@pve/tfa"
    assert people.call("GET", path, {}, "alice@pve").data == {}
    assert people.call("GET", path, {"multiple": 1}, "alice@pve").data == {"types": []}
    assert {"subdir": "tfa"} in people.call("GET", "/access").data


@pytest.mark.parametrize(
    ("style", "kept"),
    [
        (None, "a;b"),
        ({"case-sensitive": 1}, "B;a;b"),
        ("case-sensitive=1,ordering=config", "b;a;B"),
        ({"ordering": "config"}, "b;a"),
    ],
)
def test_tags_follow_the_style_of_the_datacenter(hands: Hands, style: object, kept: str) -> None:
    """pve-guest-common PVE/GuestHelpers.pm (get_unique_tags)."""
    hands.vm(100)
    if style is not None:
        hands.simulator.world.options["tag-style"] = style
    hands.call("PUT", "/100/config", tags="b,a B b")
    assert hands.config(100)["tags"] == kept


def test_registered_and_unknown_tags_take_more(people: Simulator) -> None:
    """pve-guest-common PVE/GuestHelpers.pm (assert_tag_permissions)."""
    people.call("POST", "/nodes/pve1/qemu", {"vmid": 100, "tags": "old"})
    people.clock.pass_by(5)  # type: ignore[attr-defined]
    options = people.world.options

    def said(**given: object) -> str:
        return people.call("PUT", "/nodes/pve1/qemu/100/config", given, "alice@pve").reason

    options["registered-tags"] = ["prod"]
    refused = "Permission check failed (/, Sys.Modify for modifying tag '{}')"
    assert said(tags="old;prod") == refused.format("prod")
    assert said(tags="old;new") == "OK"
    options["user-tag-access"] = {"user-allow": "existing"}
    assert said(tags="old;other") == refused.format("other")
    assert said(tags="new") == "OK"
    options["user-tag-access"] = "user-allow=list,user-allow-list=blue"
    assert said(delete="tags") == refused.format("new")
    assert said(tags="new;blue") == "OK"
    options["user-tag-access"] = {"user-allow": "none"}
    assert said(tags="blue") == refused.format("new")
