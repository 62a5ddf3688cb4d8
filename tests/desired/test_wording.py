"""The words of errors."""

from desired.errors import Place
from desired.report import Fault, Report
from desired.rules import address_families, bad_ports
from desired.spec import VMSpec
from desired.syntax import bad_domain, bad_host, bad_key
from desired.wording import dotted, known_keys, near, shown


def test_paths_and_values_are_shown_as_yaml_has_them() -> None:
    assert dotted(("firewall", "rules", 0, "dport")) == "firewall.rules[0].dport"
    values: list[object] = [None, True, "x", "y" * 50, 1.5, {}, [], (), b""]
    assert [shown(value) for value in values] == [
        "nothing",
        "true",
        "'x'",
        repr("y" * 37 + "..."),
        "1.5",
        "a map",
        "a list",
        "a list",
        "bytes",
    ]


def test_the_nearest_name_is_suggested_else_all_if_they_are_few() -> None:
    assert near("smal", {"small": 1, "large": 2}) == "; did you mean small?"
    assert near("x", {"small": 1, "large": 2}) == "; known: large, small"
    assert near("x", []) == "; none is defined"
    assert near("x", [f"package-{n}" for n in range(13)]) == ""


def test_known_keys_are_those_of_the_model_at_a_path() -> None:
    assert "cores" in known_keys(VMSpec, ("cpu",))
    assert "size" in known_keys(VMSpec, ("disks", "scsi1"))
    assert "in" in known_keys(VMSpec, ("firewall", "rules", 0))
    assert "pool" in known_keys(VMSpec, ("nics", "net0", "ipv4"))
    assert known_keys(VMSpec, ("name",)) == known_keys(VMSpec, ("cpu", "cores")) == []
    assert known_keys(VMSpec, ("nowhere", "deeper")) == []


def test_an_error_counts_the_vms_that_it_does_not_name() -> None:
    report = Report()
    fault = Fault(Place("p.yaml"), "cpu", "wrong", shared=True)
    for number in range(7):
        report.add(fault, f"vm-{number}")
    (error,) = report.errors()
    assert error.message == "wrong (breaks vm-0, vm-1, vm-2, vm-3, vm-4 and 2 more)"
    assert error.vm is None


def test_sources_and_destinations_are_what_proxmox_takes() -> None:
    plain = "10.0.0.1,10.1.0.0/16,10.2.0.1-10.2.0.9"
    assert address_families(plain) == {4}
    assert address_families("2001:db8::/64") == {6}
    for name in ("+web", "+dc/web", "+guest/ipfilter-net0", "office", "dc/office"):
        assert address_families(name) == set()


def test_ports_are_numbers_ranges_services_and_lists_of_them() -> None:
    assert [bad_ports(text) for text in ("22", "80:85", "http,443", "0", "65535")] == [None] * 5
    assert bad_ports("٢٢") is not None


def test_host_names_domains_and_keys() -> None:
    blob = "AAAAC3NzaC1lZDI1NTE5AAAAIKWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWl"
    assert bad_host("web-1.example") is None
    assert bad_domain(".example.net") is None
    assert bad_key(f"ssh-ed25519 {blob} ops@example.net") is None
    assert bad_host("a.") is not None
    assert bad_host("a." * 130) == "expected at most 253 characters, seen 260"
