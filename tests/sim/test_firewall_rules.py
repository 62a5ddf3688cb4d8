"""Rule lists: order, digests, what is refused when written and marked when read."""

from typing import Any

import pytest

from reconciler.sim.api import Answer, Simulator
from reconciler.sim.firewall import aliases, ipsets
from reconciler.sim.firewall import groups as firewall_groups
from reconciler.sim.firewall import options as firewall_options
from reconciler.sim.firewall import rules as firewall_rules
from reconciler.sim.firewall.check import verify
from reconciler.sim.firewall.file import FirewallFile
from reconciler.sim.samples import recorded_world

CALLS = (aliases, firewall_groups, firewall_options, firewall_rules, ipsets)
NOW = 1_800_000_000.0
RULES = "/nodes/pve1/qemu/140/firewall/rules"
FIREWALL = "/nodes/pve1/qemu/140/firewall"
STALE = "0" * 40
MODIFIED = "detected modified configuration - file changed by other user? Try again."


@pytest.fixture
def cluster() -> Simulator:
    return Simulator(recorded_world(NOW), lambda: NOW)


def ok(answer: Answer) -> Any:
    assert answer.status == 200, answer
    return answer.data


def add(cluster: Simulator, path: str = RULES, **fields: object) -> Answer:
    params = {key.replace("_", "-"): str(value) for key, value in fields.items()}
    return cluster.call("POST", path, {"type": "in", "action": "ACCEPT", **params})


def comments(cluster: Simulator) -> list[str]:
    return [row["comment"] for row in ok(cluster.call("GET", RULES))]


def three(cluster: Simulator) -> None:
    for comment in "cba":
        ok(add(cluster, comment=comment))


def test_rules_of_a_missing_vm_are_an_empty_list_and_can_be_written(cluster: Simulator) -> None:
    assert ok(cluster.call("GET", RULES)) == []
    ok(add(cluster))
    assert len(ok(cluster.call("GET", RULES))) == 1


def test_a_new_rule_goes_on_top_whatever_pos_and_digest_say(cluster: Simulator) -> None:
    ok(add(cluster, comment="first"))
    ok(add(cluster, comment="second", pos=1, digest=STALE))
    assert comments(cluster) == ["second", "first"]


def test_a_new_rule_is_off_unless_it_is_switched_on(cluster: Simulator) -> None:
    ok(add(cluster))
    ok(add(cluster, enable=1))
    assert [row["enable"] for row in ok(cluster.call("GET", RULES))] == [1, 0]


