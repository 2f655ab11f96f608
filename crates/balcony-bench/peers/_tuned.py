"""The servers of tests/federation, configured to do their best under load: what the scripts beside
this file do for one server alone, for two that federate.

Balcony keeps archives in SQLite. ejabberd keeps them in PostgreSQL, as its large sites do: SQLite
needs a driver package just as much (erlang-p1-sqlite3), and has one writer that waits for the disk
with each message. Prosody keeps them in files (its default, never synced), or in SQLite.
"""

import glob
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "federation"))
os.environ.setdefault("BALCONY_BIN", str(ROOT / "target" / "release" / "balcony"))
BENCH = os.environ.get("BENCH_BIN", str(ROOT / "target" / "release" / "balcony-bench"))

from _balcony import Balcony  # noqa: E402
from _ejabberd import Ejabberd  # noqa: E402
from _peer import free_ports  # noqa: E402
from _prosody import Prosody  # noqa: E402
from _report import Skipped  # noqa: E402

PASSWORD = "benchmark"

# Nothing holds the load back; accounts with as many rounds of SCRAM as the peers have.
BALCONY = """
[log]
level = "error"
[auth]
iterations = 4096
[archive]
default = "{archive}"
[limits]
rate = "1GiB"
burst = "1GiB"
[[host]]
"""

# What Prosody's documentation recommends for many connections, and in-band registration, since
# prosodyctl takes a third of a second for each account. No "limits": nothing holds the load back.
PROSODY = """
network_backend = "epoll"
network_settings = { tcp_backlog = 4096, opportunistic_writes = true, nagle = false }
gc = { mode = "generational" }
allow_registration = true
-- At the default of 10,000 each message costs the removal of another.
storage_archive_item_limit = 100000000
"""

PROSODY_SQLITE = """
default_storage = "internal"
storage = { archive = "sql" }
sql = { driver = "SQLite3", database = "archive.sqlite" }
"""

EJABBERD_SQL = """
sql_type: pgsql
sql_server: "127.0.0.1"
sql_port: {port}
sql_database: ejabberd
sql_username: ejabberd
sql_password: ejabberd
sql_pool_size: 10
"""

# A commit is on the disk when it is answered, as PostgreSQL comes; and what its documentation
# advises: a cache that fits the machine, checkpoints that are rare.
POSTGRESQL = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = on
synchronous_commit = on
shared_buffers = 1GB
max_wal_size = 4GB
checkpoint_timeout = 15min
"""


def edit(path, *changes):
    """Replaces texts in a file, each of which has to be there."""
    text = path.read_text()
    for old, new in changes:
        if old not in text:
            raise RuntimeError(f"{path.name} has no {old!r}: the tests' configuration has changed")
        text = text.replace(old, new)
    path.write_text(text)


class TunedBalcony(Balcony):
    """Archives in SQLite."""

    def __init__(self, world, domain, archive):
        super().__init__(world, domain)
        limits = BALCONY.format(archive="always" if archive else "never")
        edit(self.config, ("[[host]]", limits))

    def pids(self):
        return [self.process.pid]

    def accounts(self, count):
        for number in range(count):
            self.add(f"bench{number}", PASSWORD)


class TunedProsody(Prosody):
    """Archives in files."""

    sqlite = False

    def __init__(self, world, domain, archive):
        super().__init__(world, domain)
        edit(self.config, ("log = { debug =", "log = { warn ="),
             ("VirtualHost", PROSODY + "VirtualHost"), ('"roster",', '"roster", "register_ibr",'))
        if not archive:
            edit(self.config, ('"mam", ', ""))
        elif self.sqlite:
            self.use_sqlite()

    def use_sqlite(self):
        if not glob.glob("/usr/lib/*/lua/*/dbd/sqlite3.so"):
            raise Skipped("Prosody has no SQLite (Debian package lua-dbi-sqlite3)")
        edit(self.config, ('storage = "internal"\n', PROSODY_SQLITE))
        # 0.12 has no setting for the journal, but a database keeps it: without it a message takes
        # several syncs instead of one. Of Prosody's own it is `sqlite_tune`, from 13.0 on.
        database = sqlite3.connect(self.folder / "data" / "archive.sqlite")
        database.execute("PRAGMA journal_mode = WAL")
        database.close()

    def pids(self):
        return [self.process.pid]

    def accounts(self, count):
        subprocess.run(
            [BENCH, "accounts", "--port", str(self.starttls), "--domain", self.domain,
             "--tls", "starttls", "--count", str(count), "--password", PASSWORD],
            check=True, stdout=subprocess.DEVNULL)


class TunedProsodySqlite(TunedProsody):
    """Archives in SQLite."""

    sqlite = True


class TunedEjabberd(Ejabberd):
    """Archives in a PostgreSQL of its own, whose work is this server's."""

    def __init__(self, world, domain, archive):
        super().__init__(world, domain)
        edit(self.config, ("loglevel: debug", "loglevel: error"))
        self.database = None
        if archive:
            self.database = PostgreSql(world.cleanup)
            sql = EJABBERD_SQL.format(port=self.database.port)
            edit(self.config, ("db_type: mnesia", "db_type: sql"), ("listen:\n", sql + "listen:\n"))
        else:
            edit(self.config, ("  mod_mam: {default: always, db_type: mnesia}\n", ""),
                 ("mam: true", "mam: false"))

    def launch(self, line, seconds, **options):
        """With processes and sockets enough, and kernel poll where it is not the default yet."""
        if self.database:
            self.database.start()
        more = ["+K", "true", "+P", "250000", "+Q", "65536"]
        return super().launch(line[:2] + more + line[2:], seconds, **options)

    def pids(self):
        return [self.process.pid] + ([self.database.process.pid] if self.database else [])

    def accounts(self, count):
        for number in range(count):
            self.add(f"bench{number}", PASSWORD)


