"""What a UPID says and how a task ended."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from reconciler.pve.client import ProxmoxApi
from reconciler.pve.tasks import TaskEnd, parse_upid, task_log, task_status
from state.api import Locked
from tests.reconciler.pve.tls_server import Server, reply

Serve = Callable[..., Server]
Open = Callable[..., ProxmoxApi]
UPID = "UPID:pve2:00007714:0006DED9:6AFFF8E4:qmclone:9000:reconcile@pve!fleet:"
QUOTED = (
    "UPID%3Apve2%3A00007714%3A0006DED9%3A6AFFF8E4%3Aqmclone%3A9000%3Areconcile%40pve%21fleet%3A"
)


def test_a_upid_names_node_kind_and_user() -> None:
    upid = parse_upid(UPID)
    assert (upid.node, upid.kind, upid.id, upid.user) == (
        "pve2", "qmclone", "9000", "reconcile@pve!fleet",
    )  # fmt: skip
    assert upid.starttime == datetime.fromtimestamp(0x6AFFF8E4, UTC)


def test_a_upid_may_have_no_id_and_a_long_start() -> None:
    upid = parse_upid("UPID:pve1:00007714:10006DED9:6AFFF8E4:vzdump::root@pam:")
    assert (upid.kind, upid.id) == ("vzdump", "")


@pytest.mark.parametrize("text", ["", "UPID:pve1", UPID[:-1], UPID + "x"])
def test_other_texts_are_no_upid(text: str) -> None:
    with pytest.raises(ValueError, match="expected a UPID"):
        parse_upid(text)


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ('{"status":"running"}', None),
        ('{"status":"stopped","exitstatus":"OK"}', TaskEnd(True, "OK")),
        (
            '{"status":"stopped","exitstatus":"WARNINGS: 3"}',
            TaskEnd(True, "WARNINGS: 3", 3),
        ),
        ('{"status":"stopped","exitstatus":"job errors"}', TaskEnd(False, "job errors")),
        ('{"status":"stopped"}', TaskEnd(False, "unexpected status")),
        ("null", None),
    ],
)
def test_a_task_is_asked_on_its_own_node(
    serve: Serve, connect: Open, body: str, end: TaskEnd | None
) -> None:
    server = serve(lambda asked: reply(f'{{"data":{body}}}'))
    assert task_status(connect(server.url), UPID) == end
    assert server.asked[0].target == f"/api2/json/nodes/pve2/tasks/{QUOTED}/status"


def test_a_tasks_log_is_its_lines(serve: Serve, connect: Open) -> None:
    body = '{"total":2,"data":[{"n":1,"t":"creating a clone"},{"n":2,"t":"TASK OK"},7]}'
    server = serve(lambda asked: reply(body))
    assert task_log(connect(server.url), UPID, 2) == ["creating a clone", "TASK OK"]
    assert server.asked[0].fields == [("limit", "2")]


def test_a_log_without_lines(serve: Serve, connect: Open) -> None:
    assert task_log(connect(serve().url), UPID) == []


def test_a_tasks_end_reads_by_the_same_words() -> None:
    assert TaskEnd(True, "WARNINGS: 1", 1).error is None
    error = TaskEnd(False, "VM is locked (backup)").error
    assert isinstance(error, Locked) and error.status == 0
