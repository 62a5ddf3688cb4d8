"""IP sets, aliases and security groups: names, entries, digests, renaming."""

from typing import Any

import pytest

from reconciler.sim.api import Answer, Simulator
from reconciler.sim.firewall import aliases, ipsets
from reconciler.sim.firewall import groups as firewall_groups
from reconciler.sim.firewall import rules as firewall_rules
from reconciler.sim.samples import recorded_world

CALLS = (aliases, firewall_groups, firewall_rules, ipsets)
NOW = 1_800_000_000.0
LEVELS = ["/nodes/pve1/qemu/140/firewall", "/cluster/firewall"]
STALE = {"digest": "0" * 40}
GROUPS = "/cluster/firewall/groups"


@pytest.fixture
def cluster() -> Simulator:
    return Simulator(recorded_world(NOW), lambda: NOW)


@pytest.fixture(params=LEVELS, ids=["vm", "cluster"])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ok(answer: Answer) -> Any:
    assert answer.status == 200, answer
    return answer.data


def new_set(cluster: Simulator, level: str, *cidrs: str) -> str:
    ok(cluster.call("POST", f"{level}/ipset", {"name": "set"}))
    for cidr in cidrs:
        ok(cluster.call("POST", f"{level}/ipset/set", {"cidr": cidr}))
    return f"{level}/ipset/set"


def cidrs(cluster: Simulator, path: str) -> list[str]:
    return [row["cidr"] for row in ok(cluster.call("GET", path))]


def test_names_are_read_back_in_lower_case(cluster: Simulator, level: str) -> None:
    ok(cluster.call("POST", f"{level}/ipset", {"name": "Web", "comment": "c"}))
    rows = ok(cluster.call("GET", f"{level}/ipset"))
    assert [(row["name"], row["comment"]) for row in rows] == [("web", "c")]


def test_a_set_is_made_once(cluster: Simulator, level: str) -> None:
    new_set(cluster, level)
    answer = cluster.call("POST", f"{level}/ipset", {"name": "set"})
    assert (answer.status, answer.errors) == (400, {"name": "IPSet 'set' already exists"})


def test_entries_are_sorted_as_text_and_stored_without_host_bits(
    cluster: Simulator, level: str
) -> None:
    path = new_set(cluster, level, "9.0.0.1", "10.0.2.5/24", "10.0.0.5/32", "2001:DB8:0:0::1")
    assert cidrs(cluster, path) == ["10.0.0.5", "10.0.2.0/24", "2001:DB8:0:0::1", "9.0.0.1"]


@pytest.mark.parametrize(
    ("cidr", "complaint"),
    [
        ("10.0.0.5", "address '10.0.0.5' already exists"),
        ("10.0.0.5/32", "address '10.0.0.5' already exists"),
        ("0.0.0.0/0", "a zero prefix is not allowed in ipset entries"),
        (
            "10.0.0",
            "invalid format - value does not look like a valid IP address or CIDR network\n",
        ),
    ],
)
def test_wrong_entries_are_refused(
    cluster: Simulator, level: str, cidr: str, complaint: str
) -> None:
    path = new_set(cluster, level, "10.0.0.5")
    answer = cluster.call("POST", path, {"cidr": cidr})
    assert (answer.status, answer.errors) == (400, {"cidr": complaint})


def test_an_entry_may_be_an_alias_that_is_there(cluster: Simulator, level: str) -> None:
    path = new_set(cluster, level)
    missing = cluster.call("POST", path, {"cidr": "Host"})
    assert (missing.status, missing.reason) == (500, "no such alias 'Host'")
    ok(cluster.call("POST", f"{level}/aliases", {"name": "host", "cidr": "10.0.0.1"}))
    ok(cluster.call("POST", path, {"cidr": "Host"}))
    before = ok(cluster.call("GET", path))[0]
    ok(cluster.call("DELETE", f"{level}/aliases/host"))
    after = ok(cluster.call("GET", path))[0]
    assert after == {**before, "errors": {"cidr": "no such alias 'Host'"}}


def test_a_vm_s_entry_finds_aliases_by_scope(cluster: Simulator) -> None:
    path = new_set(cluster, LEVELS[0])
    ok(cluster.call("POST", "/cluster/firewall/aliases", {"name": "far", "cidr": "10.0.0.1"}))
    ok(cluster.call("POST", path, {"cidr": "dc/far"}))
    assert cluster.call("POST", path, {"cidr": "guest/far"}).status == 500


