"""A package's edit over the wire: out in batches, shown and steered from a command line."""

import json
from collections.abc import Callable

from tests.grounds import Grounds

Open = Callable[..., Grounds]
HEAD = "guard: {restarts: 100%}\nrollout: {over: 2, max_unavailable: 1}\n"


def packaged(scene: Open, memory: str = "1GiB") -> Grounds:
    made = scene("web: {package: small, count: 3}\n")
    made.write({"fleet.yaml": made.head() + HEAD, "packages/small.yaml": package(memory)})
    return made


def package(memory: str) -> str:
    return f"small: {{memory: {memory}, restart: allow, anti_affinity: web, agent: true}}\n"


def test_a_packages_edit_goes_to_one_vm_first_and_leaves_a_debt(scene: Open) -> None:
    fleet = packaged(scene)
    fleet.settle()
    fleet.write({"packages/small.yaml": package("2GiB").replace("allow", "never")})
    fleet.run()
    (told,) = json.loads(fleet.cli("rollout", "list", "--output", "json").stdout)["rollouts"]
    assert (told["state"], told["done"], told["batches"]) == ("active", 1, [["web/2"], ["web/3"]])
    debt = fleet.cli("debt", "--output", "json")
    (owed,) = json.loads(debt.stdout)["vms"]
    assert (debt.returncode, owed["vm"], owed["keys"], owed["policy"]) == (
        2,
        "web/1",
        ["memory"],
        "never",
    )
