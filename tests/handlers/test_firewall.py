"""The firewall's apply: positions shift under it, and it finds its rules all the same."""

from collections.abc import Mapping

import pytest

from handlers.firewall import Firewall
from handlers.handler import Context
from state.api import ApiError, Json
from state.change import Call, Change, Method, Param
from tests.handlers.stage import Stage, spec_of

RULES = "/nodes/pve1/qemu/142/firewall/rules"
SSH = {"in": "ACCEPT", "proto": "tcp", "dport": 22, "comment": "ssh"}
WEB = {"in": "ACCEPT", "proto": "tcp", "dport": 80}
ICMP = {"in": "ACCEPT", "proto": "icmp"}


def staged(*rules: Mapping[str, object]) -> Stage:
    stage = Stage()
    stage.settle(spec_of(power="unmanaged", firewall={"rules": list(rules)}))
    return stage


def changes(stage: Stage, *rules: Mapping[str, object]) -> list[Change]:
    spec = spec_of(power="unmanaged", firewall={"rules": list(rules)})
    found = Firewall().diff(spec, stage.look())
    return [one for one in found if isinstance(one, Change)]


def by_hand(stage: Stage, comment: str) -> None:
    """Somebody adds a rule, which Proxmox puts on top."""
    params: dict[str, Param] = {"type": "in", "action": "DROP", "enable": 1, "comment": comment}
    stage.api.send(Call(Method.POST, RULES, params))


def comments(stage: Stage) -> list[str]:
    firewall = stage.look().firewall
    assert firewall is not None
    return [
        rule.comment.partition(" ")[2] or rule.fields.get("dport", "") for rule in firewall.rules
    ]


def apply(stage: Stage, found: list[Change]) -> None:
    assert Firewall().apply(found, Context(stage, stage.at)).done


def test_a_rule_is_edited_where_it_stands_now() -> None:
    stage = staged(SSH, ICMP)
    found = changes(stage, SSH, WEB)
    by_hand(stage, "x y")
    apply(stage, found)
    assert comments(stage) == ["y", "ssh", "80"]


def test_a_rule_is_removed_where_it_stands_now() -> None:
    stage = staged(SSH, WEB)
    found = changes(stage, WEB)
    by_hand(stage, "x y")
    apply(stage, found)
    assert comments(stage) == ["y", "80"]


def test_a_move_is_given_up_when_somebody_wrote_in_between() -> None:
    stage = staged(SSH, WEB)
    found = changes(stage, WEB, SSH)
    by_hand(stage, "x y")
    apply(stage, found)
    assert comments(stage) == ["y", "ssh", "80"]
    stage.settle(spec_of(power="unmanaged", firewall={"rules": [WEB, SSH]}))
    assert comments(stage) == ["80", "ssh", "y"]


def test_a_rule_that_has_gone_is_left_to_the_next_look() -> None:
    stage = staged(SSH, WEB)
    found = changes(stage, WEB)
    stage.api.send(Call(Method.DELETE, f"{RULES}/0"))
    apply(stage, found)
    assert comments(stage) == ["80"]


def test_every_write_of_a_rule_carries_the_digest_of_the_list_just_read() -> None:
    stage = staged(SSH, WEB)
    before = len(stage.calls)
    apply(stage, changes(stage))
    sent = stage.calls[before:]
    assert len(sent) == 2
    assert all(call.params["digest"] for call in sent)
    assert sent[0].params["digest"] != sent[1].params["digest"]


def test_fw_01_all_options_go_out_in_one_call() -> None:
    stage = staged()
    spec = spec_of(firewall={"radv": True, "log_in": "info", "policy_out": "DROP"})
    found = [one for one in Firewall().diff(spec, stage.look()) if isinstance(one, Change)]
    assert len(found) == 3
    before = len(stage.calls)
    apply(stage, found)
    assert len(stage.calls) == before + 1


def test_a_refused_rule_is_the_api_s_error() -> None:
    stage = staged()
    found = changes(stage, {"in": "ACCEPT", "source": "nonsense"})
    with pytest.raises(ApiError):
        apply(stage, found)


def test_an_answer_that_is_no_list_holds_no_rule() -> None:
    class Silent(Stage):
        def get(self, path: str, params: Mapping[str, Param] | None = None) -> Json:
            return None

    stage = staged(SSH)
    found = changes(stage)
    silent = Silent()
    assert Firewall().apply(found, Context(silent, stage.at)).done
    assert not silent.calls


def test_fw_02_what_somebody_adds_to_a_set_is_taken_out_again() -> None:
    stage = Stage()
    spec = spec_of(
        power="unmanaged", firewall={}, nics={"net0": {"ipv4": {"static": "10.0.0.7/24"}}}
    )
    stage.settle(spec)
    path = "/nodes/pve1/qemu/142/firewall/ipset/ipfilter-net0"
    for cidr in ("10.9.0.0/16", "2001:DB8::/64"):
        stage.api.send(Call(Method.POST, path, {"cidr": cidr}))
    stage.settle(spec)
    firewall = stage.look().firewall
    assert firewall is not None and firewall.ipsets == {"ipfilter-net0": ("10.0.0.7",)}
