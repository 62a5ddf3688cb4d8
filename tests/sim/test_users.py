"""Users, groups, roles, tokens and ACLs: what is written, refused and who may."""

from typing import Any

import pytest

from reconciler.sim.accounts import acls, custom_roles, groups, rights, tokens, users
from reconciler.sim.accounts.access import Grant, User
from reconciler.sim.api import Answer, Simulator
from reconciler.sim.samples import recorded_world

CALLS = (acls, custom_roles, groups, rights, tokens, users)
NOW = 1_800_000_000.0
ALICE = "alice@pve"
ACL = "/access/acl"


@pytest.fixture
def cluster() -> Simulator:
    return Simulator(recorded_world(NOW), lambda: NOW)


def ok(answer: Answer) -> Any:
    assert answer.status == 200, answer
    return answer.data


def new_user(cluster: Simulator, name: str = ALICE, *grants: tuple[str, str]) -> str:
    access = cluster.world.access
    access.users[name] = User(password="first-secret", email="")
    access.grants += [Grant(path, "user", name, role) for path, role in grants]
    access.changed()
    return f"/access/users/{name}"


def new_role(cluster: Simulator, *privileges: str) -> str:
    cluster.world.access.roles["Some"] = sorted(privileges)
    return "Some"


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.reason


# ------------------------------------------------------------------ users


def test_every_setting_of_a_user_is_kept(cluster: Simulator) -> None:
    ok(cluster.call("POST", "/access/groups", {"groupid": "ops"}))
    given = {
        "userid": ALICE,
        "password": "long-enough",
        "firstname": "A",
        "lastname": "B",
        "email": "a@example.invalid",
        "comment": "c",
        "keys": "k",
        "groups": "ops",
        "enable": "0",
        "expire": "7",
    }
    ok(cluster.call("POST", "/access/users", given))
    shown = ok(cluster.call("GET", f"/access/users/{ALICE}"))
    assert shown == {
        "firstname": "A",
        "lastname": "B",
        "email": "a@example.invalid",
        "comment": "c",
        "keys": "k",
        "groups": ["ops"],
        "enable": 0,
        "expire": 7,
        "tokens": None,
    }


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"userid": ALICE}, f"user '{ALICE}' already exists"),
        ({"userid": "b@nope", "password": "long-enough"}, "auth domain 'nope' does not exist"),
        ({"userid": "b@pve", "groups": "nope"}, "no such group 'nope'"),
    ],
)
def test_a_refused_user_is_named_and_not_made(
    cluster: Simulator, params: dict[str, str], text: str
) -> None:
    new_user(cluster)
    answer = cluster.call("POST", "/access/users", params)
    assert reason(answer) == (500, f"create user failed: {text}")
    assert set(cluster.world.access.users) == {"root@pam", ALICE}


@pytest.mark.parametrize(
    ("params", "errors"),
    [
        ({"password": "abc"}, {"password": "value must be at least 8 characters long"}),
        (
            {"email": "x"},
            {"email": "invalid format - value does not look like a valid email address\n"},
        ),
        (
            {"groups": "a b/c"},
            {"groups": "invalid format - group name 'b/c' contains invalid characters\n"},
        ),
    ],
)
def test_wrong_settings_of_a_user_are_refused(
    cluster: Simulator, params: dict[str, str], errors: dict[str, str]
) -> None:
    answer = cluster.call("POST", "/access/users", {"userid": "b@pve", **params})
    assert (answer.status, answer.errors) == (400, errors)


def test_a_user_is_changed_and_groups_are_replaced_or_added(cluster: Simulator) -> None:
    path = new_user(cluster)
    for name in ("a", "b", "c"):
        ok(cluster.call("POST", "/access/groups", {"groupid": name}))
    ok(cluster.call("PUT", path, {"groups": "a,b", "comment": "x", "expire": "9"}))
    ok(cluster.call("PUT", path, {"groups": "c", "append": "1", "enable": "0", "comment": ""}))
    assert cluster.world.access.users[ALICE].groups == ["a", "b", "c"]
    ok(cluster.call("PUT", path, {"groups": ""}))
    user = cluster.world.access.users[ALICE]
    assert (user.groups, user.enable, user.expire, user.comment) == ([], False, 9, None)


