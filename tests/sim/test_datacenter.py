"""Datacenter options: how they are given, read back and what they do (pve-api.md section 6)."""

from typing import Any

import pytest

from reconciler.sim.accounts.access import Grant, User
from reconciler.sim.api import Simulator
from tests.sim.conftest import Hands

OPTIONS = "/cluster/options"


def put(demo: Simulator, who: str = "root@pam", **given: object) -> Any:
    plain = ("mac_prefix", "email_from")
    params = {key if key in plain else key.replace("_", "-"): one for key, one in given.items()}
    return demo.call("PUT", OPTIONS, params, who)


def test_property_strings_are_read_back_as_objects(demo: Simulator) -> None:
    assert put(demo, tag_style="case-sensitive=1,shape=full", next_id="lower=500").status == 200
    assert put(demo, registered_tags="b;a", migration="insecure,network=192.0.2.0/24").ok
    found = demo.call("GET", OPTIONS).data
    assert found["tag-style"] == {"case-sensitive": 1, "shape": "full"}
    assert found["registered-tags"] == ["a", "b"]
    assert found["migration"] == {"type": "insecure", "network": "192.0.2.0/24"}
    assert demo.call("GET", "/cluster/nextid").data == "500"
    assert put(demo, delete="tag-style,next-id").ok
    assert "tag-style" not in demo.call("GET", OPTIONS).data
    assert demo.call("GET", "/cluster/nextid").data == "100"


def test_new_macs_follow_the_prefix(demo_hands: Hands) -> None:
    assert put(demo_hands.simulator, mac_prefix="02:AB").ok
    demo_hands.vm(200, net0="virtio,bridge=vmbr0")
    assert demo_hands.config(200)["net0"].startswith("virtio=02:AB:")


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("tag_style", "shape=star", "does not have a value in the enumeration"),
        ("next_id", "lower=x", "type check ('integer') failed"),
        ("mac_prefix", "01:xx", "value is not a valid unicast MAC address prefix"),
        ("registered_tags", "a b!", "value does not match the regex pattern"),
        ("email_from", "nobody", "value does not look like a valid email address"),
    ],
)
def test_wrong_options_are_refused(demo: Simulator, key: str, value: str, complaint: str) -> None:
    answer = put(demo, **{key: value})
    assert answer.status == 400
    assert complaint in str(answer.errors)


def test_tag_style_decides_how_tags_are_kept(demo_hands: Hands) -> None:
    demo_hands.vm(200)
    demo_hands.call("PUT", "/200/config", tags="B;a")
    assert demo_hands.config(200)["tags"] == "a;b"
    put(demo_hands.simulator, tag_style="case-sensitive=1,ordering=config")
    demo_hands.call("PUT", "/200/config", tags="B;a")
    assert demo_hands.config(200)["tags"] == "B;a"


def test_registered_tags_are_for_administrators(demo_hands: Hands) -> None:
    demo = demo_hands.simulator
    demo_hands.vm(200)
    demo_hands.call("PUT", "/200/config", tags="used")
    put(demo, registered_tags="prod", user_tag_access="user-allow=list,user-allow-list=web;db")
    demo.world.access.users["bob@pve"] = User()
    demo.world.access.grants.append(Grant("/vms", "user", "bob@pve", "PVEVMAdmin"))
    demo.world.access.changed()
    path = "/nodes/pve1/qemu/200/config"
    refused = demo.call("PUT", path, {"tags": "used;prod"}, "bob@pve")
    assert refused.reason == "Permission check failed (/, Sys.Modify for modifying tag 'prod')"
    assert demo.call("PUT", path, {"tags": "used;web"}, "bob@pve").status == 200
    assert demo.call("GET", OPTIONS, {}, "bob@pve").data == {"allowed-tags": ["db", "web"]}
    assert demo.call("GET", OPTIONS).data["allowed-tags"] == ["db", "prod", "used", "web"]
    put(demo, user_tag_access="user-allow=none")
    assert demo.call("GET", OPTIONS, {}, "bob@pve").data == {"allowed-tags": []}


def test_options_need_the_right_to_set_them(demo: Simulator) -> None:
    answer = put(demo, who="alice@pve", console="html5")
    assert answer.reason == "Permission check failed (/, Sys.Modify)"
