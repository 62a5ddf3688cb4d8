"""What drifted, who did it and since when, and the spec patch that takes it over."""

import json
from pathlib import Path

import yaml

from reconciler.config import open_preview
from reconciler.outside import Survey, survey
from reconciler.show.outside import (
    render_history,
    render_markdown,
    render_patch,
    render_survey,
    survey_json,
)
from reconciler.show.text import Paint
from tests.lab import Lab, Told
from tests.reconciler.test_drift import VM, lab_of, rewrite

PLAIN = Paint(False)


def looked(lab: Lab) -> Survey:
    lab.wire.next_run()
    options, opening = lab._options(), lab._opening(open_preview)
    return survey(options, Told(), lab.clock, opening)


def spoiled(folder: Path, more: str = "") -> Lab:
    lab = lab_of(folder, f"cpu: {{cores: 2, limit: 1.5}}, tags: [a]{more}")
    lab.ask("PUT", f"{VM}/config", cpulimit=3, onboot=1)
    lab.clock.sleep(5)
    return lab


def test_drift_is_shown_with_who_and_policy_and_nothing_is_written(tmp_path: Path) -> None:
    lab = spoiled(tmp_path)
    found = looked(lab)
    assert lab.wire.writes(lab.wire.run) == []
    (web,) = found.vms
    assert [(one.handler, one.field) for one in web.changes] == [("cpu", "cpulimit")]
    text = render_survey(found, PLAIN)
    assert "1.5 -> 3" in text and "root@pam at" in text and "enforce (put back" in text
    assert text.endswith("Drift: 1 field of 1 of 1 VM.")


def test_an_edit_of_the_spec_is_no_drift(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "cpu: {cores: 2, limit: 1.5}")
    rewrite(lab, "cpu: {cores: 2, limit: 3}")
    assert looked(lab).vms == ()
    assert render_markdown(looked(lab)) == "No drift."


def test_what_is_left_alone_is_shown_too(tmp_path: Path) -> None:
    lab = spoiled(tmp_path, ", drift: ignore")
    rows = survey_json(looked(lab))["drift"]
    assert isinstance(rows, list) and len(rows) == 1
    assert {"policy": "ignore", "wanted": "1.5", "live": "3"}.items() <= rows[0].items()  # type: ignore[union-attr]
    assert "| `web` | `cpulimit` | `1.5` | `3` | `root@pam" in render_markdown(looked(lab))


def test_a_cluster_out_of_reach_is_said(tmp_path: Path) -> None:
    lab = spoiled(tmp_path)
    lab.world.quorate = False
    found = looked(lab)
    assert found.vms == () and "web" in found.unknown
    assert "? web:" in render_survey(found, PLAIN)


def test_the_patch_makes_the_drift_the_wanted_value(tmp_path: Path) -> None:
    lab = spoiled(tmp_path)
    (web,) = looked(lab).vms
    patch = web.patch()
    text = render_patch(web, patch, "vms/web.yaml")
    assert yaml.safe_load(text) == {"web": {"cpu": {"limit": 3}}}
    rewrite(lab, "cpu: {cores: 2, limit: 3}, tags: [a]")
    assert lab.run().writes == 0
    assert web.patch("other").values == {}


def test_the_history_tells_what_was_put_back(tmp_path: Path) -> None:
    lab = spoiled(tmp_path)
    lab.run()
    with lab.store() as store:
        (event,) = store.outbox.past("drift")
        assert "put back" in render_history((event,))
        assert "cpulimit" in json.dumps(dict(event.detail))
        assert store.outbox.past("vm_ready")[0].key == "web"