def test_an_entry_s_flag_and_comment_are_replaced_together(cluster: Simulator, level: str) -> None:
    path = new_set(cluster, level, "10.0.0.1")
    ok(cluster.call("POST", path, {"cidr": "10.0.1.0/24", "nomatch": "1", "comment": "n"}))
    entry = ok(cluster.call("GET", f"{path}/10.0.1.0%2F24"))
    assert (entry["nomatch"], entry["comment"]) == (1, "n")
    ok(cluster.call("PUT", f"{path}/10.0.1.0%2F24", {"comment": "m"}))
    entry = ok(cluster.call("GET", f"{path}/10.0.1.0/24"))
    assert (entry.get("nomatch"), entry["comment"]) == (None, "m")


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_absent_entry_is_a_400(cluster: Simulator, level: str, method: str) -> None:
    answer = cluster.call(method, f"{new_set(cluster, level)}/10.9.9.9")
    assert (answer.status, answer.errors) == (400, {"cidr": "no such IP/Network"})


def test_removing_an_absent_entry_is_no_fault(cluster: Simulator, level: str) -> None:
    path = new_set(cluster, level, "10.0.0.1")
    ok(cluster.call("DELETE", f"{path}/10.9.9.9"))
    assert cidrs(cluster, path) == ["10.0.0.1"]
    ok(cluster.call("DELETE", f"{path}/10.0.0.1"))
    assert cidrs(cluster, path) == []


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_entries_are_guarded_by_the_set_s_digest(
    cluster: Simulator, level: str, method: str
) -> None:
    path = new_set(cluster, level, "10.0.0.1")
    assert cluster.call(method, f"{path}/10.0.0.1", STALE).status == 500
    digest = ok(cluster.call("GET", path))[0]["digest"]
    ok(cluster.call(method, f"{path}/10.0.0.1", {"digest": digest}))


def test_a_set_with_entries_is_removed_only_by_force(cluster: Simulator, level: str) -> None:
    path = new_set(cluster, level, "10.0.0.1")
    answer = cluster.call("DELETE", path)
    assert (answer.status, answer.reason) == (500, "IPSet 'set' is not empty")
    ok(cluster.call("DELETE", path, {"force": "1"}))
    gone = cluster.call("DELETE", path)
    assert (gone.status, gone.reason) == (500, "no such IPSet 'set'")


def test_a_set_is_renamed_with_its_entries(cluster: Simulator, level: str) -> None:
    path = new_set(cluster, level, "10.0.0.1")
    ok(cluster.call("POST", f"{level}/ipset", {"name": "other"}))
    post = {"name": "new", "rename": "set", "comment": "c"}
    assert cluster.call("POST", f"{level}/ipset", {**post, **STALE}).status == 500
    taken = cluster.call("POST", f"{level}/ipset", {**post, "name": "other"})
    assert taken.errors == {"name": "IPSet 'other' does already exist"}
    absent = cluster.call("POST", f"{level}/ipset", {**post, "rename": "nope"})
    assert absent.errors == {"name": "IPSet 'nope' does not exists"}
    ok(cluster.call("POST", f"{level}/ipset", post))
    ok(cluster.call("POST", f"{level}/ipset", {"name": "new", "rename": "new"}))
    assert cidrs(cluster, path.replace("/set", "/new")) == ["10.0.0.1"]
    assert ok(cluster.call("GET", f"{level}/ipset"))[0]["comment"] == "c"


# ------------------------------------------------------------------ aliases


def new_alias(cluster: Simulator, level: str, name: str = "Web1") -> str:
    given = {"name": name, "cidr": "10.0.0.9", "comment": "c"}
    ok(cluster.call("POST", f"{level}/aliases", given))
    return f"{level}/aliases/{name}"


def test_an_alias_keeps_its_case_and_is_found_in_any(cluster: Simulator, level: str) -> None:
    new_alias(cluster, level)
    shown = ok(cluster.call("GET", f"{level}/aliases/wEB1"))
    assert shown == {"name": "Web1", "cidr": "10.0.0.9", "ipversion": 4, "comment": "c"}
    again = cluster.call("POST", f"{level}/aliases", {"name": "WEB1", "cidr": "10.0.0.1"})
    assert again.errors == {"name": "alias 'WEB1' already exists"}


