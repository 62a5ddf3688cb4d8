"""Under RECONCILE_REQUIRE_ALL a skipped test fails, but for one that reads recordings not here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SKIPS = {
    "call": "import pytest\ndef test_x() -> None:\n    pytest.skip('REASON')\n",
    "mark": "import pytest\n@pytest.mark.skip(reason='REASON')\ndef test_x() -> None: ...\n",
    "module": "import pytest\npytest.skip('REASON', allow_module_level=True)\n",
}


def status_of(folder: Path, text: str, required: str) -> int:
    tests = folder / "project" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("conftest.py"), tests / "conftest.py")
    (tests / "test_it.py").write_text(text)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    environ = {**os.environ, "RECONCILE_REQUIRE_ALL": required}
    return subprocess.run(words, env=environ, cwd=folder, capture_output=True).returncode


@pytest.mark.parametrize("kind", SKIPS)
def test_a_skip_fails_when_everything_is_required(kind: str, tmp_path: Path) -> None:
    assert status_of(tmp_path, SKIPS[kind].replace("REASON", "no DNS server"), "1") != 0


def test_a_skip_is_fine_otherwise(tmp_path: Path) -> None:
    assert status_of(tmp_path, SKIPS["call"], "0") == 0


def test_recordings_that_are_not_here_may_be_skipped(tmp_path: Path) -> None:
    text = SKIPS["call"].replace("REASON", "reads ../shared, which is not here")
    assert status_of(tmp_path, text, "1") == 0


def test_recordings_that_are_here_must_be_read(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    text = SKIPS["call"].replace("REASON", "reads ../shared, which is not here")
    assert status_of(tmp_path, text, "1") != 0
