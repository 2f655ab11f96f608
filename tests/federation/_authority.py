"""A certificate authority for tests, by the `openssl` command, in a temporary folder."""

import pathlib
import subprocess

VALID, EXPIRED = 30, -1  # days from now


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def new_key(path):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", path)
    path.chmod(0o600)


def srv_name(service, domain):
    """A name in a certificate that is for one service of a domain only (RFC 4985)."""
    return f"otherName:1.3.6.1.5.5.7.8.7;IA5:_{service}.{domain}"


class Authority:
    """Signs for domains. `root` is the PEM file that whoever trusts it is given.

    With a `parent` it is an intermediate authority, and `root` the certificate that the parent
    gave it, which belongs into the chain of whoever it signs for.
    """

    def __init__(self, folder, name="Test authority", parent=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.root, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        new_key(self.key)
        signer = ["-CA", parent.root, "-CAkey", parent.key] if parent else []
        openssl("req", "-x509", "-new", "-key", self.key, "-subj", "/CN=" + name, *signer,
                "-days", VALID, "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-out", self.root)

    def certificate(self, into, host, names=None, days=VALID, self_signed=False):
        """Writes `host`.crt and `host`.key into the folder `into`; returns both paths.

        `names` are the DNS names it holds (default: the host and its rooms' domain), or those of
        `srv_name`; other names make a wrong certificate, days=EXPIRED one that is no longer valid.
        """
        into = pathlib.Path(into)
        into.mkdir(parents=True, exist_ok=True)
        names = names or [host, "conference." + host]
        certificate, key = into / (host + ".crt"), into / (host + ".key")
        request, extensions = into / (host + ".csr"), into / (host + ".ext")
        new_key(key)
        openssl("req", "-new", "-key", key, "-subj", "/CN=" + host, "-out", request)
        extensions.write_text(
            "subjectAltName=" + ",".join(
                name if ":" in name else "DNS:" + name for name in names)
            + "\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature"
            + "\nextendedKeyUsage=serverAuth,clientAuth\n", encoding="ascii")
        signer = ["-signkey", key] if self_signed else [
            "-CA", self.root, "-CAkey", self.key, "-CAcreateserial"]
        openssl("x509", "-req", "-in", request, *signer, "-days", days, "-extfile", extensions,
                "-out", certificate)
        request.unlink()
        extensions.unlink()
        return certificate, key
