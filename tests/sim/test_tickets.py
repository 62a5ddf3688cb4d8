"""Logins, tickets, CSRF tokens and API tokens; and what one may ask about rights."""

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.sim.accounts.access import Grant, Group, Identity, Token, User
from reconciler.sim.accounts.tickets import by_api_token, by_ticket, new_csrf_token, new_ticket
from reconciler.sim.api import Answer, Simulator
from reconciler.sim.clock import ManualClock
from reconciler.sim.errors import Refusal

Get = Callable[..., Any]
FLEET = "reconcile@pve!fleet"


def login(demo: Simulator, **params: str) -> Answer:
    return demo.call("POST", "/access/ticket", params, identity=None)


def reason(refused: pytest.ExceptionInfo[Refusal]) -> str:
    assert refused.value.status == 401
    return refused.value.reason


def test_a_login_gives_ticket_csrf_token_and_capabilities(demo: Simulator) -> None:
    found = login(demo, username="root@pam", password="demo").data
    assert sorted(found) == ["CSRFPreventionToken", "cap", "clustername", "ticket", "username"]
    assert found["cap"]["vms"]["VM.Audit"] == 1
    who = by_ticket(demo.world, found["ticket"], "PUT", found["CSRFPreventionToken"])
    assert who == Identity("root@pam")
    assert demo.call("GET", "/access/ticket", identity=None).data is None


def test_the_realm_may_be_given_apart(demo: Simulator, recorded: Simulator) -> None:
    found = login(recorded, username="root", realm="pam", password="pvetest").data
    assert found["username"] == "root@pam" and "clustername" not in found


def test_a_ticket_renews_itself(demo: Simulator) -> None:
    ticket = login(demo, username="root@pam", password="demo").data["ticket"]
    assert login(demo, username="root@pam", password=ticket).ok
    assert login(demo, username="ghost@pve", password=ticket).status == 401


@pytest.mark.parametrize(
    "params",
    [
        {"username": "root@pam", "password": "wrong"},
        {"username": "root", "password": "demo"},
        {"username": "ghost@pve", "password": "demo"},
        {"username": "reconcile@pve", "password": "demo"},
        {"username": "reconcile@pve!fleet", "password": "demo"},
    ],
)
def test_wrong_logins_are_all_alike(demo: Simulator, params: dict[str, str]) -> None:
    answer = login(demo, **params)
    assert (answer.status, answer.reason) == (401, "authentication failure")
    assert answer.message == "authentication failure\n"


def test_disabled_and_expired_users_cannot_log_in(demo: Simulator) -> None:
    world = demo.world
    ticket = new_ticket(world, "alice@pve")
    world.access.users["alice@pve"].enable = False
    assert login(demo, username="alice@pve", password="alice-demo").status == 401
    with pytest.raises(Refusal) as refused:
        by_ticket(world, ticket, "GET", None)
    assert reason(refused) == "user 'alice@pve' is disabled"
    world.access.users["alice@pve"] = User(password="alice-demo", expire=5)
    assert login(demo, username="alice@pve", password="alice-demo").status == 401
    with pytest.raises(Refusal, match="access expired"):
        by_ticket(world, ticket, "GET", None)


def test_a_ticket_lasts_two_hours(demo: Simulator, clock: ManualClock) -> None:
    world = demo.world
    ticket = new_ticket(world, "root@pam")
    clock.pass_by(7199)
    world.advance(clock.now)
    assert by_ticket(world, ticket, "GET", None).root
    clock.pass_by(1)
    world.advance(clock.now)
    with pytest.raises(Refusal) as refused:
        by_ticket(world, ticket, "GET", None)
    assert reason(refused) == "permission denied - invalid PVE ticket"


@pytest.mark.parametrize("ticket", ["x", "PVE:root@pam:6B49D200::bm90IG91cnM"])
def test_a_forged_ticket_is_invalid(demo: Simulator, ticket: str) -> None:
    with pytest.raises(Refusal, match="invalid PVE ticket"):
        by_ticket(demo.world, ticket, "GET", None)


def test_writes_by_ticket_need_the_csrf_token(demo: Simulator, clock: ManualClock) -> None:
    world = demo.world
    ticket, csrf = new_ticket(world, "root@pam"), new_csrf_token(world, "root@pam")
    assert by_ticket(world, ticket, "PUT", csrf).root
    for wrong in (None, "x", new_csrf_token(world, "alice@pve")):
        with pytest.raises(Refusal) as refused:
            by_ticket(world, ticket, "PUT", wrong)
        assert reason(refused) == "Permission denied - invalid csrf token"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("garbage", "no tokenid specified"),
        ("ghost@pve!x=s", "'ghost@pve!x' is not a valid token ID - not able to split"),
        ("ghost@pve!tok=s", "no such user ('ghost@pve')"),
        ("alice@pve!tok=s", "no such token 'tok' for user 'alice@pve'"),
        (f"{FLEET}=wrong", "invalid token value!"),
        ("alice@pve!old=s", "token expired"),
    ],
)
def test_refused_api_tokens(demo: Simulator, text: str, words: str) -> None:
    demo.world.access.users["alice@pve"].tokens["old"] = Token("s", expire=5)
    with pytest.raises(Refusal) as refused:
        by_api_token(demo.world, text)
    assert reason(refused).startswith(words)


