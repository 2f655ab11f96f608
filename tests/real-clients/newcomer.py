"""Somebody who never saw the project follows README.md: the server without a configuration, two
accounts, two profanities, a contact, a chat, and the example in Python."""

import contextlib
import os
import pty
import re
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

from _profanity import Profanity
from _report import Skipped, need, run, test

README = Path(__file__).parents[2] / "README.md"
PORTS = (5222, 5223)
PASSWORD = "wherefore art thou"


def wait(what, happens, seconds=20):
    """Waits until it happens."""
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} seconds: {what}")
        time.sleep(0.05)


def mode(path):
    """Permissions, as ls shows them."""
    return oct(stat.S_IMODE(path.stat().st_mode))


def serve(folder, cleanup):
    log = folder / "server.log"
    with open(log, "wb") as out:
        server = subprocess.Popen([os.environ["BALCONY_BIN"], "serve"], cwd=folder / "empty",
                                  stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    cleanup.callback(lambda: server.poll() is None and (server.kill(), server.wait()))
    wait("it tells how to add an account", lambda: "add an account" in log.read_text())
    return server, log.read_text()


def looked_at(folder, told):
    data = folder / "empty" / "balcony-data"
    with test("it tells the addresses and how to add an account"):
        for text in ("serves localhost", "127.0.0.1:5222", "127.0.0.1:5223", "balcony user add"):
            assert text in told, told
    with test("it listens on loopback only"):
        listening = subprocess.run([need("ss", "iproute2"), "-Hltn"], capture_output=True, text=True)
        lines = [line.split()[3] for line in listening.stdout.splitlines()]
        lines = [line for line in lines if line.endswith((":5222", ":5223"))]
        assert sorted(lines) == ["127.0.0.1:5222", "127.0.0.1:5223"], listening.stdout
    with test("secrets and the admin socket are for their owner alone"):
        assert mode(data) == "0o700", mode(data)
        for path in (data / "admin.sock", data / "certs" / "localhost.key"):
            assert mode(path) == "0o600", f"{path}: {mode(path)}"
        for path in data.rglob("*"):
            assert path.is_dir() or not path.stat().st_mode & 0o077, f"{path}: {mode(path)}"
    with test("the certificate is for localhost, by itself, and good for a while"):
        lines = openssl(data, "-subject", "-issuer", "-ext", "subjectAltName", "-checkend", "2592000")
        subject, issuer = re.findall(r"(?:subject|issuer)=(.*)", lines)
        assert subject == issuer and "DNS:localhost" in lines and "will not expire" in lines, lines


def openssl(data, *options):
    line = [need("openssl"), "x509", "-in", data / "certs" / "localhost.crt", "-noout", *options]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout


def add(folder, jid):
    """`balcony user add` on a terminal, the password typed."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder / "empty")
        os.execv(os.environ["BALCONY_BIN"], ["balcony", "user", "add", jid])
    shown = b""
    with contextlib.suppress(OSError):  # How a terminal's end shows itself.
        while part := os.read(terminal, 4096):
            shown += part
            if part.rstrip().endswith(b":"):
                time.sleep(0.3)  # Nobody types before the eye has read.
                os.write(terminal, PASSWORD.encode() + b"\n")
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert status == 0, shown
    assert PASSWORD.encode() not in shown, "the password is shown"


def connected(profanity, jid, data):
    """Logs in as README tells, comparing the fingerprint on the way."""
    profanity.open()
    profanity.expect("Type '/help'")
    profanity.type(f"/connect {jid} server 127.0.0.1 port 5222")
    profanity.expect("Enter password")
    profanity.type(PASSWORD)
    shown = profanity.expect("Fingerprint")
    ours = openssl(data, "-fingerprint", "-sha1").split("=")[1].strip()
    assert ours.replace(":", "").lower() in shown.replace(":", "").lower(), f"{ours}: {shown}"
    profanity.type("/tls always")
    profanity.expect(f"{jid}/", "logged in successfully")


def chat(folder, cleanup):
    data = folder / "empty" / "balcony-data"
    juliet = Profanity(folder, cleanup, jid="juliet")
    romeo = Profanity(folder, cleanup, jid="romeo")
    with test("profanity shows the fingerprint that openssl shows, and logs in"):
        connected(juliet, "juliet@localhost", data)
        connected(romeo, "romeo@localhost", data)
    with test("the two become contacts"):
        juliet.type("/sub request romeo@localhost")
        romeo.expect("Received authorization request", "juliet@localhost")
        romeo.type("/sub allow juliet@localhost")
        juliet.expect("++ romeo@localhost", "online")
        romeo.type("/sub request juliet@localhost")
        juliet.expect("Received authorization request", "romeo@localhost")
        juliet.type("/sub allow romeo@localhost")
        romeo.expect("++ juliet@localhost", "online")
    with test("and talk"):
        juliet.type("/msg romeo@localhost Wherefore art thou?")
        romeo.expect("<< chat message: juliet@localhost")
        romeo.type("/win 2")
        romeo.expect("Wherefore art thou?")
    romeo.quit()
    juliet.quit()
    with test("the example in Python runs as it stands"):
        example = re.search(r"```python\n(.*?)```", README.read_text(), re.S).group(1)
        (folder / "example.py").write_text(example.replace("the password", PASSWORD))
        done = subprocess.run([sys.executable, folder / "example.py"], cwd=folder / "empty",
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
    with test("what it said waits for romeo"):
        # It remembers the certificate.
        romeo.open()
        romeo.expect("Type '/help'")
        romeo.type("/connect romeo@localhost server 127.0.0.1 port 5222")
        romeo.expect("Enter password")
        romeo.type(PASSWORD)
        romeo.expect("<< chat message: juliet@localhost")
        romeo.type("/win 2")
        romeo.expect("Good night, good night!")
        romeo.quit()


def main(folder, cleanup):
    for port in PORTS:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            raise Skipped(f"port {port} is in use, where README's server listens")
    (folder / "empty").mkdir()
    server, told = serve(folder, cleanup)
    looked_at(folder, told)
    with test("accounts are added with a typed password that is not shown"):
        for jid in ("juliet@localhost", "romeo@localhost"):
            add(folder, jid)
    chat(folder, cleanup)
    with test("Ctrl-C ends it"):
        server.send_signal(2)
        assert server.wait(20) == 0


run(main)
