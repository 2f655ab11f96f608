"""Each test is a line `ok …` or `not ok …`; the exit code is what cargo xtask test expects."""

import contextlib
import os
import shutil
import sys
import threading
import traceback
from pathlib import Path

SKIPPED = 77
# Under the 240 seconds after which cargo xtask ends the script without its clean-up.
LIMIT = 200
# Of an error that quotes a whole stream; the rest is in the folder.
LONG = 2_000
failed = []


class Skipped(Exception):
    """The script cannot run here; the text says why."""


def need(program, package=None):
    """The path of a program; without it the script is skipped."""
    path = shutil.which(program)
    if path is None:
        raise Skipped(f"{program} is not installed (Debian package {package or program})")
    return path


@contextlib.contextmanager
def test(name):
    """One test: it fails with an exception, and the script goes on with the next one."""
    try:
        yield
    except Exception as error:
        failed.append(name)
        # The first line that is not of this file is the one within the test.
        where = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno for f in where if f.filename != __file__), where[-1].lineno)
        what = f"{type(error).__name__}: {error}"
        print(f"not ok {name}: line {line}: {what[:LONG]}", flush=True)
    else:
        print(f"ok {name}", flush=True)


def run(main):
    """Runs `main(folder, cleanup)`; whatever is left running is ended through `cleanup`."""
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    cleanup = contextlib.ExitStack()
    over = threading.Timer(LIMIT, _give_up, [cleanup])
    over.daemon = True
    over.start()
    try:
        with cleanup:
            main(folder, cleanup)
    except Skipped as reason:
        print(reason, flush=True)
        sys.exit(SKIPPED)
    except Exception:
        traceback.print_exc()
        print(f"not ok {Path(sys.argv[0]).stem}", flush=True)
        failed.append("script")
    if failed:
        print(f"what server and clients wrote is in {folder}", flush=True)
        _tail(folder / "server.log")
    sys.exit(1 if failed else 0)


def _give_up(cleanup):
    print(f"not ok not done within {LIMIT} seconds", flush=True)
    cleanup.close()
    os._exit(1)


def _tail(log, lines=40):
    if log.exists():
        print("\n".join(f"  server: {line}" for line in log.read_text().splitlines()[-lines:]))
