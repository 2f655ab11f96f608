"""profanity (C, libstrophe) in a terminal of its own, typed at and read as a person would."""

import os
import subprocess
import tempfile
import time

from _report import need

WIDTH, HEIGHT = 160, 50


class Profanity:
    """One profanity. With a `server` it has an account there and trusts the test's authority;
    without one it is as a person finds it."""

    def __init__(self, folder, cleanup, server=None, jid=None, password=None):
        self.tmux, self.program = need("tmux"), need("profanity")
        self.server, self.cleanup, self.jid = server, cleanup, jid
        self.folder = folder / (f"profanity-{jid}" if server is None else "profanity")
        self.config = self.folder / "config" / "profanity"
        self.data = self.folder / "data" / "profanity"
        self.config.mkdir(parents=True)
        self.data.mkdir(parents=True)
        # OpenSSL's default folder is empty on a machine without ca-certificates.
        authority = server.authority.hashed() if server else self.folder
        (self.config / "profrc").write_text(
            f"[connection]\nautoping=0\ntls.certpath={authority}\n"
            "[logging]\nchlog=false\n[ui]\nsplash=false\nstatuses.console=all\nenc.warn=false\n")
        self.password = password
        # A terminal server that nobody else uses; the path of its socket must be short.
        short = tempfile.TemporaryDirectory(prefix="balcony-tmux-")
        self.socket = f"{short.name}/socket"
        cleanup.callback(short.cleanup)
        self.runs = 0

    def start(self, policy):
        """Starts it; it logs in by STARTTLS (`force`) or direct TLS (`legacy`)."""
        port = self.server.direct if policy == "legacy" else self.server.starttls
        (self.data / "accounts").write_text(
            f"[{self.jid}]\nenabled=true\njid={self.jid}\npassword={self.password}\n"
            f"server=127.0.0.1\nport={port}\nresource=orchard\ntls.policy={policy}\n"
            "presence.last=online\npresence.login=online\npriority.online=0\n")
        return self.open("-a", self.jid)

    def open(self, *options):
        """Starts it, with nobody logged in."""
        self.runs += 1
        log = self.folder / f"profanity-{self.runs}.log"
        places = {"HOME": self.folder, "XDG_CONFIG_HOME": self.config.parent,
                  "XDG_DATA_HOME": self.data.parent, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        words = [f"{name}={value}" for name, value in places.items()]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT),
                   "env", "-u", "DBUS_SESSION_BUS_ADDRESS", *words,
                   self.program, "-l", "DEBUG", "-f", str(log), *options)
        self.cleanup.callback(self.kill)
        self._tmux("pipe-pane", "-o", f"cat >> '{self.folder}/terminal-{self.runs}'")
        return self

    def type(self, line):
        """Types a line."""
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")

    def screen(self):
        """What a person sees."""
        return self._tmux("capture-pane", "-p")

    def expect(self, *texts, seconds=15):
        """Waits until one line of the screen holds all of this; the answer is that line."""
        end = time.monotonic() + seconds
        while True:
            screen = self.screen()
            for line in screen.splitlines():
                if all(text in line for text in texts):
                    return line
            if time.monotonic() > end:
                raise AssertionError(f"profanity does not show {texts}:\n{screen.strip()}")
            time.sleep(0.05)

    def expect_logged(self, *texts, seconds=15):
        """Waits until one line of its log holds all of this, such as a stanza."""
        log = self.folder / f"profanity-{self.runs}.log"
        end = time.monotonic() + seconds
        while True:
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            for line in lines:
                if all(text in line for text in texts):
                    return line
            if time.monotonic() > end:
                raise AssertionError(f"profanity does not log {texts}")
            time.sleep(0.05)

    def quit(self, seconds=10):
        """Types /quit and waits until it is gone."""
        if self._alive():
            self.type("/quit")
        end = time.monotonic() + seconds
        while self._alive():
            if time.monotonic() > end:
                raise AssertionError("profanity does not quit")
            time.sleep(0.05)

    def kill(self):
        """Ends it in any case."""
        if self._alive():
            self._tmux("kill-server")

    def _alive(self):
        return subprocess.run([self.tmux, "-S", self.socket, "has-session"],
                              capture_output=True, check=False).returncode == 0

    def _tmux(self, *words):
        environment = {k: v for k, v in os.environ.items() if k != "TMUX"}
        done = subprocess.run([self.tmux, "-S", self.socket, *words], capture_output=True,
                              text=True, env=environment, check=False)
        if done.returncode:
            raise RuntimeError(f"tmux {words}: {done.stderr}")
        return done.stdout
