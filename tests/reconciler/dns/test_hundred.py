"""A hundred VMs of both families, named by BIND and PowerDNS, as `dig` sees them."""

import subprocess
from ipaddress import ip_address
from pathlib import Path

from tests.nameservers import Bind, PowerDNS
from tests.reconciler.dns.naming import NamedLab, named_lab

COUNT = 100
Question = tuple[str, str]
"""A name and a type."""


def wanted(named: NamedLab) -> dict[Question, str]:
    """What every name of the fleet should be answered with."""
    found: dict[Question, str] = {}
    with named.lab.store() as store:
        for number in range(1, COUNT + 1):
            name = f"web-{number}.{named.domain}"
            for lease in store.leases.of(f"web/{number}"):
                kind = "A" if lease.family == "ipv4" else "AAAA"
                found[name, kind] = lease.address
                found[ip_address(lease.address).reverse_pointer, "PTR"] = f"{name}."
    return found


def answered(port: int, questions: Path) -> dict[Question, str]:
    """What one server answers to a file of questions."""
    asked = ["dig", "@127.0.0.1", "-p", str(port), "+noall", "+answer", "-f", str(questions)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {(row[0].rstrip("."), row[3]): row[4] for row in rows}


def test_a_hundred_vms_are_named_right_on_every_server(
    tmp_path: Path, bind: Bind, powerdns: PowerDNS
) -> None:
    """DNS-03, DNS-05: in one run, in a few batches, far from BIND's quota of updates."""
    named = named_lab(tmp_path, bind, powerdns, f"web: {{package: small, count: {COUNT}}}\n")
    asked = named.watch()
    summary = named.lab.run()
    assert (summary.ready, summary.failed) == (COUNT, 0)
    assert (summary.forward_err, summary.rev_err) == (0, 0)
    expected, questions = wanted(named), tmp_path / "questions"
    assert len(expected) == 4 * COUNT
    questions.write_text("".join(f"{name} {kind}\n" for name, kind in expected))
    for server in (bind, powerdns):
        assert answered(server.port, questions) == expected
    assert sum(one.startswith("apply") for one in asked) <= 12
    assert "too many DNS UPDATEs" not in bind.log()
