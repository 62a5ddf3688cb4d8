"""What user.cfg keeps of users, and passwords, beyond the recorded flows.

Every case names the place in Proxmox's sources (repository path) that it follows.
"""

from typing import Any

import pytest

from reconciler.sim.accounts.access import Grant, User
from reconciler.sim.api import Simulator

USERS = "/access/users"


def seen(simulator: Simulator, **given: object) -> Any:
    """A new user x@pve as it is read back."""
    assert simulator.call("POST", USERS, {"userid": "x@pve", **given}).ok
    return simulator.call("GET", f"{USERS}/x@pve").data


@pytest.mark.parametrize(
    ("given", "email"),
    [
        ({}, None),
        ({"firstname": "X", "lastname": "Y"}, None),
        ({"comment": "c"}, ""),
        ({"keys": "k"}, ""),
        ({"email": "x@example.net"}, "x@example.net"),
    ],
)
def test_empty_columns_at_the_end_of_a_line_are_lost(
    recorded: Simulator, given: dict[str, object], email: str | None
) -> None:
    """pve-access-control PVE/AccessControl.pm (parse_user_config splits at colons)."""
    assert seen(recorded, **given).get("email") == email


def test_a_comment_that_goes_takes_an_empty_address_along(recorded: Simulator) -> None:
    """pve-access-control PVE/AccessControl.pm (parse_user_config splits at colons)."""
    assert seen(recorded, comment="c")["email"] == ""
    assert recorded.call("PUT", f"{USERS}/x@pve", {"comment": ""}).ok
    assert "email" not in recorded.call("GET", f"{USERS}/x@pve").data


def test_a_full_list_says_null_of_users_without_tokens(recorded: Simulator) -> None:
    """pve-access-control PVE/API2/User.pm (index)."""
    seen(recorded)
    recorded.call("POST", f"{USERS}/x@pve/token/abc")
    rows = {row["userid"]: row for row in recorded.call("GET", USERS, {"full": 1}).data}
    assert rows["root@pam"]["tokens"] is None and rows["root@pam"]["groups"] == ""
    assert [one["tokenid"] for one in rows["x@pve"]["tokens"]] == ["abc"]


def test_a_realm_that_is_not_there_has_no_type(recorded: Simulator) -> None:
    """pve-access-control PVE/API2/User.pm (create_user, index)."""
    assert recorded.call("POST", USERS, {"userid": "x@nowhere"}).ok
    rows = {row["userid"]: row for row in recorded.call("GET", USERS).data}
    assert "realm-type" not in rows["x@nowhere"] and rows["root@pam"]["realm-type"] == "pam"
    refused = recorded.call("POST", USERS, {"userid": "y@nowhere", "password": "secret99"})
    assert refused.reason == "create user failed: auth domain 'nowhere' does not exist"


def test_root_cannot_be_deleted_for_long(recorded: Simulator) -> None:
    """pve-access-control PVE/AccessControl.pm (userconfig_force_defaults)."""
    recorded.call("POST", f"{USERS}/root@pam/token/abc", {"privsep": 0})
    assert recorded.call("DELETE", f"{USERS}/root@pam").ok
    assert recorded.call("GET", "/version").ok
    assert recorded.call("GET", f"{USERS}/root@pam").data["tokens"] is None
    login = {"username": "root@pam", "password": "pvetest"}
    assert recorded.call("POST", "/access/ticket", login, None).ok


def test_the_host_knows_no_users_but_root(recorded: Simulator) -> None:
    """pve-access-control PVE/Auth/PAM.pm (store_password); pve-common PVE/Tools.pm
    (run_command takes `usermod: ` away)."""
    given = {"userid": "joe@pam", "password": "secret99"}
    text = "change password failed: user 'joe' does not exist"
    assert recorded.call("POST", USERS, given).reason == f"create user failed: {text}"
    assert recorded.call("POST", USERS, {"userid": "joe@pam"}).ok
    assert recorded.call("PUT", "/access/password", given).reason == text


def test_a_wrong_confirmation_is_no_failed_login(recorded: Simulator) -> None:
    """pve-access-control PVE/RPCEnvironment.pm (reauth_user_for_user_modification),
    PVE/Auth/PVE.pm (authenticate_user)."""
    access = recorded.world.access
    access.users["a@pve"] = User("secret99")
    access.users["b@pve"] = User()

    def said(who: str) -> tuple[int, str]:
        given = {"userid": who, "password": "secret98", "confirmation-password": "secret97"}
        answer = recorded.call("PUT", "/access/password", given, who)
        return answer.status, answer.reason

    assert said("a@pve") == (500, "invalid credentials")
    assert said("b@pve") == (500, "no password set")


def test_second_factors_are_asked_for_without_a_look_at_the_user(recorded: Simulator) -> None:
    """pve-access-control PVE/API2/User.pm (read_user_tfa_type), PVE/API2/TFA.pm."""
    assert recorded.call("GET", "/access/tfa/ghost@pve").data == []
    assert recorded.call("GET", f"{USERS}/ghost@pve/tfa").data == {}
    answer = recorded.call("GET", f"{USERS}/ghost@nowhere/tfa")
    assert answer.reason == "auth domain 'nowhere' does not exist"
    assert {"subdir": "login"} in recorded.call("GET", "/access/openid").data


def test_an_empty_comment_of_a_pool_is_none(recorded: Simulator) -> None:
    """pve-access-control PVE/AccessControl.pm (parse_user_config)."""
    recorded.call("POST", "/pools", {"poolid": "p", "comment": "c"})
    recorded.call("PUT", "/pools", {"poolid": "p", "comment": ""})
    assert recorded.call("GET", "/pools").data == [{"poolid": "p"}]


def test_the_monitor_asks_for_more_than_its_own_right(recorded: Simulator) -> None:
    """qemu-server PVE/API2/Qemu.pm (monitor, vm_sendkey)."""
    recorded.world.access.users["a@pve"] = User()
    recorded.world.access.grants.append(Grant("/vms", "user", "a@pve", "PVEVMAdmin"))
    recorded.world.access.changed()
    recorded.call("POST", "/nodes/pve1/qemu", {"vmid": 100})
    recorded.clock.pass_by(5)  # type: ignore[attr-defined]
    vm = "/nodes/pve1/qemu/100"
    asked = recorded.call("POST", f"{vm}/monitor", {"command": "info status"}, "a@pve")
    assert asked.data == "ERROR: VM 100 not running\n"
    done = recorded.call("POST", f"{vm}/monitor", {"command": "stop"}, "a@pve")
    assert done.reason == "Permission check failed (/, Sys.Modify)"
    key = recorded.call("PUT", f"{vm}/sendkey", {"key": "ret", "skiplock": 1}, "a@pve")
    assert key.errors == {"skiplock": "Only root may use this option."}
