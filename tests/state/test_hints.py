"""What hints that a VM's config moved: its row, the tasks, the cluster log."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from state.api import Json
from state.hints import known_tasks, log_suspects, row_hints, row_moved, task_suspects
from tests.engine import task, vm

NOW = 1_000_000.0
ROW = vm(101, tags=("a", "b"), maxcpu=2, maxmem=1024, maxdisk=4096)
UP = replace(ROW, status="running", uptime=500)


def line(uid: int, msg: str = "", node: str = "pve1") -> Json:
    return {"node": node, "uid": uid, "msg": msg}


def test_a_row_that_says_the_same_hints_at_nothing() -> None:
    assert not row_moved(row_hints(ROW, NOW), row_hints(ROW, NOW + 3600))
    later = replace(ROW, mem=9, netin=7, tags=("b", "a"), pool="p")
    assert not row_moved(row_hints(ROW, NOW), row_hints(later, NOW))


@given(
    st.sampled_from(
        [
            {"node": "pve2"},
            {"lock": "backup"},
            {"tags": ("a",)},
            {"name": "other"},
            {"maxcpu": 4.0},
            {"maxmem": 2048},
            {"maxdisk": 8192},
        ]
    )
)
def test_each_field_that_the_config_decides_is_a_hint(moved: dict[str, object]) -> None:
    changed = replace(ROW, **moved)  # type: ignore[arg-type]
    assert row_moved(row_hints(ROW, NOW), row_hints(changed, NOW))


@given(st.integers(0, 10**6), st.integers(0, 10**5), st.floats(-200, 200))
def test_only_a_boot_instant_moved_by_over_30_s_is_a_hint(
    uptime: int, passed: int, drift: float
) -> None:
    """Uptime grows with time; the instant stays, within what rounding and lag make of it."""
    then = row_hints(replace(UP, uptime=uptime), NOW)
    now = row_hints(replace(UP, uptime=uptime + passed), NOW + passed + drift)
    moved = abs(round(NOW + drift - uptime) - round(NOW - uptime)) > 30
    assert row_moved(then, now) == moved


def test_a_start_and_a_stop_are_hints() -> None:
    for before, after in ((ROW, UP), (UP, ROW)):
        assert row_moved(row_hints(before, NOW), row_hints(after, NOW))


def test_hints_that_were_never_noted_count_as_moved() -> None:
    assert row_moved("", row_hints(ROW, NOW))


def test_a_log_line_names_the_vm_that_was_written_to() -> None:
    upid = "UPID:pve1:0000AF01:00B1C2D3:65E1D2C0:qmstart:103:root@pam:"
    log: Json = [
        line(7, "<root@pam> update VM 101: -cores 4"),
        line(8, "destroy VM 102: somebody, VM 1x4"),
        line(9, f"<root@pam> starting task {upid}"),
        line(5, "update VM 999: seen before"),
        line(6),
    ]
    found = log_suspects(log, {"pve1": 6})
    assert (found.vmids, found.nodes, found.position) == ({101, 102, 103}, frozenset(), {"pve1": 9})


def test_a_task_of_no_vm_is_no_hint() -> None:
    upid = "UPID:pve1:0000AF01:00B1C2D3:65E1D2C0:vncshell::root@pam:"
    assert log_suspects([line(7, upid)], {"pve1": 6}).vmids == frozenset()


def test_a_node_whose_log_is_seen_for_the_first_time_is_suspect() -> None:
    found = log_suspects([line(3)], {})
    assert (found.nodes, found.position) == ({"pve1"}, {"pve1": 3})


def test_a_node_whose_log_is_empty_now_is_suspect_once() -> None:
    found = log_suspects([], {"pve1": 6})
    assert (found.nodes, found.position) == ({"pve1"}, {})
    assert log_suspects([], found.position).nodes == frozenset()


def test_a_counter_that_went_back_makes_its_node_suspect() -> None:
    assert log_suspects([line(2), line(3)], {"pve1": 6}).nodes == {"pve1"}


@given(
    st.lists(st.sampled_from(["pve1", "pve2"]), max_size=40),
    st.integers(0, 40),
    st.integers(1, 40),
)
def test_no_vm_written_to_since_the_last_look_is_missed(
    nodes: list[str], seen: int, kept: int
) -> None:
    """The ring keeps its last lines only: each VM is named by a line, or its node is suspect."""
    lines = [line(number, f"update VM {number}: x", on) for number, on in enumerate(nodes)]
    position = log_suspects(lines[:seen], {}).position
    found = log_suspects(lines[-kept:], position)
    for number, on in enumerate(nodes):
        if number >= seen:
            assert number in found.vmids or on in found.nodes or found.everything
    if kept >= len(lines):
        assert found.nodes <= set(nodes) - position.keys()
        assert not found.everything or not position


def test_a_task_is_a_hint_when_it_begins_and_when_it_ends() -> None:
    running, ended = task("qmclone", 101), task("qmclone", 101, endtime=9)
    assert task_suspects([running], {}) == {101}
    assert task_suspects([running], known_tasks([running])) == set()
    assert task_suspects([ended], known_tasks([running])) == {101}
    assert task_suspects([ended], known_tasks([ended])) == set()


def test_tasks_that_are_no_vms_are_no_hints() -> None:
    assert task_suspects([task("vzdump", ""), task("imgdel", "local:9")], {}) == set()
