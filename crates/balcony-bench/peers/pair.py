"""Two servers of one kind that federate on loopback, and `balcony-bench s2s` between them: each
kind in turn, and again, so that a machine that gets slower does so for all.

    python3 crates/balcony-bench/peers/pair.py [--kinds K,…] [--cases C,…] [--json FILE]

Prints a table of medians and ranges. Needs the release binaries (or BALCONY_BIN, BENCH_BIN), and
Debian's packages, which `docs/benchmarks.md` names. DNS and authority are those of
tests/federation. Each run has new servers, without what a run before has left in their archives.
"""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from _tuned import BENCH, KINDS

import _peer
from _authority import Authority
from _dns import Dns
from _report import Skipped
from _table import DISTURBED, table

# Whether archives are kept, and how messages follow one another.
CASES = {
    "loop": (False, "--window", "4"),
    "rate": (False, "--rate", "1000"),
    "archive": (True, "--window", "4"),
    "archive-rate": (True, "--rate", "1000"),
}
# Prosody keeps archives in one of two places; without them there is one Prosody.
ARCHIVE_ONLY = {"prosody-sqlite"}
USERS = 50


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    listed = {"type": lambda text: text.split(",")}
    parser.add_argument("--kinds", default=list(KINDS), help=",".join(KINDS), **listed)
    parser.add_argument("--cases", default=["loop", "rate", "archive"], help=",".join(CASES),
                        **listed)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind")
    parser.add_argument("--seconds", type=float, default=6, help="that are measured")
    parser.add_argument("--warmup", type=float, default=3, help="seconds before them")
    parser.add_argument("--tries", type=int, default=3,
                        help="a disturbed run is repeated until there are so many")
    parser.add_argument("--patience", type=float, default=30,
                        help="seconds to wait for a quiet machine before each run")
    parser.add_argument("--minutes", type=float, default=25,
                        help="after which there is no waiting and no repeating any more")
    parser.add_argument("--json", type=pathlib.Path, help="file for all runs, one a line")
    options = parser.parse_args()
    unknown = [name for name in options.kinds if name not in KINDS]
    unknown += [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"not known: {', '.join(unknown)}")
    options.until = time.monotonic() + options.minutes * 60
    return options


def spent():
    """Seconds that the machine's processors were not idle, since it started. See proc(5)."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, *irqs = map(int, stat.readline().split()[1:9])
    return (user + nice + system + sum(irqs)) / 100


def quiet(patience):
    """Waits until nobody uses the machine, the servers that have just started included."""
    end = time.monotonic() + patience
    while True:
        before = spent()
        time.sleep(1)
        if spent() - before < DISTURBED or time.monotonic() > end:
            return


class Pair:
    """Two servers of a kind, one.example and two.example."""

    def __init__(self, kind, archive, cleanup):
        self.kind = kind
        prefix = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pair-"))
        self.folder = pathlib.Path(prefix)
        dns = Dns({}, "127.0.0.1")
        dns.start()
        cleanup.callback(dns.stop)
        self.authority = Authority(self.folder / "ca")
        world = _peer.World(self.folder, cleanup, _peer.CERTIFICATE, self.authority, dns)
        self.servers = [KINDS[kind](world, domain, archive)
                        for domain in ("one.example", "two.example")]
        for server in self.servers:
            server.start()
            server.accounts(USERS)

    def measure(self, case, options):
        """One run; what `balcony-bench` says of it."""
        one, two = self.servers
        result = self.folder / "result.json"
        result.unlink(missing_ok=True)
        _, *pace = CASES[case]
        pids = [str(pid) for server in self.servers for pid in server.pids()]
        line = [BENCH, "s2s", "--label", f"{self.kind}, {case}", "--tls", "starttls",
                "--pairs", str(USERS), "--pid", ",".join(pids), "--ca", self.authority.root,
                "--port", str(one.starttls), "--domain", one.domain,
                "--keys", self.folder / "keys-one.json",
                "--other-port", str(two.starttls), "--other-domain", two.domain,
                "--other-keys", self.folder / "keys-two.json",
                "--runs", "1", "--seconds", str(options.seconds), "--warmup", str(options.warmup),
                "--json", result, *pace]
        done = subprocess.run(line, check=False)
        if not result.exists():
            raise RuntimeError(f"balcony-bench ended with {done.returncode}")
        told = json.loads(result.read_text())
        return {"kind": self.kind, "case": case, "whole": done.returncode == 0, **told["runs"][0],
                "settings": told["settings"], "remarks": told["remarks"]}


def slot(pair, case, turn, options):
    """A kind's turn in a round: the least disturbed of some tries counts."""
    runs = []
    while not runs or (runs[-1]["other_cores"] > DISTURBED and len(runs) < options.tries
                       and time.monotonic() < options.until):
        quiet(max(0, min(options.patience, options.until - time.monotonic())))
        run = pair.measure(case, options)
        runs.append({**run, "round": turn, "at": time.strftime("%FT%TZ", time.gmtime()),
                     "disturbed": run["other_cores"] > DISTURBED, "counts": False})
    # By what others did, and never by the result.
    min(runs, key=lambda run: run["other_cores"])["counts"] = True
    return runs


def rounds(options):
    """All runs, in the order in which they were made."""
    for turn in range(1, options.rounds + 1):
        for archive in (False, True):
            cases = [case for case in options.cases if CASES[case][0] == archive]
            kinds = [kind for kind in options.kinds if archive or kind not in ARCHIVE_ONLY]
            for kind in kinds if cases else []:
                with contextlib.ExitStack() as cleanup:
                    try:
                        pair = Pair(kind, archive, cleanup)
                    except Skipped as reason:
                        print(f"{kind} is left out: {reason}", file=sys.stderr)
                        continue
                    for case in cases:
                        yield from slot(pair, case, turn, options)


def main():
    options = arguments()
    runs = []
    with contextlib.ExitStack() as cleanup:
        file = cleanup.enter_context(open(options.json, "a", encoding="utf-8")) \
            if options.json else None
        for run in rounds(options):
            runs.append(run)
            if file:
                print(json.dumps(run), file=file, flush=True)
    print(table(runs))
    sys.exit(0 if all(run["whole"] for run in runs if run["counts"]) else 1)


if __name__ == "__main__":
    main()