def test_a_rule_is_read_with_its_position_as_text(cluster: Simulator) -> None:
    ok(add(cluster, comment="x"))
    listed = ok(cluster.call("GET", RULES))[0]
    single = ok(cluster.call("GET", f"{RULES}/0"))
    assert listed["pos"] == 0
    assert single == {**listed, "pos": "0"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_position_beyond_the_list_is_named(cluster: Simulator, method: str) -> None:
    answer = cluster.call(method, f"{RULES}/9")
    assert (answer.status, answer.reason) == (500, "no rule at position 9")


@pytest.mark.parametrize(
    ("position", "target", "order"),
    [
        (0, 2, "bac"),
        (0, 3, "bca"),
        (0, 99, "bca"),
        (2, 0, "cab"),
        (1, 0, "bac"),
        (0, 1, "abc"),
    ],
)
def test_moveto_puts_a_rule_before_another(
    cluster: Simulator, position: int, target: int, order: str
) -> None:
    three(cluster)
    ok(cluster.call("PUT", f"{RULES}/{position}", {"moveto": str(target)}))
    assert "".join(comments(cluster)) == order


def test_moveto_ignores_other_changes_unless_it_moves_nowhere(cluster: Simulator) -> None:
    three(cluster)
    ok(cluster.call("PUT", f"{RULES}/0", {"moveto": "2", "comment": "z"}))
    assert "".join(comments(cluster)) == "bac"
    ok(cluster.call("PUT", f"{RULES}/0", {"moveto": "0", "comment": "z"}))
    assert "".join(comments(cluster)) == "zac"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_stale_digest_is_refused_and_an_empty_one_is_not(cluster: Simulator, method: str) -> None:
    three(cluster)
    refused = cluster.call(method, f"{RULES}/0", {"digest": STALE})
    assert (refused.status, refused.reason) == (500, MODIFIED)
    ok(cluster.call(method, f"{RULES}/0", {"digest": ""}))


def test_the_digest_of_the_list_allows_the_write_and_then_changes(cluster: Simulator) -> None:
    three(cluster)
    digest = ok(cluster.call("GET", RULES))[2]["digest"]
    ok(cluster.call("PUT", f"{RULES}/1", {"comment": "z", "digest": digest}))
    assert ok(cluster.call("GET", RULES))[0]["digest"] != digest


def test_a_rule_is_changed_field_by_field(cluster: Simulator) -> None:
    ok(add(cluster, proto="tcp", dport=22, comment="ssh", log="info"))
    ok(cluster.call("PUT", f"{RULES}/0", {"dport": "23", "delete": "log", "comment": "-"}))
    row = ok(cluster.call("GET", RULES))[0]
    assert {key: row.get(key) for key in ("dport", "comment", "log")} == {
        "dport": "23",
        "comment": None,
        "log": None,
    }


def test_an_empty_field_is_removed(cluster: Simulator) -> None:
    ok(add(cluster, proto="tcp", dport=22, sport=1000, source="10.0.0.1"))
    ok(cluster.call("PUT", f"{RULES}/0", {"sport": "", "source": ""}))
    assert {"sport", "source"} & set(ok(cluster.call("GET", RULES))[0]) == set()


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("nonsense", "no such property ('nonsense')"),
        ("type", "unable to delete required property 'type'"),
    ],
)
def test_what_cannot_be_deleted_is_named(cluster: Simulator, key: str, complaint: str) -> None:
    ok(add(cluster))
    answer = cluster.call("PUT", f"{RULES}/0", {"delete": key})
    assert (answer.status, answer.errors) == (400, {"delete": complaint})


def test_a_removed_rule_moves_the_others_up(cluster: Simulator) -> None:
    three(cluster)
    ok(cluster.call("DELETE", f"{RULES}/1"))
    assert comments(cluster) == ["a", "c"]


def test_a_comment_keeps_its_first_line(cluster: Simulator) -> None:
    ok(add(cluster, comment=" one \ntwo"))
    assert comments(cluster) == ["one"]


def test_a_group_rule_keeps_only_what_a_group_rule_has(cluster: Simulator) -> None:
    ok(add(cluster, type="group", action="nogroup", proto="tcp", iface="net0"))
    row = ok(cluster.call("GET", RULES))[0]
    assert set(row) == {"type", "action", "enable", "iface", "pos", "digest"}


REFUSED = [
    ({"action": "NOPE"}, {"action": "unknown action 'NOPE'"}),
    ({"type": "forward"}, {"type": "invalid rule type 'forward' for rule_env 'vm'"}),
    ({"dport": "22"}, {"proto": "missing property - 'dport' requires this property"}),
    ({"sport": "22"}, {"proto": "missing property - 'sport' requires this property"}),
    ({"proto": "gre", "dport": "1"}, {"dport": "protocol 'gre' does not support ports"}),
    ({"proto": "icmp", "sport": "1"}, {"sport": "protocol 'icmp' does not support ports"}),
    (
        {"proto": "tcp", "icmp-type": "any"},
        {"proto": "missing property - 'icmp-type' requires this property"},
    ),
    (
        {"proto": "icmp", "dport": "any", "icmp-type": "any"},
        {"icmp-type": "'icmp-type' cannot be specified together with 'dport'"},
    ),
    (
        {"proto": "icmpv6", "icmp-type": "any"},
        {"icmp-type": "invalid icmp-type 'any' for proto 'icmpv6'"},
    ),
    ({"macro": "NOPE"}, {"macro": "unknown macro 'NOPE'"}),
    (
        {"macro": "http", "proto": "udp"},
        {"proto": "parameter 'proto' already define in macro (value = 'tcp')"},
    ),
    (
        {"macro": "SSH", "proto": "tcp", "dport": "23"},
        {"dport": "parameter 'dport' already define in macro (value = '22')"},
    ),
    ({"iface": "eth0"}, {"iface": "value does not match the regex pattern 'net\\d+'"}),
    ({"source": "+noset"}, {"source": "no such ipset 'noset'"}),
    ({"source": "+guest/noset"}, {"source": "no such ipset 'noset'"}),
    ({"dest": "+1bad"}, {"dest": "invalid ipset name '+1bad'"}),
    ({"dest": "nonsense"}, {"dest": "no such alias 'nonsense'"}),
    (
        {"source": "10.0.0.1", "dest": "2001:db8::1"},
        {"dest": "detected mixed ipv4/ipv6 addresses in rule"},
    ),
    (
        {"proto": "icmpv6", "source": "10.0.0.1"},
        {"source": "detected mixed ipv4/ipv6 addresses in rule"},
    ),
    ({"iface": "1x"}, {"iface": "invalid format - invalid network interface name '1x'\n"}),
]


