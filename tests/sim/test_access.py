"""Rights: roles down the tree, groups, pools, and tokens with separated privileges."""

import pytest

from reconciler.sim.accounts.access import (
    Grant,
    Group,
    Identity,
    Pool,
    Token,
    User,
    allowed,
    both,
    check,
    check_pool,
    either,
    own_user,
    perm,
    root_only,
)
from reconciler.sim.accounts.privileges import (
    effective_permissions,
    normal_path,
    prefixes,
    privileges_at,
    roles_at,
)
from reconciler.sim.api import Simulator
from reconciler.sim.errors import Refusal
from reconciler.sim.world import World

BOB = Identity("bob@pve")
TOKEN = Identity("bob@pve", "t1")


@pytest.fixture
def world(demo: Simulator) -> World:
    access = demo.world.access
    access.users["bob@pve"] = User(tokens={"t1": Token("s"), "open": Token("s", privsep=False)})
    access.changed()
    return demo.world


def grant(world: World, path: str, role: str, *, propagate: bool = True, **who: str) -> None:
    [(kind, name)] = who.items()
    world.access.grants.append(Grant(path, kind, name, role, propagate))
    world.access.changed()


def owned(world: World, path: str, who: Identity = BOB) -> list[str]:
    return sorted(privileges_at(world, who, path))


def test_deeper_entries_replace_higher_ones(world: World) -> None:
    grant(world, "/", "PVEAdmin", user="bob@pve")
    grant(world, "/vms/100", "PVETemplateUser", user="bob@pve")
    assert owned(world, "/vms/100") == ["VM.Audit", "VM.Clone"]
    assert "VM.Allocate" in owned(world, "/vms/101")


def test_an_entry_that_does_not_propagate_holds_at_its_path_only(world: World) -> None:
    grant(world, "/vms", "PVETemplateUser", propagate=False, user="bob@pve")
    assert privileges_at(world, BOB, "/vms") == {"VM.Audit": 0, "VM.Clone": 0}
    assert owned(world, "/vms/100") == []


def test_own_entries_win_over_those_of_groups_at_the_same_path(world: World) -> None:
    world.access.groups["ops"] = Group()
    world.access.users["bob@pve"].groups.append("ops")
    grant(world, "/vms", "PVEVMAdmin", group="ops")
    assert "VM.Allocate" in owned(world, "/vms/1")
    assert world.access.members("ops") == ["bob@pve"]
    grant(world, "/vms", "PVETemplateUser", user="bob@pve")
    assert owned(world, "/vms/1") == ["VM.Audit", "VM.Clone"]


def test_no_access_hides_every_other_role(world: World) -> None:
    grant(world, "/vms", "PVEVMAdmin", user="bob@pve")
    grant(world, "/vms", "NoAccess", user="bob@pve")
    assert owned(world, "/vms") == []


def test_pools_lend_their_roles_to_members(world: World) -> None:
    world.pools["web"] = Pool(vms=[100], storages=["shared"])
    grant(world, "/pool/web", "PVETemplateUser", user="bob@pve")
    assert privileges_at(world, BOB, "/vms/100") == {"VM.Audit": 0, "VM.Clone": 0}
    assert owned(world, "/storage/shared") == ["VM.Audit", "VM.Clone"]
    assert owned(world, "/vms/101") == []


def test_no_access_on_a_pool_trumps_the_vm(world: World) -> None:
    world.pools["web"] = Pool(vms=[100])
    grant(world, "/pool/web", "NoAccess", user="bob@pve")
    grant(world, "/vms/100", "PVEVMAdmin", user="bob@pve")
    assert owned(world, "/vms/100") == []


def test_no_access_on_a_vm_is_not_trumped_by_its_pool(world: World) -> None:
    world.pools["web"] = Pool(vms=[100])
    grant(world, "/pool/web", "PVEVMAdmin", user="bob@pve")
    grant(world, "/vms/100", "NoAccess", user="bob@pve")
    assert owned(world, "/vms/100") == []


def test_a_separated_token_has_the_intersection(world: World) -> None:
    grant(world, "/vms", "PVEVMAdmin", token="bob@pve!t1")
    assert owned(world, "/vms/1", TOKEN) == []
    grant(world, "/vms", "PVETemplateUser", user="bob@pve")
    assert owned(world, "/vms/1", TOKEN) == ["VM.Audit", "VM.Clone"]
    grant(world, "/vms/1", "PVEVMUser", user="bob@pve", propagate=False)
    assert privileges_at(world, TOKEN, "/vms/1")["VM.Audit"] == 0