def test_a_changed_alias_loses_the_comment_that_is_not_given(
    cluster: Simulator, level: str
) -> None:
    path = new_alias(cluster, level)
    ok(cluster.call("PUT", path, {"cidr": "2001:db8::5/64"}))
    row = ok(cluster.call("GET", f"{level}/aliases"))[0]
    assert (row["cidr"], row["ipversion"], row.get("comment")) == ("2001:db8::/64", 6, None)


def test_an_alias_is_renamed_to_a_free_name(cluster: Simulator, level: str) -> None:
    path = new_alias(cluster, level)
    new_alias(cluster, level, "other")
    taken = cluster.call("PUT", path, {"cidr": "10.0.0.9", "rename": "Other"})
    assert taken.errors == {"name": "alias 'Other' already exists"}
    ok(cluster.call("PUT", path, {"cidr": "10.0.0.9", "rename": "Third"}))
    rows = ok(cluster.call("GET", f"{level}/aliases"))
    assert [row["name"] for row in rows] == ["other", "Third"]


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_absent_alias_is_a_400(cluster: Simulator, level: str, method: str) -> None:
    params = {"cidr": "10.0.0.1"} if method == "PUT" else None
    answer = cluster.call(method, f"{level}/aliases/nope", params)
    assert (answer.status, answer.errors) == (400, {"name": "no such alias"})


def test_removing_an_absent_alias_is_no_fault_but_a_stale_digest_is(
    cluster: Simulator, level: str
) -> None:
    path = new_alias(cluster, level)
    ok(cluster.call("DELETE", f"{level}/aliases/nope"))
    assert cluster.call("DELETE", path, STALE).status == 500
    assert cluster.call("PUT", path, {"cidr": "10.0.0.1", **STALE}).status == 500
    digest = ok(cluster.call("GET", f"{level}/aliases"))[0]["digest"]
    ok(cluster.call("DELETE", path, {"digest": digest}))
    assert ok(cluster.call("GET", f"{level}/aliases")) == []


# ------------------------------------------------------------------ security groups


def test_a_group_is_made_listed_and_removed_when_empty(cluster: Simulator) -> None:
    ok(cluster.call("POST", GROUPS, {"group": "web", "comment": "g"}))
    again = cluster.call("POST", GROUPS, {"group": "web"})
    assert again.errors == {"group": "Security group 'web' already exists"}
    row = ok(cluster.call("GET", GROUPS))[0]
    assert row == {
        "group": "web",
        "comment": "g",
        "digest": "ff8f8ec8ce955d02892d3be206b7b796a6052a1f",
    }
    ok(cluster.call("POST", f"{GROUPS}/web", {"type": "in", "action": "DROP"}))
    full = cluster.call("DELETE", f"{GROUPS}/web")
    assert (full.status, full.reason) == (500, "Security group 'web' is not empty")
    ok(cluster.call("DELETE", f"{GROUPS}/web/0"))
    ok(cluster.call("DELETE", f"{GROUPS}/web"))
    assert ok(cluster.call("GET", GROUPS)) == []


def test_a_group_is_renamed_with_its_rules(cluster: Simulator) -> None:
    for name in ("web", "other"):
        ok(cluster.call("POST", GROUPS, {"group": name}))
    ok(cluster.call("POST", f"{GROUPS}/web", {"type": "in", "action": "DROP"}))
    post = {"group": "new", "rename": "web", "comment": "c"}
    assert cluster.call("POST", GROUPS, {**post, **STALE}).status == 500
    taken = cluster.call("POST", GROUPS, {**post, "group": "other"})
    assert taken.errors == {"group": "Security group 'other' does already exist"}
    absent = cluster.call("POST", GROUPS, {**post, "rename": "nope"})
    assert absent.errors == {"group": "Security group 'nope' does not exists"}
    ok(cluster.call("POST", GROUPS, post))
    ok(cluster.call("POST", GROUPS, {"group": "new", "rename": "new"}))
    assert len(ok(cluster.call("GET", f"{GROUPS}/new"))) == 1


def test_everyone_may_list_groups_but_not_write_them(cluster: Simulator) -> None:
    ok(cluster.call("GET", GROUPS, identity="ghost@pve"))
    answer = cluster.call("POST", GROUPS, {"group": "web"}, identity="ghost@pve")
    assert (answer.status, answer.reason) == (403, "Permission check failed (/, Sys.Modify)")
