"""Parameter checks: every error at once, in Proxmox's words."""

from typing import Any

import pytest

from reconciler.sim.errors import Refusal
from reconciler.sim.parameters import formats
from reconciler.sim.parameters.schema import (
    Array,
    Boolean,
    Field,
    FormatError,
    Integer,
    Number,
    Properties,
    Text,
    parse_properties,
    validate,
)

NET = Properties(
    optional=True,
    parts={
        "model": Text(default_key=True, enum=("virtio", "e1000")),
        "macaddr": Text(optional=True, format=formats.mac_address),
        "virtio": Field(alias="macaddr", key_alias="model"),
        "e1000": Field(alias="macaddr", key_alias="model"),
        "bridge": Text(optional=True),
        "firewall": Boolean(optional=True),
        "tag": Integer(optional=True, minimum=1, maximum=4094),
    },
)
FIELDS: dict[str, Field] = {
    "vmid": formats.VM,
    "name": Text(optional=True, format=formats.dns_name),
    "cores": Integer(optional=True, minimum=1),
    "cpulimit": Number(optional=True, minimum=0, maximum=128),
    "onboot": Boolean(optional=True),
    "type": Text(optional=True, enum=("vm", "node")),
    "delete": Text(optional=True, list_of=formats.config_id),
    "comment": Text(optional=True, max_length=5),
    "password": Text(optional=True, min_length=3),
    "size": Text(optional=True, pattern=r"\+?\d+[KMGT]?"),
    "format": Text(optional=True, requires="size"),
    "vms": Array(optional=True, items=Integer(minimum=100)),
    "digit": Integer(optional=True, enum=(0, 1, 4)),
    "net0": NET,
}


def errors_of(**raw: Any) -> dict[str, str]:
    with pytest.raises(Refusal) as caught:
        validate(FIELDS, {"vmid": "100"} | raw)
    assert caught.value.status == 400
    assert caught.value.reason == "Parameter verification failed.\n"
    assert caught.value.errors
    return caught.value.errors


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("vmid", "abc", "type check ('integer') failed - got 'abc'"),
        ("vmid", "99", "invalid format - value does not look like a valid VM ID\n"),
        ("vmid", "1000000000", "invalid format - value does not look like a valid VM ID\n"),
        ("vmid", None, "property is missing and it is not optional"),
        ("name", "a_b", "invalid format - value does not look like a valid DNS name\n"),
        ("name", ["a", "b"], "type check ('string') failed - got ARRAY"),
        ("name", {"a": 1}, "type check ('string') failed - got HASH"),
        ("name", True, "type check ('string') failed - got JSON::PP::Boolean"),
        ("cores", "1.5", "type check ('integer') failed - got '1.5'"),
        ("cores", "", "type check ('integer') failed - got ''"),
        ("cores", "0", "value must have a minimum value of 1"),
        ("cpulimit", "129", "value must have a maximum value of 128"),
        ("cpulimit", "x", "type check ('number') failed - got 'x'"),
        ("onboot", "true", "type check ('boolean') failed - got 'true'"),
        ("onboot", "on", "type check ('boolean') failed - got 'on'"),
        ("onboot", "2", "type check ('boolean') failed - got '2'"),
        ("onboot", [1], "type check ('boolean') failed - got ARRAY"),
        ("type", "x", "value 'x' does not have a value in the enumeration 'vm, node'"),
        ("digit", "3", "value '3' does not have a value in the enumeration '0, 1, 4'"),
        ("delete", "a1,1b", "invalid format - invalid configuration ID '1b'\n"),
        ("comment", "123456", "value may only be 5 characters long"),
        ("password", "ab", "value must be at least 3 characters long"),
        ("size", "big", "value does not match the regex pattern"),
        ("vms", [100, 5], None),
    ],
)
def test_wrong_values_get_proxmox_words(key: str, value: Any, error: str | None) -> None:
    found = errors_of(**{key: value})
    if error is None:
        assert found == {"vms[1]": "value must have a minimum value of 100"}
    else:
        assert found == {key: error}


def test_all_errors_come_at_once() -> None:
    found = errors_of(cores="a", bogus="1", type="x")
    assert sorted(found) == ["bogus", "cores", "type"]
    assert found["bogus"].startswith("property is not defined in schema")