def test_changing_a_missing_user_is_a_500_and_removing_one_is_not(cluster: Simulator) -> None:
    answer = cluster.call("PUT", f"/access/users/{ALICE}", {"enable": "1"})
    assert reason(answer) == (500, f"update user failed: no such user ('{ALICE}')")
    ok(cluster.call("DELETE", f"/access/users/{ALICE}"))


def test_a_removed_user_takes_its_tokens_and_acl_entries_along(cluster: Simulator) -> None:
    path = new_user(cluster, ALICE, ("/", "PVEAuditor"))
    ok(cluster.call("POST", f"{path}/token/t1"))
    ok(cluster.call("PUT", ACL, {"path": "/", "roles": "PVEAuditor", "tokens": f"{ALICE}!t1"}))
    ok(cluster.call("DELETE", path))
    assert ok(cluster.call("GET", ACL)) == []


def test_who_may_allocate_users_in_the_realm_and_modify_groups_makes_users(
    cluster: Simulator,
) -> None:
    new_user(cluster, ALICE)
    post = {"userid": "b@pve"}
    assert reason(cluster.call("POST", "/access/users", post, ALICE)) == (
        403,
        "Permission check failed (/access/realm/pve, Realm.AllocateUser)",
    )
    new_role(cluster, "Realm.AllocateUser")
    cluster.world.access.grants.append(Grant("/access/realm/pve", "user", ALICE, "Some"))
    cluster.world.access.changed()
    assert reason(cluster.call("POST", "/access/users", post, ALICE)) == (
        403,
        "Permission check failed (/access/groups, User.Modify)",
    )
    ok(cluster.call("POST", "/access/groups", {"groupid": "ops"}))
    grouped = {**post, "groups": "ops"}
    assert reason(cluster.call("POST", "/access/users", grouped, ALICE)) == (
        403,
        "Permission check failed (/access/groups/ops, User.Modify)",
    )
    cluster.world.access.grants.append(Grant("/access/groups/ops", "user", ALICE, "PVEUserAdmin"))
    cluster.world.access.changed()
    ok(cluster.call("POST", "/access/users", grouped, ALICE))
    ok(cluster.call("PUT", "/access/users/b@pve", {**grouped, "comment": "x"}, ALICE))
    other = new_user(cluster, "c@pve")
    answer = cluster.call("PUT", other, {"userid": "c@pve", "groups": "ops"}, ALICE)
    assert reason(answer) == (403, "Permission check failed")
    ok(cluster.call("DELETE", "/access/users/b@pve", None, ALICE))


def test_a_user_admin_of_all_groups_changes_everyone(cluster: Simulator) -> None:
    new_user(cluster, ALICE, ("/access", "PVEUserAdmin"))
    ok(cluster.call("PUT", new_user(cluster, "b@pve"), {"comment": "x"}, ALICE))
    answer = cluster.call("PUT", "/access/users/nobody", {"comment": "x"}, ALICE)
    assert answer.status == 500
    answer = cluster.call("PUT", "/access/users/no@pve", {"comment": "x"}, ALICE)
    assert reason(answer) == (500, "no such user ('no@pve')")


# ------------------------------------------------------------------ passwords

PASSWORD = "/access/password"


def test_root_sets_any_password_and_others_confirm_their_own(cluster: Simulator) -> None:
    new_user(cluster)
    own = {"userid": ALICE, "password": "second-secret"}
    ok(cluster.call("PUT", PASSWORD, own))
    third = {**own, "password": "third-secret"}
    unconfirmed = cluster.call("PUT", PASSWORD, third, ALICE)
    assert unconfirmed.errors == {"confirmation-password": "password is required to modify user"}
    wrong = {**third, "confirmation-password": "wrong"}
    assert cluster.call("PUT", PASSWORD, wrong, ALICE).reason == "invalid credentials"
    ok(cluster.call("PUT", PASSWORD, {**third, "confirmation-password": "second-secret"}, ALICE))
    assert cluster.world.access.users[ALICE].password == "third-secret"


