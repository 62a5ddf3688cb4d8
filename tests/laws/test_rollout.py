"""An edit that touches many VMs goes out in batches, wherever the runner is killed."""

from pathlib import Path

import pytest

from reconciler.show.plan import render_plan
from reconciler.show.text import Paint
from reconciler.sim.faults import Fault
from state.rollouts import Rollout
from tests.lab import Killed, Lab
from tests.laws.fleets import FLEET
from tests.laws.test_crash import commits
from tests.laws.test_restart import twin

RULES = "rollout: {over: 3, canary: 1, max_unavailable: 2, pause: 5min}\n"
FREE = "guard: {restarts: 100%}\n"
SIX = tuple(f"web/{number}" for number in range(1, 7))


def files(memory: str = "1GiB", rules: str = RULES, **own: str) -> dict[str, str]:
    lines = ["web: {package: small, count: 6}\n"]
    lines += [f"{key}: {{package: small, {text}}}\n" for key, text in own.items()]
    return {
        "fleet.yaml": FLEET.replace("limits:", f"{FREE}{rules}limits:"),
        "packages/small.yaml": f"small: {{memory: {memory}, restart: allow}}\n",
        "vms/vms.yaml": "".join(lines),
    }


def deployed(folder: Path, rules: str = RULES, **own: str) -> Lab:
    lab = Lab(folder, {**files(rules=rules, **own)})
    lab.settle()
    lab.wire.calls.clear()
    return lab


def written(lab: Lab) -> list[int]:
    """The vmids that were written to, in the order of their first write."""
    paths = [one.path.split("/") for one in lab.wire.writes() if "/qemu/" in one.path]
    return list(dict.fromkeys(int(parts[4]) for parts in paths))


def rollouts(lab: Lab) -> list[Rollout]:
    with lab.store() as store:
        return store.rollouts.recent()


def conditions(lab: Lab, kind: str) -> dict[str, str]:
    with lab.store() as store:
        every = store.conditions.all().items()
        return {key: c.message for key, found in every for c in found if c.type == kind}


def states(rollout: Rollout) -> str:
    return "".join(member.state[1] for member in rollout.members)


def test_an_edit_of_many_goes_to_a_canary_then_in_batches_after_a_pause(tmp_path: Path) -> None:
    lab = deployed(tmp_path)
    lab.write(files("2GiB"))
    batches = []
    for _ in range(12):
        lab.wire.calls.clear()
        lab.run()
        batches.append(written(lab))
        lab.clock.sleep(100.0)
    assert [one for one in batches if one] == [[100], [101, 102], [103, 104], [105]]
    assert [index for index, one in enumerate(batches) if one] == [0, 3, 6, 9]
    (rollout,) = rollouts(lab)
    assert (rollout.state, rollout.about, states(rollout)) == ("done", "memory = 2GiB", "oooooo")
    assert [member.batch for member in rollout.members] == [1, 2, 2, 3, 3, 4]
    assert {lab.world.vms[vmid].config["memory"] for vmid in range(100, 106)} == {"2048"}


def test_a_killed_run_is_gone_on_with_by_the_same_batch(tmp_path: Path) -> None:
    """Killed before every other write of the run with the second batch, and before its answer."""
    base = second_batch(tmp_path / "base")
    calm = twin(base, tmp_path / "calm")
    calm.run()
    calls = calm.wire.of(calm.wire.run)
    points = [index for index, one in enumerate(calls) if one.is_write]
    assert len(points) > 4
    for number, index in enumerate(points[::2]):
        for how in ("before", "after"):
            lab = twin(base, tmp_path / f"{number}-{how}")
            with pytest.raises(Killed):
                lab.run(
                    before=index if how == "before" else None,
                    after=index if how == "after" else None,
                )
            lab.clock.sleep(5.0)
            lab.run()
            assert sorted(written(lab)) == [101, 102]
            assert states(rollouts(lab)[0]) == "oooaaa"
            lab.run()
            assert lab.shot() == calm.shot()


def second_batch(folder: Path) -> Lab:
    """The canary is done, and the pause after it is over."""
    lab = deployed(folder)
    lab.write(files("2GiB"))
    lab.run()
    lab.clock.sleep(301.0)
    return lab


