"""`python -m tests.bench [noop|clusters|deploy|specs|dns|zones ...] [--sizes 100 1000]`."""

import argparse
import sys

from tests.bench import measures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=measures.__doc__)
    every = list(measures.MEASURES)
    parser.add_argument("what", nargs="*", choices=[[], *every], help=f"of {', '.join(every)}")
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 1_000, 10_000])
    asked = parser.parse_args()
    for name in asked.what or every:
        for line in measures.MEASURES[name](sorted(asked.sizes)):
            _say(line)
        _say()
    return 0


def _say(line: str = "") -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
