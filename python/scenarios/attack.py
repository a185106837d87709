#!/usr/bin/env python3
"""Slow and lying clients by the thousand, under a limit of the address space: the server lives and serves others.

    1,000 gRPC connections announce a message of 2 GB, send its first five bytes and stay
    1,000 connections send one byte a second: gRPC bodies, REST bodies and REST headers
      200 REST connections announce a body of 2 GB, send five bytes and stay

What the server closes is opened again, a bounded number of times. Everything goes to 127.0.0.1.

    SALVER_BIN=target/release/salver target/python/bin/python python/scenarios/attack.py
"""

import argparse
import resource
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import _path  # noqa: F401
import hpack

from salver_testing.http2 import frame, grpc_headers
from salver_testing.load import Load
from salver_testing.models import half_plus, place
from salver_testing.server import Server

MODEL = "half_plus_two"
TWO_GB = 2**31 - 1
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_HEADERS = 4
MAX_TIMES_OPENED = 3


def http2_frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Returns an HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def grpc_opening(address: str) -> bytes:
    """Returns what opens a connection, a call, and a message of 2 GB: its five bytes of prefix."""
    headers = hpack.Encoder().encode(grpc_headers(address))
    return (
        HTTP2_PREFACE
        + http2_frame(SETTINGS, 0, 0, b"")
        + http2_frame(HEADERS, END_HEADERS, 1, headers)
        + http2_frame(DATA, 0, 1, frame(b"", length=TWO_GB))
    )


def rest_opening(address: str) -> bytes:
    """Returns the headers of a prediction with a body of 2 GB."""
    lines = [f"POST /v1/models/{MODEL}:predict HTTP/1.1", f"Host: {address}", f"Content-Length: {TWO_GB}"]
    return "\r\n".join([*lines, "", ""]).encode()


@dataclass
class Attacker:
    """One connection: what it sends at once, and then every second."""

    kind: str
    address: str
    opening: bytes
    drip: Callable[[], bytes] | None
    connection: socket.socket | None = None
    times_opened: int = 0


@dataclass
class Crowd:
    """All attackers, driven by one thread."""

    attackers: list[Attacker]
    opened: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def open(self, attacker: Attacker) -> None:
        """Connects and sends what comes at once."""
        host, port = attacker.address.rsplit(":", 1)
        attacker.times_opened += 1
        try:
            attacker.connection = socket.create_connection((host, int(port)), timeout=5)
            attacker.connection.sendall(attacker.opening)
            attacker.connection.setblocking(False)
            self.opened[attacker.kind] += 1
        except OSError as problem:
            self.refused[f"{attacker.kind}: {problem}"] += 1
            self.forget(attacker)

    def forget(self, attacker: Attacker) -> None:
        """Closes a connection."""
        if attacker.connection is not None:
            attacker.connection.close()
            attacker.connection = None

    def step(self, attacker: Attacker) -> None:
        """Takes in what the server says, and sends one byte more."""
        if attacker.connection is None:
            if attacker.times_opened < MAX_TIMES_OPENED:
                self.open(attacker)
            return
        try:
            while attacker.connection.recv(65536):
                pass
            raise ConnectionResetError
        except BlockingIOError:
            pass
        except OSError:
            self.closed[attacker.kind] += 1
            self.forget(attacker)
            return
        if attacker.drip is None:
            return
        try:
            attacker.connection.send(attacker.drip())
        except BlockingIOError:
            pass
        except OSError:
            self.closed[attacker.kind] += 1
            self.forget(attacker)

    def run(self) -> None:
        """Goes round, once a second, until it is stopped."""
        while not self.stop.is_set():
            started = time.monotonic()
            for attacker in self.attackers:
                if self.stop.is_set():
                    break
                self.step(attacker)
            self.stop.wait(max(0.0, 1 - (time.monotonic() - started)))

    def num_open(self) -> int:
        """Returns how many connections are open, as far as is known."""
        return sum(attacker.connection is not None for attacker in self.attackers)


def attackers(server: Server, scale: float) -> Iterator[Attacker]:
    """Returns every attacker."""
    grpc_, rest = server.grpc, server.rest

    def one_byte_frame() -> bytes:
        return http2_frame(DATA, 0, 1, b"\0")

    def one_byte() -> bytes:
        return b" "

    def header_byte() -> bytes:
        return b"x"

    thousand = int(1000 * scale)
    for _ in range(thousand):
        yield Attacker("grpc announces 2 GB", grpc_, grpc_opening(grpc_), None)
    for number in range(thousand):
        match number % 3:
            case 0:
                yield Attacker("grpc body, 1 byte/s", grpc_, grpc_opening(grpc_), one_byte_frame)
            case 1:
                yield Attacker("REST body, 1 byte/s", rest, rest_opening(rest), one_byte)
            case 2:
                yield Attacker("REST headers, 1 byte/s", rest, b"GET / HTTP/1.1\r\nX-Slow: ", header_byte)
    for _ in range(int(200 * scale)):
        yield Attacker("REST announces 2 GB", rest, rest_opening(rest) + b"12345", None)


def main() -> int:
    """Plays the scenario and judges it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the attack (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the attackers (default: %(default)s)")
    parser.add_argument("--address-space", type=int, default=2**30, help="bytes (default: %(default)s)")
    options = parser.parse_args()
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        parser.error("prlimit (util-linux) is not installed")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    problems = []
    with tempfile.TemporaryDirectory() as name:
        place(Path(name), MODEL, "1", half_plus(2))
        server = Server(Path(name), prefix=[prlimit, f"--as={options.address_space}"]).wait_ready()
        before = server.memory_bytes()
        crowd = Crowd(list(attackers(server, options.scale)))
        thread = threading.Thread(target=crowd.run, daemon=True)
        thread.start()
        # New connections all the time, so that a server that no longer accepts is noticed.
        with Load(server, MODEL, num_rest=3, num_grpc=3, requests_per_connection=100) as load:
            time.sleep(options.seconds)
        print(f"attackers open: {crowd.num_open()} of {len(crowd.attackers)}")
        print(f"opened: {dict(crowd.opened)}\nclosed by the server: {dict(crowd.closed)}")
        print(f"not connected: {dict(crowd.refused)}")
        print(f"others meanwhile: {load.report}")
        problems += load.report.failures
        if not server.is_alive:
            problems.append(f"the server died with {server.process.returncode}:\n{server.log_text(20)}")
        else:
            fields = {"at the end": "VmRSS", "at most": "VmHWM", "address space at most": "VmPeak"}
            memory = ", ".join(f"{server.memory_bytes(key) / 1e6:.1f} MB {name}" for name, key in fields.items())
            print(f"resident memory: {before / 1e6:.1f} MB before, {memory}")
            started = time.monotonic()
            code = server.stop()
            print(f"SIGTERM with the attackers still there: exit code {code} after {time.monotonic() - started:.1f} s")
            if code != 0:
                problems.append(f"exit code {code}")
        crowd.stop.set()
        thread.join()
    if load.report.num_requests == 0:
        problems.append("others got nothing")
    print("\n".join([f"PROBLEM: {problem}" for problem in problems]) or "all as it has to be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
