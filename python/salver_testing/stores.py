"""Emulators of object stores in this process, behind a gate that can be shut: the store is then away."""

import logging
import select
import socket
import threading
from contextlib import suppress
from typing import Protocol, Self
from urllib.parse import quote

import requests

BUCKET = "bucket"
CHUNK_BYTES = 64 * 1024
KEY, SECRET = "an-access-key", "a-secret-that-nobody-may-see"


class Gate:
    """Passes connections on to a port of this machine, unless it is shut."""

    def __init__(self, port: int) -> None:
        self.target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.is_shut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        """Cuts every connection, and each new one at once."""
        self.is_shut = True
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def reopen(self) -> None:
        """Lets connections through again."""
        self.is_shut = False

    def close(self) -> None:
        """Ends for good."""
        self.shut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.is_shut:
                    near.close()
                    continue
                threading.Thread(target=self._pass, args=(near,), daemon=True).start()

    def _pass(self, near: socket.socket) -> None:
        with suppress(OSError), near, socket.create_connection(("127.0.0.1", self.target)) as far:
            with self._lock:
                self._open |= {near, far}
            try:
                other = {near: far, far: near}
                while True:
                    for end in select.select([near, far], [], [])[0]:
                        data = end.recv(CHUNK_BYTES)
                        if not data:
                            return
                        other[end].sendall(data)
            finally:
                with self._lock:
                    self._open -= {near, far}


class Store(Protocol):
    """A bucket that objects are put into behind the gate's back, and how a server is led to it."""

    scheme: str
    gate: Gate

    def put(self, name: str, content: bytes) -> None:
        """Uploads an object."""

    def environment(self) -> dict[str, str]:
        """Returns the variables that a server finds it by."""


class _Emulated:
    """What both emulators have in common."""

    scheme: str
    gate: Gate

    def uri(self, path: str) -> str:
        """Returns the address of a base path in the bucket."""
        return f"{self.scheme}://{BUCKET}/{path}"

    def prefix(self, **more: str) -> list[str]:
        """Returns what is put before a command so that it finds the store."""
        variables = self.environment() | more
        return ["env", *(f"{name}={value}" for name, value in variables.items())]

    def environment(self) -> dict[str, str]:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.close()
        self.stop()


class S3(_Emulated):
    """Amazon S3, by moto."""

    scheme = "s3"

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        _, port = self._server.get_host_and_port()
        self._url = f"http://127.0.0.1:{port}/{BUCKET}"
        self.gate = Gate(port)
        requests.put(self._url, timeout=30).raise_for_status()

    def put(self, name: str, content: bytes) -> None:
        requests.put(f"{self._url}/{quote(name)}", data=content, timeout=30).raise_for_status()

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.gate.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def stop(self) -> None:
        self._server.stop()


class Gcs(_Emulated):
    """Google Cloud Storage, by gcp-storage-emulator."""

    scheme = "gs"

    def __init__(self) -> None:
        from gcp_storage_emulator.server import create_server

        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
        self._server.start()
        self._url = f"http://127.0.0.1:{port}"
        self.gate = Gate(port)

    def put(self, name: str, content: bytes) -> None:
        url = f"{self._url}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(name, safe='')}"
        kind = {"Content-Type": "application/octet-stream"}
        requests.post(url, data=content, headers=kind, timeout=30).raise_for_status()

    def environment(self) -> dict[str, str]:
        return {"STORAGE_EMULATOR_HOST": f"127.0.0.1:{self.gate.port}"}

    def stop(self) -> None:
        self._server.stop()


STORES = {"s3": S3, "gcs": Gcs}