@pytest.mark.parametrize(("fields", "errors"), REFUSED)
def test_a_wrong_rule_is_refused_with_its_first_fault(
    cluster: Simulator, fields: dict[str, str], errors: dict[str, str]
) -> None:
    answer = cluster.call("POST", RULES, {"type": "in", "action": "ACCEPT", **fields})
    assert (answer.status, answer.errors) == (400, errors)
    assert ok(cluster.call("GET", RULES)) == []


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({"macro": "ping"}, None),
        ({"macro": "Ping", "source": "2001:db8::1"}, 6),
        ({"macro": "DHCPv6"}, None),
        ({"macro": "NeighborDiscovery", "source": "10.0.0.1"}, 4),
        ({"proto": "icmp"}, 4),
        ({"proto": "ipv6-icmp", "icmp-type": "echo-reply"}, 6),
        ({"proto": "udp", "sport": "53", "dport": "1000:2000"}, None),
    ],
)
def test_a_right_rule_stands_and_shows_its_ip_version(
    cluster: Simulator, fields: dict[str, str], version: int | None
) -> None:
    ok(cluster.call("POST", RULES, {"type": "in", "action": "ACCEPT", **fields}))
    row = ok(cluster.call("GET", RULES))[0]
    assert row.get("ipversion") == version
    assert "errors" not in row


def test_a_macro_gets_its_preferred_spelling(cluster: Simulator) -> None:
    ok(add(cluster, macro="hTTps"))
    assert ok(cluster.call("GET", RULES))[0]["macro"] == "HTTPS"


def test_sets_and_aliases_are_found_on_both_levels(cluster: Simulator) -> None:
    ok(cluster.call("POST", "/cluster/firewall/ipset", {"name": "far"}))
    ok(cluster.call("POST", f"{FIREWALL}/ipset", {"name": "near"}))
    ok(cluster.call("POST", "/cluster/firewall/aliases", {"name": "Host", "cidr": "10.0.0.1"}))
    for source in ("+far", "+dc/far", "+near", "+guest/near", "host", "dc/Host"):
        ok(add(cluster, source=source))
    for source in ("+guest/far", "+dc/near", "guest/host"):
        assert add(cluster, source=source).status == 400


def test_the_near_alias_wins_over_the_far_one(cluster: Simulator) -> None:
    ok(cluster.call("POST", "/cluster/firewall/aliases", {"name": "host", "cidr": "10.0.0.1"}))
    ok(cluster.call("POST", f"{FIREWALL}/aliases", {"name": "host", "cidr": "2001:db8::1"}))
    ok(add(cluster, source="host"))
    assert ok(cluster.call("GET", RULES))[0]["ipversion"] == 6


def test_an_alias_of_the_other_family_is_a_500(cluster: Simulator) -> None:
    ok(cluster.call("POST", f"{FIREWALL}/aliases", {"name": "host", "cidr": "2001:db8::1"}))
    answer = add(cluster, source="10.0.0.1", dest="host")
    assert (answer.status, answer.reason) == (500, "detected mixed ipv4/ipv6 addresses in rule")