def test_an_api_token_is_known_by_its_secret(demo: Simulator) -> None:
    assert str(by_api_token(demo.world, f"{FLEET}=demo")) == FLEET


def test_the_fleet_token_sees_its_effective_rights(demo: Simulator) -> None:
    found = demo.call("GET", "/access/permissions", identity=FLEET).data
    assert found["/vms"]["VM.Clone"] == 1 and "Permissions.Modify" not in found["/"]
    one = demo.call("GET", "/access/permissions", {"path": "/vms/100"}, identity=FLEET).data
    assert list(one) == ["/vms/100"]


def test_permissions_of_others_need_audit(demo: Simulator) -> None:
    path = "/access/permissions"
    demo.world.access.users["alice@pve"].tokens["t1"] = Token("s", privsep=False)
    own = demo.call("GET", path, {"userid": "alice@pve!t1"}, identity="alice@pve")
    assert own.ok and own.data["/vms"]["VM.Audit"] == 1
    answer = demo.call("GET", path, {"userid": "alice@pve"}, identity="alice@pve!t1")
    assert answer.reason == "Permission check failed (/access, Sys.Audit)"
    assert demo.call("GET", path, {"userid": "alice@pve"}, identity=FLEET).ok


def test_lists_of_users_groups_and_tokens(demo: Simulator, get: Get) -> None:
    access = demo.world.access
    access.groups["ops"] = Group(comment="people")
    access.users["alice@pve"].groups.append("ops")
    access.users["bob@pve"] = User(enable=False, email="b@example.invalid")
    names = [row["userid"] for row in get("/access/users", enabled="1")]
    assert names == ["alice@pve", "reconcile@pve", "root@pam"]
    full = {row["userid"]: row for row in get("/access/users", full="1")}
    assert full["alice@pve"]["groups"] == "ops"
    assert full["reconcile@pve"]["tokens"] == [{"expire": 0, "privsep": 1, "tokenid": "fleet"}]
    assert get("/access/users/bob@pve")["email"] == "b@example.invalid"
    assert get("/access/users/bob@pve")["tokens"] is None
    assert get("/access/users/reconcile@pve/token")[0]["tokenid"] == "fleet"
    assert get("/access/users/reconcile@pve/token/fleet") == {"expire": 0, "privsep": 1}
    assert get("/access/groups") == [{"groupid": "ops", "users": "alice@pve", "comment": "people"}]
    assert get("/access/groups/ops") == {"members": ["alice@pve"], "comment": "people"}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/access/users/ghost@pve", "no such user ('ghost@pve')"),
        ("/access/users/alice@pve/token/no", "no such token 'no' for user 'alice@pve'"),
        ("/access/groups/nope", "group 'nope' does not exist"),
        ("/access/roles/Nope", "role 'Nope' does not exist"),
    ],
)
def test_missing_names(demo: Simulator, path: str, words: str) -> None:
    answer = demo.call("GET", path)
    assert (answer.status, answer.reason) == (500, words)


def test_one_sees_oneself_and_the_groups_one_governs(demo: Simulator) -> None:
    access = demo.world.access
    access.groups["ops"] = Group()
    access.users["alice@pve"].groups.append("ops")
    access.users["bob@pve"] = User()
    rows = demo.call("GET", "/access/users", identity="bob@pve").data
    assert [row["userid"] for row in rows] == ["bob@pve"]
    answer = demo.call("GET", "/access/users/alice@pve", identity="bob@pve")
    assert answer.reason == "Permission check failed"
    assert demo.call("GET", "/access/groups/ops", identity="bob@pve").status == 403
    assert demo.call("GET", "/access/groups", identity="bob@pve").data == []
    access.grants.append(Grant("/access/groups/ops", "user", "bob@pve", "PVEUserAdmin"))
    access.changed()
    rows = demo.call("GET", "/access/users", identity="bob@pve").data
    assert [row["userid"] for row in rows] == ["alice@pve", "bob@pve"]
    assert demo.call("GET", "/access/groups/ops", identity="bob@pve").data["members"]
    assert demo.call("GET", "/access/users/alice@pve/token", identity="bob@pve").data == []


def test_roles_and_realms(get: Get) -> None:
    roles = {row["roleid"]: row for row in get("/access/roles")}
    assert roles["PVEVMUser"]["special"] == 1 and "special" not in roles["Fleet"]
    assert get("/access/roles/PVETemplateUser") == {"VM.Audit": 1, "VM.Clone": 1}
    assert [row["realm"] for row in get("/access/domains")] == ["pam", "pve"]


def test_the_acl_shows_what_one_may_change(demo: Simulator, get: Get) -> None:
    assert len(get("/access/acl")) == 3
    assert demo.call("GET", "/access/acl", identity="alice@pve").data == []
    fleet = demo.call("GET", "/access/acl", identity=FLEET).data
    assert fleet[1]["type"] == "token" and fleet[1]["ugid"] == FLEET
