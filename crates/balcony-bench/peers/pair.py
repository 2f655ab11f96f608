"""Two servers of one kind that federate on loopback, and `balcony-bench s2s` between them.

    python3 crates/balcony-bench/peers/pair.py balcony|prosody|ejabberd [--no-archive] [BENCH OPTION…]

Needs the release binaries (or BALCONY_BIN, BENCH_BIN), and Debian's prosody or ejabberd. DNS and
authority are those of tests/federation. Servers log warnings only.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "federation"))
os.environ.setdefault("BALCONY_BIN", str(ROOT / "target" / "release" / "balcony"))
BENCH = os.environ.get("BENCH_BIN", str(ROOT / "target" / "release" / "balcony-bench"))

import _peer  # noqa: E402
from _authority import Authority  # noqa: E402
from _balcony import Balcony  # noqa: E402
from _dns import Dns  # noqa: E402
from _ejabberd import Ejabberd  # noqa: E402
from _prosody import Prosody  # noqa: E402

KINDS = {"balcony": Balcony, "prosody": Prosody, "ejabberd": Ejabberd}
USERS = 50
PASSWORD = "benchmark"

BALCONY = """
[log]
level = "error"
[archive]
default = "{archive}"
[limits]
rate = "1GiB"
burst = "1GiB"
"""


def quiet(server, archive):
    """Takes out of a configuration what only a test needs."""
    text = server.config.read_text()
    if isinstance(server, Balcony):
        limits = BALCONY.format(archive="always" if archive else "never")
        text = text.replace("[[host]]", limits + "[[host]]")
    text = text.replace("log = { debug =", "log = { warn =").replace("loglevel: debug",
                                                                     "loglevel: warning")
    if not archive:
        text = text.replace('"mam", ', "").replace(
            "  mod_mam: {default: always, db_type: mnesia}\n", "").replace("mam: true", "mam: false")
    server.config.write_text(text)


def main():
    kind, *options = sys.argv[1:]
    archive = "--no-archive" not in options
    options = [option for option in options if option != "--no-archive"]
    with contextlib.ExitStack() as cleanup:
        folder = pathlib.Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pair-")))
        dns = Dns({}, "127.0.0.1")
        dns.start()
        cleanup.callback(dns.stop)
        world = _peer.World(folder, cleanup, _peer.CERTIFICATE, Authority(folder / "ca"), dns)
        servers = [KINDS[kind](world, domain) for domain in ("one.example", "two.example")]
        for server in servers:
            quiet(server, archive)
            server.start()
            for number in range(USERS):
                server.add(f"bench{number}", PASSWORD)
        one, two = servers
        line = [BENCH, "s2s", "--label", kind, "--tls", "starttls", "--pairs", str(USERS),
                "--pid", f"{one.process.pid},{two.process.pid}",
                "--port", str(one.starttls), "--domain", one.domain,
                "--other-port", str(two.starttls), "--other-domain", two.domain, *options]
        sys.exit(subprocess.run(line, check=False).returncode)


main()