def test_a_rule_whose_alias_has_gone_shows_it_and_keeps_the_digest(cluster: Simulator) -> None:
    ok(cluster.call("POST", f"{FIREWALL}/ipset", {"name": "set"}))
    ok(add(cluster, source="+set"))
    before = ok(cluster.call("GET", RULES))[0]
    ok(cluster.call("DELETE", f"{FIREWALL}/ipset/set"))
    after = ok(cluster.call("GET", RULES))[0]
    assert after == {**before, "errors": {"source": "no such ipset 'set'"}}


def test_an_alias_that_changes_family_is_marked_in_the_rule(cluster: Simulator) -> None:
    ok(cluster.call("POST", f"{FIREWALL}/aliases", {"name": "host", "cidr": "10.0.0.1"}))
    ok(add(cluster, source="10.0.0.2", dest="host"))
    ok(cluster.call("PUT", f"{FIREWALL}/aliases/host", {"name": "host", "cidr": "2001:db8::1"}))
    assert ok(cluster.call("GET", RULES))[0]["errors"] == {
        "source": "detected mixed ipv4/ipv6 addresses in rule"
    }


def test_the_cluster_has_rules_of_its_own_with_forward_and_interfaces(cluster: Simulator) -> None:
    path = "/cluster/firewall/rules"
    ok(add(cluster, path, type="forward", iface="vmbr0"))
    assert ok(cluster.call("GET", path))[0]["iface"] == "vmbr0"
    assert ok(cluster.call("GET", RULES)) == []


def test_a_security_group_has_rules_without_groups_and_interfaces(cluster: Simulator) -> None:
    ok(cluster.call("POST", "/cluster/firewall/groups", {"group": "web"}))
    path = "/cluster/firewall/groups/web"
    ok(add(cluster, path, proto="tcp", dport=80))
    nested = add(cluster, path, type="group", action="web")
    bound = add(cluster, path, iface="net0")
    assert nested.errors == {"type": "security groups not allowed"}
    assert bound.errors == {"type": "parameter -i not allowed for this rule type"}
    ok(cluster.call("PUT", f"{path}/0", {"dport": "81"}))
    assert ok(cluster.call("GET", f"{path}/0"))["dport"] == "81"
    ok(cluster.call("DELETE", f"{path}/0"))
    assert ok(cluster.call("GET", path)) == []


def test_a_missing_security_group_is_named(cluster: Simulator) -> None:
    answer = cluster.call("GET", "/cluster/firewall/groups/nope")
    assert (answer.status, answer.reason) == (500, "no such security group 'nope'")


def test_a_group_rule_needs_a_name_of_the_right_form() -> None:
    rule: dict[str, str | int] = {"type": "group", "action": "1x"}
    with pytest.raises(Exception, match="Parameter verification failed"):
        verify(rule, "vm", FirewallFile(), FirewallFile())


def test_reading_collects_every_fault_of_a_rule_from_an_older_file(cluster: Simulator) -> None:
    cluster.world.firewall["140"] = {
        "options": {},
        "rules": [
            {"type": "in", "action": "x", "enable": 1, "macro": "no", "proto": "no", "iface": "1"}
        ],
        "aliases": {},
        "ipsets": {},
        "groups": {},
    }
    assert sorted(ok(cluster.call("GET", RULES))[0]["errors"]) == [
        "action",
        "iface",
        "macro",
        "proto",
    ]


def test_rights_are_those_on_the_vm_and_on_the_cluster(cluster: Simulator) -> None:
    for method, path, text in [
        ("GET", RULES, "/vms/140, VM.Audit"),
        ("POST", RULES, "/vms/140, VM.Config.Network"),
        ("GET", "/cluster/firewall/rules", "/, Sys.Audit"),
        ("DELETE", "/cluster/firewall/rules/0", "/, Sys.Modify"),
        ("PUT", "/cluster/firewall/groups/web/0", "/, Sys.Modify"),
    ]:
        answer = cluster.call(method, path, identity="ghost@pve")
        assert (answer.status, answer.reason) == (403, f"Permission check failed ({text})")


def test_any_node_answers_for_the_rules_of_a_vm(cluster: Simulator) -> None:
    assert ok(cluster.call("GET", RULES.replace("pve1", "elsewhere"))) == []
    answer = cluster.call("GET", f"{FIREWALL}/options".replace("pve1", "elsewhere"))
    assert answer.status == 500
