"""A small DNS server for tests: answers from a dict, over UDP and TCP, on loopback.

Zone: {"name": {"A": ["127.0.0.2"], "AAAA": ["::1"], "CNAME": "other.example",
"SRV": [[priority, weight, port, "target"]], "TLSA": [[usage, selector, matching, "hex"]]}}.
An SRV target of "." says that the service is not offered. A name not in the zone is NXDOMAIN.

    python3 _dns.py zone.json --listen 127.0.0.1:5300
"""

import argparse
import ipaddress
import json
import socket
import socketserver
import struct
import threading

TYPES = {"A": 1, "CNAME": 5, "AAAA": 28, "SRV": 33, "TLSA": 52}
TTL = 1  # second: a test may change the zone
UDP_LIMIT = 512  # octets, RFC 1035 section 4.2.1: longer answers go by TCP


def encode_name(name):
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def encode_data(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "CNAME":
        return encode_name(value)
    if kind == "SRV":
        return struct.pack("!HHH", *value[:3]) + encode_name(value[3])
    return bytes(value[:3]) + bytes.fromhex(value[3])


def question(packet):
    """The name and type asked for, and where the question ends. No compression in a question."""
    at, labels = 12, []
    while packet[at]:
        length = packet[at]
        if length > 63:
            raise ValueError("a compressed name in a question")
        labels.append(packet[at + 1:at + 1 + length].decode("ascii"))
        at += 1 + length
    (kind,) = struct.unpack_from("!H", packet, at + 1)
    return ".".join(labels).lower(), kind, at + 5


class Dns:
    """The server; `zone` may be changed while it runs. `asked` is what was looked up."""

    def __init__(self, zone, address="127.0.0.1", port=0):
        self.zone, self.asked = zone, []
        dns = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                packet, sock = self.request
                answer = dns.answer(packet, UDP_LIMIT)
                if answer:
                    sock.sendto(answer, self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self):
                while len(head := self.rfile.read(2)) == 2:
                    answer = dns.answer(self.rfile.read(struct.unpack("!H", head)[0]), 65535)
                    if not answer:
                        return
                    self.wfile.write(struct.pack("!H", len(answer)) + answer)

        class TcpServer(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True
            address_family = socket.AF_INET

        self.tcp = TcpServer((address, port), Tcp)
        self.address = self.tcp.server_address
        self.udp = socketserver.ThreadingUDPServer(self.address, Udp)
        self.udp.daemon_threads = True

    def start(self):
        for server in (self.udp, self.tcp):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        for server in (self.udp, self.tcp):
            server.shutdown()
            server.server_close()

    def records(self, name, kind):
        """The answer's records, following CNAME; None for a name that does not exist."""
        found, seen = [], set()
        while name in self.zone and name not in seen:
            seen.add(name)
            entry = self.zone[name]
            if "CNAME" not in entry:
                wanted = next((word for word, number in TYPES.items() if number == kind), "")
                found += [(name, wanted, value) for value in entry.get(wanted, [])]
                return found
            found.append((name, "CNAME", entry["CNAME"]))
            name = entry["CNAME"].rstrip(".").lower()
        return found if name in seen or kind == TYPES["CNAME"] and found else None

    def answer(self, packet, limit):
        try:
            name, kind, end = question(packet)
        except (IndexError, struct.error, ValueError):
            return b""
        self.asked.append((name, kind))
        records = self.records(name, kind)
        code = 3 if records is None else 0
        body = b""
        for owner, word, value in records or []:
            data = encode_data(word, value)
            body += encode_name(owner) + struct.pack("!HHIH", TYPES[word], 1, TTL, len(data)) + data
        count, flags = len(records or []), 0x8580 | code  # an answer, authoritative, recursion
        if end + len(body) > limit:
            body, count, flags = b"", 0, flags | 0x0200  # truncated: ask again by TCP
        return packet[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0) + packet[12:end] + body


def main():
    parser = argparse.ArgumentParser(description="a small DNS server for tests")
    parser.add_argument("zone")
    parser.add_argument("--listen", default="127.0.0.1:0")
    options = parser.parse_args()
    address, port = options.listen.rsplit(":", 1)
    with open(options.zone, encoding="utf-8") as file:
        dns = Dns(json.load(file), address, int(port)).start()
    print("%s:%d" % dns.address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
