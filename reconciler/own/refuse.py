"""What a dry run keeps code from: connections, programs, writing outside of its scratch folder."""

import os
import sys
from pathlib import Path

from reconciler.own.job import Denied

CONNECTS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind")
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty")
SIGNALS = ("os.kill", "os.killpg")
MOVES = (
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod"),
    *("os.chown", "os.truncate", "os.utime", "shutil.rmtree", "shutil.move", "sqlite3.connect"),
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


DRY = "dry run: {} is refused; a preview(job) says what would be done"
PURE = "a diff is pure: {} is refused"


def refuse_effects(scratch: Path, refused: list[str], words: str = DRY) -> None:
    """Have Python refuse every effect from here on, in these words, and add each to `refused`.

    It holds back code that means well; it is no jail for code that does not.
    """

    def hook(event: str, args: tuple[object, ...]) -> None:
        what = effect_of(event, args, scratch)
        if what:
            refused.append(what)
            raise Denied(words.format(what))

    sys.addaudithook(hook)


def effect_of(event: str, args: tuple[object, ...], scratch: Path) -> str:
    """What an audit event would do outside of the scratch folder; empty: nothing."""
    if event in CONNECTS:
        return f"{event.split('.')[1]} {args[1]}"
    if event in STARTS:
        return f"start {args[0] if args else event}"
    if event in SIGNALS:
        return f"signal {args[0]}"
    if event in MOVES:
        outside = [one for one in args if not _inside(one, scratch)]
        return f"{event.split('.')[1]} {outside[0]}" if outside else ""
    if event == "open" and isinstance(args[2], int) and args[2] & WRITING:
        return "" if _inside(args[0], scratch) else f"write {args[0]}"
    return ""


def _inside(path: object, scratch: Path) -> bool:
    """Whether an argument is no path, or one that may be written."""
    if path is None or isinstance(path, int | float | tuple) or path == ":memory:":
        return True
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    whole = os.path.realpath(os.fsdecode(path))
    return whole == os.devnull or Path(whole).is_relative_to(scratch)