@pytest.mark.parametrize("victim", ["root@pam", "host@pam"])
def test_only_root_changes_passwords_of_the_host(cluster: Simulator, victim: str) -> None:
    new_user(cluster, ALICE, ("/access", "PVEUserAdmin"))
    cluster.world.access.users.setdefault(victim, User())
    params = {
        "userid": victim,
        "password": "new-secret",
        "confirmation-password": "first-secret",
    }
    assert reason(cluster.call("PUT", PASSWORD, params, ALICE)) == (403, "Permission check failed")


def test_a_token_changes_no_password(cluster: Simulator) -> None:
    path = new_user(cluster)
    ok(cluster.call("POST", f"{path}/token/t1", {"privsep": "0"}))
    params = {"userid": ALICE, "password": "new-secret"}
    assert cluster.call("PUT", PASSWORD, params, f"{ALICE}!t1").status == 403


# ------------------------------------------------------------------ groups


def test_a_group_is_made_changed_and_removed_from_users_and_acls(cluster: Simulator) -> None:
    ok(cluster.call("POST", "/access/groups", {"groupid": "ops", "comment": "c"}))
    again = cluster.call("POST", "/access/groups", {"groupid": "ops"})
    assert reason(again) == (500, "create group failed: group 'ops' already exists")
    ok(cluster.call("PUT", "/access/groups/ops", {"comment": "d"}))
    ok(cluster.call("PUT", "/access/groups/ops"))
    assert cluster.world.access.groups["ops"].comment == "d"
    path = new_user(cluster)
    ok(cluster.call("PUT", path, {"groups": "ops"}))
    ok(cluster.call("PUT", ACL, {"path": "/", "roles": "PVEAuditor", "groups": "ops"}))
    assert ok(cluster.call("GET", "/access/users", None, ALICE)) != []
    ok(cluster.call("DELETE", "/access/groups/ops"))
    assert ok(cluster.call("GET", ACL)) == []
    assert cluster.world.access.users[ALICE].groups == []
    gone = cluster.call("DELETE", "/access/groups/ops")
    assert reason(gone) == (500, "delete group failed: group 'ops' does not exist")


# ------------------------------------------------------------------ roles


def test_a_role_is_made_changed_and_removed_with_its_grants(cluster: Simulator) -> None:
    post = {"roleid": "Some", "privs": "VM.Audit VM.Clone,VM.Audit"}
    ok(cluster.call("POST", "/access/roles", post))
    assert ok(cluster.call("GET", "/access/roles/Some")) == {"VM.Audit": 1, "VM.Clone": 1}
    again = cluster.call("POST", "/access/roles", post)
    assert reason(again) == (500, "create role failed: role 'Some' already exists")
    ok(cluster.call("PUT", "/access/roles/Some", {"privs": "Sys.Audit", "append": "1"}))
    assert "VM.Clone" in ok(cluster.call("GET", "/access/roles/Some"))
    ok(cluster.call("PUT", "/access/roles/Some", {"privs": "Sys.Audit"}))
    assert ok(cluster.call("GET", "/access/roles/Some")) == {"Sys.Audit": 1}
    new_user(cluster, ALICE, ("/", "Some"))
    ok(cluster.call("DELETE", "/access/roles/Some"))
    assert ok(cluster.call("GET", ACL)) == []
    for method in ("PUT", "DELETE"):
        answer = cluster.call(method, "/access/roles/Some")
        verb = {"PUT": "update", "DELETE": "delete"}[method]
        assert reason(answer) == (500, f"{verb} role failed: role 'Some' does not exist")


def test_built_in_roles_stay_as_they_are(cluster: Simulator) -> None:
    answer = cluster.call("PUT", "/access/roles/PVEAdmin", {"privs": ""})
    assert reason(answer) == (500, "auto-generated role 'PVEAdmin' cannot be modified")
    answer = cluster.call("DELETE", "/access/roles/NoAccess")
    assert reason(answer) == (500, "auto-generated role 'NoAccess' cannot be deleted")
    answer = cluster.call("POST", "/access/roles", {"roleid": "pveMine"})
    assert answer.errors == {
        "roleid": "cannot use role ID starting with the (case-insensitive) 'PVE' namespace"
    }