def test_required_companion_is_named_under_its_own_key() -> None:
    assert errors_of(format="raw") == {"size": "missing property - 'format' requires this property"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("virtio,bridge=vmbr0,foo=1", "net0.foo: property is not defined in schema"),
        ("nope,bridge=vmbr0", "net0.model: value 'nope' does not have a value"),
        ("bridge=vmbr0", "net0.model: property is missing and it is not optional"),
        ("virtio,tag=0", "net0.tag: value must have a minimum value of 1"),
        ("virtio=01:00:00:00:00:01", "net0.macaddr: invalid format - value does not look like"),
    ],
)
def test_property_strings_name_the_part(text: str, error: str) -> None:
    found = errors_of(net0=text)["net0"]
    assert found.startswith(f"invalid format - format error\n{error}")
    assert found.endswith("\n")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("virtio,virtio", "duplicate key in comma-separated list property: model"),
        ("bridge=a,bridge=b", "duplicate key in comma-separated list property: bridge"),
        ("virtio,bridge=", "missing key in comma-separated list property"),
        ("virtio=BC:24:11:00:00:01,e1000=BC:24:11:00:00:02", "key alias 'model' is already"),
    ],
)
def test_malformed_property_strings(text: str, error: str) -> None:
    assert errors_of(net0=text)["net0"].startswith(f"invalid format - {error}")


def test_bare_value_needs_a_default_key() -> None:
    form = Properties(parts={"user": Text(optional=True)})
    with pytest.raises(FormatError, match="does not define a default key"):
        parse_properties(form, "x", "cicustom")


def test_aliases_and_booleans_of_property_strings_are_resolved() -> None:
    parts = parse_properties(NET, "virtio=BC:24:11:00:00:01,firewall=yes,,bridge=x", "net0")
    assert parts["model"] == "virtio"
    assert parts["macaddr"] == "BC:24:11:00:00:01"
    assert parts["firewall"] == "1"


def test_a_validator_has_the_last_word() -> None:
    def refuse(parts: dict[str, str]) -> None:
        raise FormatError(f"no {parts['a']} here")

    form = Properties(parts={"a": Text()}, validator=refuse)
    assert form.fault("a=b", "x") == "invalid format - no b here\n"


def test_values_are_converted_by_their_field() -> None:
    raw = {"vmid": "100", "cores": "2", "cpulimit": 0.5, "onboot": True, "name": "h"}
    assert validate(FIELDS, raw) == {
        "vmid": 100,
        "cores": 2,
        "cpulimit": "0.5",
        "onboot": 1,
        "name": "h",
    }


def test_json_lists_become_list_texts_and_scalars_arrays() -> None:
    found = validate(FIELDS, {"vmid": 100, "delete": ["a1", "b2"], "vms": "101"})
    assert found["delete"] == "a1,b2"
    assert found["vms"] == [101]


def test_json_null_counts_as_given_without_a_value() -> None:
    assert validate(FIELDS, {"vmid": 100, "name": None}) == {"vmid": 100, "name": None}


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (formats.node_name, "pve1", "a_b"),
        (formats.storage_id, "local-lvm", "1x"),
        (formats.pool_id, "a/b", "a b"),
        (formats.volume_id, "local:iso/t.iso", "garbage"),
        (formats.bridge_id, "1br", "br/0"),
        (formats.user_id, "a@pve", "alice"),
        (formats.url_encoded, "a%20b", "a b"),
        (formats.ip_address, "2001:db8::1", "x"),
        (formats.ipv4, "192.0.2.1", "192.0.2.300"),
        (formats.ipv6, "2001:db8::1", "192.0.2.1"),
    ],
)
def test_formats_take_the_good_and_refuse_the_bad(check: Any, good: str, bad: str) -> None:
    assert check(good) == good
    with pytest.raises(FormatError):
        check(bad)


@pytest.mark.parametrize(("name", "word"), [("a" * 61 + "@pve", "long"), ("@b", "short")])
def test_user_names_have_bounds(name: str, word: str) -> None:
    with pytest.raises(FormatError, match=word):
        formats.user_id(name)
