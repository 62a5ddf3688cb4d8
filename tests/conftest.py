"""What all tests share: the hypothesis profile, the recordings' folder, and no silent skips."""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.nameservers import BIND_NEEDS, POWERDNS_NEEDS, Bind, PowerDNS
from tests.servers.postgres import Postgres, programs
from tests.servers.scratch import missing

SHARED = Path(__file__).resolve().parents[2] / "shared"
REQUIRE_ALL = os.environ.get("RECONCILE_REQUIRE_ALL") == "1"

# A merge is judged by the same examples each time; a developer's run and the night look further.
settings.register_profile(
    "house",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


@pytest.fixture(scope="module", autouse=True)
def tidy() -> Iterator[None]:
    """Collect what the runs of one file left: each freezes what was there, garbage too."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded Proxmox flows and schema; a test that needs it skips without it."""
    if not SHARED.is_dir():
        pytest.skip("reads ../shared, which is not here")
    return SHARED


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this session's own; `stores_on` puts a test's stores there."""
    found = programs()
    if found is None:
        pytest.skip("needs PostgreSQL's server programs: apt-get install postgresql")
    server = Postgres(found)
    yield server
    server.close()


@pytest.fixture(scope="session")
def bind() -> Iterator[Bind]:
    """A BIND 9 of this session's own; each test adds zones of its own."""
    wanting = missing(BIND_NEEDS)
    if wanting:
        pytest.skip(wanting)
    server = Bind()
    yield server
    server.close()


@pytest.fixture(scope="session")
def powerdns() -> Iterator[PowerDNS]:
    """A PowerDNS of this session's own; each test adds zones of its own."""
    wanting = missing(POWERDNS_NEEDS)
    if wanting:
        pytest.skip(wanting)
    server = PowerDNS()
    yield server
    server.close()


def may_skip(reason: str, *, shared_here: bool) -> bool:
    """Whether a skip is allowed when everything is required: only for want of ../shared."""
    return "../shared" in reason and not shared_here


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if REQUIRE_ALL and report.skipped:
        _refuse(report)
    return report


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that says why."""
    reason = str(report.longrepr)
    if not may_skip(reason, shared_here=SHARED.is_dir()):
        report.outcome = "failed"
        report.longrepr = f"skipped under RECONCILE_REQUIRE_ALL: {reason}"