def test_a_privilege_that_does_not_exist_is_named(cluster: Simulator) -> None:
    answer = cluster.call("POST", "/access/roles", {"roleid": "Bad role", "privs": "VM.Nope"})
    assert answer.errors == {
        "roleid": "invalid format - role name 'Bad role' contains invalid characters\n",
        "privs": "invalid format - invalid privilege 'VM.Nope'\n",
    }


# ------------------------------------------------------------------ tokens


def test_a_token_tells_its_secret_once_and_echoes_numbers_as_text(cluster: Simulator) -> None:
    path = f"{new_user(cluster)}/token/t1"
    made = ok(cluster.call("POST", path, {"privsep": "0", "expire": "7", "comment": "c"}))
    assert made["full-tokenid"] == f"{ALICE}!t1"
    assert made["value"] == cluster.world.access.users[ALICE].tokens["t1"].secret
    assert made["info"] == {"privsep": "0", "expire": "7", "comment": "c"}
    assert ok(cluster.call("GET", path)) == {"privsep": 0, "expire": 7, "comment": "c"}


def test_a_token_is_changed_without_a_new_secret(cluster: Simulator) -> None:
    path = f"{new_user(cluster)}/token/t1"
    secret = ok(cluster.call("POST", path))["value"]
    changed = ok(cluster.call("PUT", path, {"privsep": "0", "expire": "7", "comment": "c"}))
    assert changed == {"privsep": 0, "expire": 7, "comment": "c"}
    assert ok(cluster.call("PUT", path)) == changed
    assert cluster.world.access.users[ALICE].tokens["t1"].secret == secret


def test_a_token_is_made_once_and_for_users_that_exist(cluster: Simulator) -> None:
    path = f"{new_user(cluster)}/token/t1"
    ok(cluster.call("POST", path))
    assert cluster.call("POST", path).errors == {"tokenid": "Token already exists."}
    answer = cluster.call("POST", "/access/users/no@pve/token/t1")
    assert reason(answer) == (500, "no such user ('no@pve')")


def test_a_removed_token_leaves_no_acl_entry(cluster: Simulator) -> None:
    path = f"{new_user(cluster)}/token/t1"
    ok(cluster.call("POST", path))
    ok(cluster.call("PUT", ACL, {"path": "/", "roles": "PVEAuditor", "tokens": f"{ALICE}!t1"}))
    ok(cluster.call("DELETE", path))
    assert ok(cluster.call("GET", ACL)) == []
    for method in ("PUT", "DELETE"):
        answer = cluster.call(method, path)
        assert reason(answer) == (500, f"no such token 't1' for user '{ALICE}'")


def test_users_make_their_own_tokens_and_tokens_make_none(cluster: Simulator) -> None:
    path = f"{new_user(cluster)}/token"
    ok(cluster.call("POST", f"{path}/t1", {"privsep": "0"}, ALICE))
    answer = cluster.call("POST", f"{path}/t2", None, f"{ALICE}!t1")
    assert reason(answer) == (403, "Permission check failed")


# ------------------------------------------------------------------ ACLs


def test_an_acl_entry_is_given_replaced_and_taken_away(cluster: Simulator) -> None:
    new_user(cluster)
    entry = {"path": "/vms//140/", "users": ALICE, "roles": "PVEVMUser"}
    ok(cluster.call("PUT", ACL, entry))
    ok(cluster.call("PUT", ACL, {**entry, "propagate": "0"}))
    rows = ok(cluster.call("GET", ACL))
    assert rows == [
        {
            "path": "/vms/140",
            "type": "user",
            "ugid": ALICE,
            "roleid": "PVEVMUser",
            "propagate": 0,
        }
    ]
    ok(cluster.call("PUT", ACL, {**entry, "delete": "1"}))
    assert ok(cluster.call("GET", ACL)) == []


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"users": "no@pve"}, "user 'no@pve' does not exist"),
        ({"groups": "nope"}, "group 'nope' does not exist"),
        ({"tokens": f"{ALICE}!nope"}, f"no such token 'nope' for user '{ALICE}'"),
        ({"users": ALICE, "roles": "Nope"}, "role 'Nope' does not exist"),
    ],
)
def test_an_acl_entry_needs_all_that_it_names(
    cluster: Simulator, params: dict[str, str], text: str
) -> None:
    new_user(cluster)
    answer = cluster.call("PUT", ACL, {"path": "/", "roles": "PVEAuditor", **params})
    assert reason(answer) == (500, f"ACL update failed: {text}")


