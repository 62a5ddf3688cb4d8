"""A month's figures are the stored ones: shown, counted, drawn, signed (USE-02, USE-03)."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from reconciler.show.usage import show_bytes, sparkline
from reconciler.usage.signed import NotSigned, check, public_key_of, sign
from state.meter import HourBytes, Meter, Reading
from state.store import Store
from state.usage import Hour, Meters

FLEET = """\
fleet: lab
clusters: {lab: {simulated: {nodes: 1, speed: 600}}}
defaults: {cluster: lab, template: t, traffic: {allowance: 1KiB}}
templates: {t: {lab: [9000]}}
"""
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
MONTH = f"{NOW:%Y-%m}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fleet" / "vms").mkdir(parents=True)
    (tmp_path / "fleet" / "fleet.yaml").write_text(FLEET)
    vms = "web-1: {}\nweb-2: {traffic: {counts: out}}\n"
    (tmp_path / "fleet" / "vms" / "web.yaml").write_text(vms)
    with Store.open(str(tmp_path / "lab.db"), at=NOW) as store:
        store.usage.add(
            [
                Hour("web-1", "", NOW, 1000, 500),
                Hour("web-1", "net0", NOW, 900, 400),
                Hour("web-2", "", NOW, 5000, 100, spread=7, repaired=9),
                Hour("web-2", "", NOW - timedelta(days=80), 1, 1),
            ],
            UTC,
        )
        row = Meter("web-1", Reading(NOW, 0, 0, 60), HourBytes(NOW, 24, 0))
        assert store.usage.keep("lab", store.usage.meters("lab"), Meters(NOW, {101: row}), (), UTC)
    return tmp_path


def call(folder: Path, *words: str) -> Result:
    options = ["--fleet", str(folder / "fleet"), "--database", str(folder / "lab.db")]
    return CliRunner().invoke(cli, [*options, "usage", *words])


def test_use_03_a_month_counts_what_the_package_says_and_tells_what_is_over(folder: Path) -> None:
    said = json.loads(call(folder, "--output", "json").output)
    web1, web2 = said["vms"]
    assert (web1["bytes_in"], web1["bytes_out"], web1["counted"], web1["over"]) == (
        1024,
        500,
        1524,
        500,
    )
    assert web1["nics"] == {"net0": {"bytes_in": 900, "bytes_out": 400}}
    assert (web2["counted"], web2["over"], web2["spread"], web2["repaired"]) == (100, 0, 7, 9)
    text = call(folder).output
    assert "! web-1: 500 B over its allowance" in text
    assert "7 B passed while nobody looked: spread evenly, 9 B are from Proxmox's" in text


def test_csv_has_a_line_for_each_machine_and_each_nic_that_is_known(folder: Path) -> None:
    lines = call(folder, "web-1", "--output", "csv").output.splitlines()
    assert lines[1:] == [
        f"{MONTH},web-1,,1024,500,1524,1024,500,0,0",
        f"{MONTH},web-1,net0,900,400,,,,0,0",
    ]


def test_a_past_month_is_shown_by_its_name_and_nonsense_is_refused(folder: Path) -> None:
    past = f"{NOW - timedelta(days=80):%Y-%m}"
    assert json.loads(call(folder, "--month", past, "--output", "json").output)["vms"][0]["vm"]
    refused = call(folder, "--month", "2026-13")
    assert refused.exit_code and "expected YYYY-MM" in refused.output


def test_the_hours_of_one_machine(folder: Path) -> None:
    found = json.loads(call(folder, "web-1", "--hours", "--output", "json").output)["hours"]
    assert [(one["nic"], one["bytes_in"]) for one in found] == [("", 1024), ("net0", 900)]
    assert call(folder, "--hours").exit_code == 2
    assert call(folder, "web-1", "--hours", "--output", "csv").output.startswith("hour,nic,")
    assert "1 KiB" in call(folder, "web-1", "--hours").output


def test_a_signed_month_cannot_be_changed_unnoticed(folder: Path) -> None:
    signed = call(folder, "--sign").output
    document = folder / "month.json"
    document.write_text(signed)
    said = json.loads(call(folder, "--verify", str(document)).output)
    assert said["statement"]["vms"][0]["counted"] == 1524
    key = said["public_key"]
    assert call(folder, "--verify", str(document), "--signed-by", key).exit_code == 0
    assert call(folder, "--verify", str(document), "--signed-by", "AAAA").exit_code == 1
    document.write_text(signed.replace("1524", "1523"))
    refused = call(folder, "--verify", str(document))
    assert refused.exit_code == 1 and "was changed" in refused.output


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"form": "x"}', "null"])
def test_what_is_no_signed_month_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NotSigned):
        check(text)


def test_one_store_signs_with_one_key() -> None:
    with Store.temporary(at=NOW) as one, Store.temporary(at=NOW) as other:
        assert check(sign({"a": 1}, one.vault)).public_key == public_key_of(one.vault)
        assert public_key_of(one.vault) != public_key_of(other.vault)


@pytest.mark.parametrize("name", ["month.svg", "month.png"])
def test_the_last_days_are_drawn_as_a_picture(folder: Path, name: str) -> None:
    assert call(folder, "--chart", str(folder / name)).exit_code == 0
    begin = (folder / name).read_bytes()[:5]
    assert begin in (b"<?xml", b"\x89PNG\r")
    refused = call(folder, "--chart", str(folder / "month.pdf"))
    assert (
        refused.exit_code == 1 and "expected a file that ends with .svg or .png" in refused.output
    )


def test_sync_reads_the_counters_now_and_says_what_keeps_it_from_that(folder: Path) -> None:
    """USE-04."""
    assert call(folder, "--sync").exit_code == 0


def test_sizes_and_bars_are_short() -> None:
    assert [show_bytes(n) for n in (0, 1023, 17 << 20, 5 << 50)] == [
        "0 B",
        "0.999 KiB",
        "17 MiB",
        "5 PiB",
    ]
    day = NOW.date()
    days = {f"{day - timedelta(days=ago):%Y-%m-%d}": (ago, 0) for ago in range(4)}
    assert sparkline(days, day) == "█▆▃ "[:4]
    assert sparkline({}, day) == ""


def test_a_name_that_no_metered_vm_has_is_told_beside_the_figures(folder: Path) -> None:
    found = call(folder, "web-1", "wbe-*", "--output", "csv")
    assert found.exit_code == 0
    assert found.stderr == f"! wbe-*: no VM of that name was metered in {MONTH}\n"
    assert found.stdout.startswith("month,vm,")


def test_what_was_never_metered_is_not_signed(folder: Path) -> None:
    """Without a store there is no key that anybody could know again."""
    (folder / "lab.db").unlink()
    found = call(folder, "--sign")
    assert found.exit_code == 1
    assert "nothing was metered yet, so there is nothing to sign" in found.stderr
