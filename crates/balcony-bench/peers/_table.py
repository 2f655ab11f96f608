"""What the runs of pair.py come to.

    python3 crates/balcony-bench/peers/_table.py FILE     the table of a file that it wrote
"""

import json
import statistics
import sys

# Cores' worth of other processes' work from which on a run is called disturbed.
DISTURBED = 0.05

COLUMNS = [("server_us", "CPU µs/message"), ("per_s", "messages/s"), ("p50_ms", "p50 ms"),
           ("p99_ms", "p99 ms"), ("own_us", "generator µs"), ("other_cores", "other cores")]


def short(value):
    """Three digits, which is more than these measurements are good for."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values):
    """The median, with the range where there is one."""
    middle = short(statistics.median(values))
    low, high = short(min(values)), short(max(values))
    return middle if low == high else f"{middle} [{low}..{high}]"


def cost(runs):
    return [run["server_us"] for run in runs]


def against(kinds):
    """Balcony's CPU to that of the better peer: by medians; in the worst of the rounds, whose runs
    followed one another; and, which is the hardest, its worst run to their best.
    """
    peers = [runs for kind, runs in kinds.items() if kind != "balcony"]
    if not peers or "balcony" not in kinds:
        return None
    ours = kinds["balcony"]
    medians = min(statistics.median(cost(runs)) for runs in peers) / statistics.median(cost(ours))
    others = [run for runs in peers for run in runs]
    rounds = [min(cost(beside)) / run["server_us"] for run in ours
              if (beside := [other for other in others if other["round"] == run["round"]])]
    worst = min(cost(others)) / max(cost(ours))
    told = [f"1/{medians:.1f} by medians", f"1/{min(rounds):.1f} in the worst round"]
    return ", ".join(told + [f"1/{worst:.1f} of the worst pair of runs"])


def table(runs):
    """Markdown: a row for each case and kind, and a line of ratios for each case."""
    cases = {}
    for run in runs:
        if run["counts"]:
            cases.setdefault(run["case"], {}).setdefault(run["kind"], []).append(run)
    names = ["case", "kind", *[title for _, title in COLUMNS], "runs, disturbed"]
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    ratios = []
    for case, kinds in cases.items():
        for kind, found in kinds.items():
            cells = [spread([run[name] for run in found]) for name, _ in COLUMNS]
            disturbed = sum(run["disturbed"] for run in found)
            broken = "" if all(run["whole"] for run in found) else ", MESSAGES LOST"
            row = [case, kind, *cells, f"{len(found)}, {disturbed}{broken}"]
            lines.append("| " + " | ".join(row) + " |")
        if ratio := against(kinds):
            ratios.append(f"{case}: {ratio}")
    return "\n".join(lines + [""] + ratios)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(table([json.loads(line) for line in file]))