def test_an_acl_entry_needs_somebody(cluster: Simulator) -> None:
    answer = cluster.call("PUT", ACL, {"path": "/", "roles": "PVEAuditor"})
    text = "either 'users', 'groups' or 'tokens' is required."
    assert answer.errors == dict.fromkeys(("users", "groups", "tokens"), text)


@pytest.mark.parametrize("path", ["bad", "/vms/x", "/vms/12", "/nodes/a/b", "/pool/a/b/c/d"])
def test_an_acl_path_must_be_one_of_proxmox(cluster: Simulator, path: str) -> None:
    new_user(cluster)
    answer = cluster.call("PUT", ACL, {"path": path, "users": ALICE, "roles": "PVEAuditor"})
    assert answer.errors == {"path": f"invalid ACL path '{path}'"}


@pytest.mark.parametrize(
    "path", ["/", "/access/realm/pve", "/pool/a/b", "/sdn/zones/z/v/12", "/storage/local"]
)
def test_paths_of_every_kind_are_taken(cluster: Simulator, path: str) -> None:
    new_user(cluster)
    ok(cluster.call("PUT", ACL, {"path": path, "users": ALICE, "roles": "PVEAuditor"}))


def test_a_wrong_token_id_is_refused(cluster: Simulator) -> None:
    answer = cluster.call("PUT", ACL, {"path": "/", "tokens": "x", "roles": "PVEAuditor"})
    assert answer.errors == {
        "tokens": "invalid format - value 'x' does not look like a valid token ID\n"
    }


def hand_out(cluster: Simulator, role: str, **more: str) -> Answer:
    new_user(cluster, "b@pve")
    params = {"path": "/vms/140", "users": "b@pve", "roles": role, **more}
    return cluster.call("PUT", ACL, params, ALICE)


def test_who_owns_a_vm_hands_out_no_more_than_it_has(cluster: Simulator) -> None:
    new_role(cluster, "VM.Allocate", "VM.Audit")
    new_user(cluster, ALICE, ("/vms/140", "Some"))
    ok(hand_out(cluster, "Some"))
    more = hand_out(cluster, "PVEVMUser")
    assert more.status == 500
    assert more.reason == "ACL update failed: 400 Parameter verification failed."
    assert "role: Cannot add role 'PVEVMUser' - requires" in str(more.message)
    nothing = hand_out(cluster, "NoAccess", delete="1")
    assert "Cannot remove role 'NoAccess' - requires" in str(nothing.message)


def test_what_does_not_propagate_is_not_handed_out_with_propagation(cluster: Simulator) -> None:
    new_role(cluster, "VM.Allocate", "VM.Audit")
    new_user(cluster)
    cluster.world.access.grants.append(Grant("/vms/140", "user", ALICE, "Some", propagate=False))
    cluster.world.access.changed()
    assert "with propagation" in str(hand_out(cluster, "Some").message)
    ok(hand_out(cluster, "Some", propagate="0"))


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/vms/140", "/vms/140, Permissions.Modify|VM.Allocate"),
        ("/storage/local", "/storage/local, Permissions.Modify|Datastore.Allocate"),
        ("/pool/x", "/pool/x, Permissions.Modify|Pool.Allocate"),
        ("/nodes", "/nodes, Permissions.Modify"),
    ],
)
def test_handing_out_rights_needs_one(cluster: Simulator, path: str, wanted: str) -> None:
    new_user(cluster)
    params = {"path": path, "users": ALICE, "roles": "PVEAuditor"}
    answer = cluster.call("PUT", ACL, params, ALICE)
    assert reason(answer) == (403, f"Permission check failed ({wanted})")


def test_an_odd_path_is_nobody_s_to_hand_out(cluster: Simulator) -> None:
    new_user(cluster)
    params = {"path": "/vms/ü", "users": ALICE, "roles": "PVEAuditor"}
    assert cluster.call("PUT", ACL, params, ALICE).status == 403
