"""A server of the test's own: authority, certificates, configuration, process. Loopback only."""

import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

from _report import need


class Authority:
    """A certificate authority that nobody else trusts."""

    def __init__(self, folder, name="ca"):
        self.openssl = need("openssl")
        self.folder = folder / name
        self.folder.mkdir()
        self.certificate, self.key = self.folder / "ca.crt", self.folder / "ca.key"
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                  "-days", "2", "-subj", f"/CN=Friar Laurence {name}",
                  "-addext", "basicConstraints=critical,CA:TRUE",
                  "-addext", "keyUsage=critical,keyCertSign",
                  "-keyout", self.key, "-out", self.certificate)

    def certify(self, host, folder):
        """Writes `<host>.crt` and `<host>.key`, where the server looks for them."""
        folder.mkdir(exist_ok=True)
        request, extensions = self.folder / f"{host}.csr", self.folder / f"{host}.ext"
        fresh = folder / f"{host}.crt.new"
        self._run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                  "-subj", f"/CN={host}", "-keyout", folder / f"{host}.key", "-out", request)
        extensions.write_text(f"subjectAltName=DNS:{host}\nextendedKeyUsage=serverAuth\n")
        self._run("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                  "-CAcreateserial", "-days", "1", "-extfile", extensions, "-out", fresh)
        fresh.rename(folder / f"{host}.crt")

    def hashed(self):
        """A folder in the form of OpenSSL's CApath."""
        folder = self.folder / "hashed"
        folder.mkdir(exist_ok=True)
        (folder / "ca.pem").write_bytes(self.certificate.read_bytes())
        self._run("rehash", folder)
        return folder

    def _run(self, *arguments):
        done = subprocess.run([self.openssl, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")


def free_ports(count):
    """Ports that nobody listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Server:
    """Balcony with a configuration for this test; it listens for components if they are wanted."""

    def __init__(self, folder, cleanup, hosts=None, extra="", components=False):
        self.folder, self.cleanup = folder, cleanup
        self.authority = Authority(folder)
        self.certificates = folder / "certs"
        self.starttls, self.direct, self.components = free_ports(3)
        listen = f'"127.0.0.1:{self.components}"' if components else ""
        self.process = None
        hosts = hosts or {"localhost": ""}
        for host in hosts:
            self.authority.certify(host, self.certificates)
        # The path of a UNIX socket holds 107 bytes at most, whatever the folder's name.
        short = tempfile.TemporaryDirectory(prefix="balcony-")
        cleanup.callback(short.cleanup)
        self.admin = f"{short.name}/admin.sock"
        sections = "".join(f'[[host]]\nname = "{name}"\n{keys}\n' for name, keys in hosts.items())
        self.config = folder / "balcony.toml"
        self.config.write_text(
            f'data_dir = "{folder}/data"\n'
            f'[listen]\nc2s = ["127.0.0.1:{self.starttls}"]\n'
            f'c2s_tls = ["127.0.0.1:{self.direct}"]\n'
            f's2s = []\ns2s_tls = []\ncomponents = [{listen}]\nadmin = "{self.admin}"\n'
            f'[tls]\ndir = "{self.certificates}"\n{sections}{extra}')

    def start(self, seconds=20):
        """Starts it and waits until it answers."""
        log = open(self.folder / "server.log", "ab")
        self.process = subprocess.Popen(
            [os.environ["BALCONY_BIN"], "serve", "--config", self.config],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        self.cleanup.callback(self.kill)
        end = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}")
            try:
                # The last thing that it opens.
                with socket.socket(socket.AF_UNIX) as admin:
                    admin.connect(self.admin)
                return self
            except OSError:
                if time.monotonic() > end:
                    raise RuntimeError("the server does not answer") from None
                time.sleep(0.05)

    def kill(self):
        """Ends it in any case."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def terminate(self, seconds=30):
        """SIGTERM; the answer is its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def command(self, *words, stdin=None):
        """An admin command; the answer is its output."""
        line = [os.environ["BALCONY_BIN"], *words, "--config", self.config]
        done = subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def add(self, jid, password):
        """Makes an account."""
        self.command("user", "add", jid, "--password-file", "-", stdin=password + "\n")

    def tls(self, host="localhost"):
        """A TLS connection to the direct port that trusts the authority alone."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        plain = socket.create_connection(("127.0.0.1", self.direct), 10)
        return context.wrap_socket(plain, server_hostname=host)
