"""Certificates for one test, and the file that gives them to a server."""

import json
from dataclasses import dataclass
from pathlib import Path

import grpc
import trustme

from salver_testing.clients import Grpc


@dataclass(frozen=True)
class Pair:
    """A certificate with those that lead to its root, and its key, as PEM."""

    chain: str
    key: str


def issue(authority: trustme.CA, **options: object) -> Pair:
    """Returns a certificate for this machine."""
    issued = authority.issue_cert("localhost", "127.0.0.1", **options)
    chain = "".join(blob.bytes().decode() for blob in issued.cert_chain_pems)
    return Pair(chain, issued.private_key_pem.bytes().decode())


def pem(authority: trustme.CA) -> bytes:
    """Returns what clients have to trust."""
    return authority.cert_pem.bytes()


def write_ssl_config(path: Path, pair: Pair, clients: trustme.CA | None = None) -> None:
    """Writes an `ssl_config_file`, at once as secret stores do; with `clients`, theirs are verified."""
    lines = [f"server_key: {json.dumps(pair.key)}", f"server_cert: {json.dumps(pair.chain)}"]
    if clients:
        lines += [f"custom_ca: {json.dumps(pem(clients).decode())}", "client_verify: true"]
    draft = path.with_suffix(".new")
    draft.write_text("\n".join(lines))
    draft.rename(path)


class SecureGrpc(Grpc):
    """TensorFlow Serving's services over a secure channel."""

    def __init__(self, address: str, authority: trustme.CA, shows: Pair | None = None) -> None:
        identity = (shows.key.encode(), shows.chain.encode()) if shows else (None, None)
        credentials = grpc.ssl_channel_credentials(pem(authority), *identity)
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.ssl_target_name_override", "localhost")]
        self.use(grpc.secure_channel(address, credentials, options))