def test_an_open_token_is_its_user(world: World) -> None:
    grant(world, "/vms", "PVETemplateUser", user="bob@pve")
    token = Identity("bob@pve", "open")
    assert owned(world, "/vms/1", token) == ["VM.Audit", "VM.Clone"]
    assert effective_permissions(world, token) == effective_permissions(world, BOB)


@pytest.mark.parametrize("who", ["bob@pve!gone", "ghost@pve!t1", "ghost@pve"])
def test_unknown_names_may_nothing(world: World, who: str) -> None:
    assert owned(world, "/", Identity.parse(who)) == []


def test_pools_lend_roles_to_tokens_as_well(world: World) -> None:
    world.pools["web"] = Pool(vms=[100])
    grant(world, "/pool/web", "PVETemplateUser", user="bob@pve")
    grant(world, "/pool/web", "PVEVMUser", token="bob@pve!t1")
    assert owned(world, "/vms/100", TOKEN) == ["VM.Audit"]
    assert "/vms/100" in effective_permissions(world, TOKEN)
    assert roles_at(world.access, Identity("bob@pve", "gone"), "/") == {}
    assert roles_at(world.access, Identity("bob@pve", "open"), "/pool/web") == {
        "PVETemplateUser": 1
    }


def test_a_token_of_root_is_not_root(world: World) -> None:
    world.access.users["root@pam"].tokens["x"] = Token("s")
    token = Identity("root@pam", "x")
    assert not token.root and Identity("root@pam").root
    with pytest.raises(Refusal) as caught:
        root_only(token, "only root can set 'lock' config")
    assert (caught.value.status, caught.value.reason) == (
        500,
        "only root can set 'lock' config\n",
    )
    root_only(Identity("root@pam"), "")


def test_a_separated_token_of_root_has_only_its_own_entries(world: World) -> None:
    world.access.users["root@pam"].tokens["x"] = Token("s")
    token = Identity("root@pam", "x")
    assert owned(world, "/vms/1", token) == []
    grant(world, "/vms", "PVETemplateUser", token="root@pam!x")
    assert owned(world, "/vms/1", token) == ["VM.Audit", "VM.Clone"]


def test_refusals_name_path_and_privilege(world: World) -> None:
    with pytest.raises(Refusal, match=r"Permission check failed \(/vms/1, VM.Audit\)"):
        check(world, BOB, "/vms/1", ["VM.Audit", "VM.Clone"])
    with pytest.raises(Refusal, match=r"\(/vms/1, VM.Audit\|VM.Clone\)"):
        check(world, BOB, "/vms/1", ["VM.Audit", "VM.Clone"], any=True)
    grant(world, "/vms/1", "PVETemplateUser", user="bob@pve")
    check(world, BOB, "/vms/1", ["VM.Audit", "VM.Clone"])
    assert allowed(world, BOB, "/vms/1", ["VM.Clone", "VM.Nope"], any=True)


def test_a_missing_pool_is_a_403(world: World) -> None:
    with pytest.raises(Refusal, match="pool 'nope' does not exist") as caught:
        check_pool(world, "nope")
    assert caught.value.status == 403


def test_permission_entries_combine(world: World) -> None:
    audit, clone = perm("/vms/{vmid}", "VM.Audit"), perm("/vms/{vmid}", "VM.Clone")
    console = perm("/vms/{vmid}", "VM.Console", require="vmid")
    grant(world, "/vms/1", "PVETemplateUser", user="bob@pve")
    both(audit, clone)(world, BOB, {"vmid": "1"})
    either(console, audit)(world, BOB, {"vmid": "1"})
    with pytest.raises(Refusal, match=r"VM\.Console"):
        both(audit, console)(world, BOB, {"vmid": "1"})
    with pytest.raises(Refusal, match=r"^Permission check failed\n$"):
        either(console, own_user)(world, BOB, {"vmid": "1", "userid": "eve@pve"})
    with pytest.raises(Refusal, match=r"^Permission check failed\n$"):
        console(world, BOB, {})
    own_user(world, BOB, {"userid": "bob@pve"})


def test_paths_are_normal() -> None:
    assert normal_path("//vms//1/") == "/vms/1"
    assert normal_path("vms") == "/vms"
    assert normal_path("/") == "/"
    assert normal_path("/a b") is None
    assert prefixes("/") == ["/"]
    assert prefixes("/a/b") == ["/", "/a", "/a/b"]