class PostgreSql:
    """A cluster in a folder of its own, on loopback, with ejabberd's tables."""

    def __init__(self, cleanup):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=version)
        schema = pathlib.Path("/usr/share/ejabberd/sql/pg.sql")
        driver = glob.glob("/usr/lib/erlang/lib/p1_pgsql-*")
        if not found or not (driver or glob.glob("/usr/lib/*/p1_pgsql-*")):
            raise Skipped("no PostgreSQL for ejabberd (packages postgresql, erlang-p1-pgsql)")
        self.bin, self.schema = pathlib.Path(found[-1]), schema
        (self.port,) = free_ports(1)
        self.process = None
        # Beside the other folders, which the database's user may not enter.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pair-sql-"))
        cleanup.callback(shutil.rmtree, self.folder, ignore_errors=True)
        cleanup.callback(self.stop)

    def start(self):
        """Makes it and starts it."""
        # PostgreSQL does not run as root.
        self.user = {}
        if os.geteuid() == 0:
            self.user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.folder, "postgres", "postgres")
        data, log = self.folder / "data", open(self.folder / "log", "ab")
        self.run("initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--locale", "C", stdout=log)
        with open(data / "postgresql.conf", "a", encoding="ascii") as settings:
            settings.write(POSTGRESQL.format(port=self.port, folder=self.folder))
        self.process = subprocess.Popen(
            [self.bin / "postgres", "-D", data], cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, **self.user)
        end = time.monotonic() + 30
        while self.run("pg_isready", "-q", check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("PostgreSQL does not start")
            time.sleep(0.1)
        psql = ["psql", "-q", "-v", "ON_ERROR_STOP=1"]
        self.run(*psql, "-d", "postgres", "-c", "CREATE ROLE ejabberd LOGIN",
                 "-c", "CREATE DATABASE ejabberd OWNER ejabberd")
        with open(self.schema, "rb") as schema:
            self.run(*psql, "-d", "ejabberd", "-U", "ejabberd", stdin=schema)

    def run(self, program, *words, check=True, **options):
        environment = dict(os.environ, PGHOST=str(self.folder), PGPORT=str(self.port))
        return subprocess.run([self.bin / program, *words], check=check, cwd=self.folder,
                              env=environment, **self.user, **options)

    def stop(self):
        """Without waiting for its clients to go."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)


def version(folder):
    """Sorts 9 before 15."""
    return float(pathlib.Path(folder).parent.name)


KINDS = {"balcony": TunedBalcony, "ejabberd": TunedEjabberd, "prosody": TunedProsody,
         "prosody-sqlite": TunedProsodySqlite}
