"""The README tells of everything that a person can write, and of nothing that is not there."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from desired.catalog import (
    Cluster,
    FleetFile,
    Git,
    Guard,
    Limits,
    PlacementRules,
    Pool,
    Simulated,
    Timeouts,
    Tls,
)
from desired.cloudinit import CloudInit, CustomFiles, Snippet
from desired.devices import Iso, Pci, Rng, Share, Usb, Vga
from desired.firewall import Firewall, Rule
from desired.firmware import Efi, Tpm
from desired.hardware import Cpu, Disk, Family, Nic
from desired.hostnames import Dns
from desired.model import Model
from desired.notices import (
    Apprise,
    Channel,
    Mail,
    Notices,
    Request,
    SmtpLogin,
    TicketRequests,
    Tickets,
    Told,
    Webhook,
)
from desired.rollout import RolloutRules
from desired.schedule import Schedule
from desired.spec import HighAvailability, Placement, Quota, Startup, VMSpec
from desired.windows import Window
from desired.zones import (
    Cloudflare,
    HestiaCp,
    OctoDns,
    PowerDns,
    Rfc2136,
    TsigKey,
    ZoneSpec,
)
from reconciler.cli import COMMANDS, cli
from reconciler.pipeline import DEPLOY
from reconciler.pve.rights import VM_RIGHTS

ROOT = Path(__file__).parents[1]
PAGES = (
    "reference",
    "commands",
    "addresses",
    "changes",
    "clusters",
    "dns",
    "jobs",
    "notices",
    "specs",
    "service",
)
README = (ROOT / "README.md").read_text()
TEXT = "\n".join([README, *((ROOT / "docs" / f"{page}.md").read_text() for page in PAGES)])
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.S)
WORDS = frozenset(re.findall(r"[a-z][a-z0-9_]*", " ".join(re.findall(r"`[^`]+`", PROSE))))
MODELS: tuple[type[Model], ...] = (
    FleetFile,
    Cluster,
    Tls,
    Simulated,
    Timeouts,
    Limits,
    Guard,
    PlacementRules,
    RolloutRules,
    Git,
    Pool,
    VMSpec,
    Placement,
    Startup,
    HighAvailability,
    Cpu,
    Disk,
    Nic,
    Family,
    Firewall,
    Rule,
    CloudInit,
    CustomFiles,
    Snippet,
    Efi,
    Tpm,
    Vga,
    Rng,
    Pci,
    Usb,
    Share,
    Iso,
    Quota,
    Window,
    Schedule,
    ZoneSpec,
    Rfc2136,
    TsigKey,
    PowerDns,
    Cloudflare,
    HestiaCp,
    OctoDns,
    Dns,
    Notices,
    Told,
    Tickets,
    Channel,
    Mail,
    SmtpLogin,
    Webhook,
    TicketRequests,
    Request,
    Apprise,
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_that_a_person_may_write_is_in_the_reference(model: type[Model]) -> None:
    fields = {field.alias or name for name, field in model.model_fields.items()}
    assert fields - WORDS <= {"name_template", "copies", "label"}


def test_every_command_is_listed_and_every_listed_one_exists() -> None:
    listed = set(re.findall(r"`reconcile ([a-z][a-z-]+)", TEXT)) | {"locks", "unhold"}
    assert listed == set(COMMANDS)


def test_every_option_that_is_mentioned_exists() -> None:
    pages = [CliRunner().invoke(cli, [*command, "--help"]).output for command in _commands()]
    known = {option for page in pages for option in re.findall(r"--[a-z-]+", page)}
    foreign = {"--constraint", "--comment", "--privsep", "--privs"}
    foreign |= {"--users", "--tokens", "--roles"}
    assert set(re.findall(r"(?<=[\s`])--[a-z][a-z-]+", TEXT)) <= known | foreign


def _commands() -> list[tuple[str, ...]]:
    spec = ("get", "put", "diff", "import")
    below = (
        *(("job", name) for name in ("run", "list", "edit", "dry-run")),
        *(("spec", name) for name in spec),
    )
    below = (*below, ("template", "check"), ("template", "build"), ("dns", "resync"))
    return [(), *((name,) for name in COMMANDS), *below]


def test_the_role_has_every_right_that_preflight_asks_for() -> None:
    assert f'"{" ".join(VM_RIGHTS)}"' in TEXT


def test_the_states_are_the_contracts() -> None:
    assert ", ".join(f"`{name}`" for name in DEPLOY.names) in " ".join(TEXT.split())


def test_c_15_cron_is_told_to_run_every_minute() -> None:
    """C-15"""
    lines = re.findall(r"^ +(\S+ \S+ \S+ \S+ \S+) reconcile .*--once", TEXT, flags=re.M)
    assert lines == ["* * * * *"]


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        name, _, heading = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.is_file(), target
        titles = re.findall(r"^#+ (.+)$", there.read_text(), flags=re.M)
        slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
        assert not heading or heading in slugs, target