def spoilt(folder: Path, every: int) -> list[int]:
    """Kill the run that begins the second batch before every so many-th transaction."""
    base, wrong = second_batch(folder / "base"), []
    calm = twin(base, folder / "calm")
    with commits() as counted:
        calm.run()
    calm.run()
    assert counted[0] > 30
    for index in range(0, counted[0], every):
        lab = twin(base, folder / str(index))
        with pytest.raises(Killed), commits(kill_at=index):
            lab.run()
        lab.clock.sleep(5.0)
        lab.run()
        lab.run()
        (one,) = rollouts(lab)
        same = sorted(written(lab)) == [101, 102] and lab.shot() == calm.shot()
        if not same or states(one) != "oooaaa":
            wrong.append(index)
    return wrong


def test_a_run_killed_between_transactions_is_gone_on_with_by_the_same_batch(
    tmp_path: Path,
) -> None:
    assert spoilt(tmp_path, 8) == []


@pytest.mark.nightly
def test_a_run_killed_between_any_two_transactions_goes_on_with_the_same_batch(
    tmp_path: Path,
) -> None:
    assert spoilt(tmp_path, 1) == []


def test_a_failure_pauses_the_rest_until_a_person_resumes(tmp_path: Path) -> None:
    lab = deployed(tmp_path)
    lab.simulator.faults.add(Fault("task-fail", task="qmstart", times=None))
    lab.write(files("2GiB"))
    for _ in range(4):
        lab.run()
        lab.clock.sleep(400.0)
    (rollout,) = rollouts(lab)
    assert (rollout.state, states(rollout)) == ("paused", "oaaaaa")
    assert written(lab) == [100]
    assert rollout.why.startswith("web/1: ")
    assert conditions(lab, "RolloutPaused").keys() == {*SIX[1:]}
    with lab.store() as store:
        assert [one.event for one in store.outbox.past("rollout_paused")] == ["rollout_paused"]


def test_one_vms_own_edit_and_the_repair_of_drift_never_wait(tmp_path: Path) -> None:
    lab = deployed(tmp_path, own="memory: 1GiB, restart: never")
    lab.write(files("2GiB", own="memory: 1GiB, restart: never"))
    lab.run()
    lab.wire.calls.clear()
    waiting = lab.world.vms[103]
    lab.ask("PUT", f"/nodes/{waiting.node}/qemu/103/config", onboot=1, tags="")
    lab.write(files("2GiB", own="memory: 1GiB, restart: never, description: new"))
    lab.run()
    assert "new" in str(lab.world.vms[100].config["description"])
    assert "reconcile" in str(lab.world.vms[103].config["tags"])
    assert lab.world.vms[103].config["memory"] == "1024"
    (rollout,) = rollouts(lab)
    assert states(rollout) == "oaaaaa"


def test_an_edit_of_few_is_no_rollout(tmp_path: Path) -> None:
    lab = deployed(tmp_path, rules=RULES.replace("over: 3", "over: 6"))
    lab.write(files("2GiB", rules=RULES.replace("over: 3", "over: 6")))
    lab.settle()
    assert rollouts(lab) == []


def test_a_later_edit_takes_the_place_of_one_on_its_way(tmp_path: Path) -> None:
    lab = deployed(tmp_path)
    lab.write(files("2GiB"))
    lab.run()
    lab.write(files("3GiB"))
    lab.settle(runs=14, apart=200.0)
    new, old = rollouts(lab)
    assert (old.state, states(old), old.why) == (
        "superseded",
        "oeeeee",
        "the specs were edited again",
    )
    assert (new.state, states(new)) == ("done", "oooooo")
    assert {lab.world.vms[vmid].config["memory"] for vmid in range(100, 106)} == {"3072"}


def test_a_dry_run_shows_the_batches_and_writes_nothing(tmp_path: Path) -> None:
    lab = deployed(tmp_path)
    lab.write(files("2GiB"))
    before = lab.bytes()
    dry = lab.dry()
    (planned,) = dry.rollouts
    assert planned.batches == (("web/1",), ("web/2", "web/3"), ("web/4", "web/5"), ("web/6",))
    assert len([vm for vm in dry.vms if vm.kind == "change"]) == 6
    assert "rollout (new): memory = 2GiB for 6 VMs, 4 batches to come" in render_plan(dry, Paint())
    assert lab.bytes() == before
