"""TLS: certificates as `ssl_config_file` holds them, asked for by gRPC's and HTTP's usual clients."""

import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest
import requests
import trustme

from salver_testing.certificates import Pair, SecureGrpc, issue, pem, write_ssl_config
from salver_testing.clients import Grpc
from salver_testing.models import half_plus, place
from salver_testing.server import Server, binary, environment
from salver_testing.tensors import make_tensor

PATIENCE_SECONDS = 30.0
BODY = b'{"instances": [1.0]}'


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Whoever signs the server's certificates."""
    return trustme.CA()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, with a model in it."""
    with TemporaryDirectory(prefix="salver-") as folder:
        place(Path(folder) / "models", "half", "1", half_plus(2))
        yield Path(folder)


def serve(folder: Path, pair: Pair, *arguments: str, clients: trustme.CA | None = None) -> Server:
    """Starts a server with certificates."""
    write_ssl_config(folder / "ssl.cfg", pair, clients)
    return Server(folder / "models", f"--ssl_config_file={folder / 'ssl.cfg'}", *arguments)


def ask(client: Grpc) -> float:
    """Predicts for 1.0."""
    with client:
        return client.predict("half", x=make_tensor([1.0])).outputs["y"].float_val[0]


def refusal(client: Grpc) -> grpc.RpcError:
    """Returns how a call fails."""
    with client, pytest.raises(grpc.RpcError) as error:
        client.predict("half", timeout=10, x=make_tensor([1.0]))
    return error.value


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Waits for what takes a moment."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def serial(address: str, authority: trustme.CA) -> str:
    """Returns the number of the certificate that new connections are shown."""
    with connect(address, authority) as connection:
        return connection.getpeercert()["serialNumber"]


def connect(address: str, authority: trustme.CA) -> ssl.SSLSocket:
    """Opens a secure connection."""
    host, port = address.rsplit(":", 1)
    context = ssl.create_default_context(cadata=pem(authority).decode())
    return context.wrap_socket(socket.create_connection((host, int(port)), timeout=10), server_hostname=host)


@pytest.mark.parametrize("kind", [trustme.KeyType.RSA, trustme.KeyType.ECDSA])
def test_grpc_is_secured_and_rest_stays_plain(folder: Path, authority: trustme.CA, kind: trustme.KeyType) -> None:
    path = folder / "grpc.sock"
    with serve(folder, issue(authority, key_type=kind), f"--grpc_socket_path={path}") as server:
        assert ask(SecureGrpc(server.grpc, authority)) == 2.5
        assert ask(SecureGrpc(f"unix:{path}", authority)) == 2.5
        answer = requests.post(f"http://{server.rest}/v1/models/half:predict", BODY, timeout=10)
        assert answer.json() == {"predictions": [2.5]}


def test_rest_is_secured_if_a_flag_says_so(folder: Path, authority: trustme.CA) -> None:
    verify = authority_file(folder, authority)
    with serve(folder, issue(authority), "--rest_api_ssl", "--admin_port=auto") as server:
        url = f"https://{server.rest}/v1/models/half:predict"
        assert requests.post(url, BODY, verify=verify, timeout=10).json() == {"predictions": [2.5]}
        with pytest.raises(requests.exceptions.SSLError):
            requests.post(url, BODY, timeout=10)
        assert requests.get(f"http://{server.serving['admin']}/readyz", timeout=10).text == "ready\n"


def authority_file(folder: Path, authority: trustme.CA) -> str:
    """Writes what clients have to trust."""
    path = folder / "ca.pem"
    path.write_bytes(pem(authority))
    return str(path)


def test_the_server_shows_what_leads_to_the_root(folder: Path, authority: trustme.CA) -> None:
    between = authority.create_child_ca()
    with serve(folder, issue(between)) as server:
        assert ask(SecureGrpc(server.grpc, authority)) == 2.5


def test_whoever_trusts_another_authority_or_nobody_is_not_served(folder: Path, authority: trustme.CA) -> None:
    with serve(folder, issue(authority)) as server:
        error = refusal(SecureGrpc(server.grpc, trustme.CA()))
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert "CERTIFICATE_VERIFY_FAILED" in error.details()
        assert ask(SecureGrpc(server.grpc, authority)) == 2.5


def test_clients_are_verified_if_the_file_says_so(folder: Path, authority: trustme.CA) -> None:
    clients = trustme.CA()
    with serve(folder, issue(authority), clients=clients) as server:
        assert ask(SecureGrpc(server.grpc, authority, issue(clients))) == 2.5
        for shows, reason in ((None, "peer sent no certificates"), (issue(trustme.CA()), "UnknownIssuer")):
            assert refusal(SecureGrpc(server.grpc, authority, shows)).code() == grpc.StatusCode.UNAVAILABLE
            wait_until(lambda reason=reason: reason in server.log_text(), f"the log says {reason}")


def test_an_expired_certificate_is_told_on_both_sides(folder: Path, authority: trustme.CA) -> None:
    expired = issue(authority, not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2021, 1, 1, tzinfo=UTC))
    with serve(folder, expired) as server:
        assert "certificate has expired" in refusal(SecureGrpc(server.grpc, authority)).details()
        assert "server_cert expired" in server.log_text()


def test_plain_text_is_answered_at_once(folder: Path, authority: trustme.CA) -> None:
    with serve(folder, issue(authority), "--rest_api_ssl") as server:
        begin = time.monotonic()
        for address in (server.rest, server.grpc):
            answer = requests.post(f"http://{address}/v1/models/half:predict", b"x" * 100_000, timeout=10)
            assert answer.status_code == 400
            assert "this port speaks TLS" in answer.json()["error"]
        assert refusal(Grpc(server.grpc)).code() == grpc.StatusCode.UNAVAILABLE
        assert time.monotonic() - begin < 5
        assert ask(SecureGrpc(server.grpc, authority)) == 2.5


def is_closed(connection: socket.socket) -> bool:
    """Waits for the other side's end; with bytes that it did not read it is a reset."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def test_slow_handshakes_stop_nobody(folder: Path, authority: trustme.CA) -> None:
    arguments = ["--max_connections=40", "--header-timeout=3s"]
    with serve(folder, issue(authority), *arguments) as server:
        host, port = server.grpc.rsplit(":", 1)
        slow = [socket.create_connection((host, int(port)), timeout=10) for _ in range(100)]
        for connection in slow[::2]:
            connection.sendall(b"\x16\x03\x01")
        begin = time.monotonic()
        for _ in range(10):
            assert ask(SecureGrpc(server.grpc, authority)) == 2.5
        assert time.monotonic() - begin < 3, "the time-out of handshakes was waited for"
        for connection in slow:
            assert is_closed(connection), "a slow handshake is closed in the end"
            connection.close()


def test_new_certificates_are_taken_up_and_bad_ones_are_not(folder: Path, authority: trustme.CA) -> None:
    first, second = issue(authority), issue(authority)
    path = folder / "ssl.cfg"
    with serve(folder, first) as server, SecureGrpc(server.grpc, authority) as client:
        assert client.predict("half", x=make_tensor([1.0]))
        before = serial(server.grpc, authority)
        write_ssl_config(path, second)
        wait_until(lambda: serial(server.grpc, authority) != before, "the second certificate is shown")
        after = serial(server.grpc, authority)
        write_ssl_config(path, Pair(first.chain, second.key))
        wait_until(lambda: "new certificates are not taken up" in server.log_text(), "the log complains")
        assert "server_key does not belong to the first certificate" in server.log_text()
        assert serial(server.grpc, authority) == after
        path.unlink()
        wait_until(lambda: server.log_text().count("not taken up") == 2, "the log complains again")
        write_ssl_config(path, first)
        wait_until(lambda: serial(server.grpc, authority) == before, "the first certificate is shown again")
        assert client.predict("half", x=make_tensor([1.0])), "the first connection goes on"


def test_a_file_that_cannot_be_used_fails_the_start(folder: Path, authority: trustme.CA) -> None:
    pair, other = issue(authority), issue(authority)
    rows = [
        (Pair(pair.chain, other.key), "server_key does not belong to the first certificate of server_cert"),
        (Pair("", pair.key), "server_cert is empty"),
        (Pair(pair.chain, "/etc/key.pem"), "server_key holds what looks like a path"),
    ]
    for wrong, message in rows:
        server = serve(folder, wrong)
        assert server.process.wait(PATIENCE_SECONDS) == 78
        wait_until(lambda message=message, server=server: message in server.log_text(), message)
    without = subprocess.run(
        [binary(), "serve", folder / "models", "--rest_api_ssl"], env=environment(), capture_output=True, text=True
    )
    assert without.returncode == 64
    assert "--rest_api_ssl: there are no certificates; --ssl_config_file names a file of them" in without.stderr


def test_salver_predict_talks_to_secured_servers(folder: Path, authority: trustme.CA) -> None:
    clients = trustme.CA()
    shows = issue(clients)
    ca = authority_file(folder, authority)
    (folder / "cert.pem").write_text(shows.chain)
    (folder / "key.pem").write_text(shows.key)
    identity = [f"--cert={folder / 'cert.pem'}", f"--key={folder / 'key.pem'}"]

    def predict(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [binary(), "predict", "half", "--instances=[1.0]", *arguments]
        return subprocess.run(command, env=environment(), capture_output=True, text=True)

    with serve(folder, issue(authority), "--rest_api_ssl", clients=clients) as server:
        for way in (f"--url=https://{server.rest}", f"--grpc=https://{server.grpc}"):
            assert "2.5" in predict(way, f"--ca={ca}", *identity).stdout, way
            for arguments, hint in (
                ([f"--ca={ca}"], "it may want a certificate" if "url" in way else "the connection ended early"),
                (identity, "has to lead to one of --ca"),
            ):
                answer = predict(way, *arguments)
                assert answer.returncode == 1
                assert hint in answer.stderr, (way, answer.stderr)
        answer = predict(f"--url=http://{server.rest}")
        assert "this port speaks TLS" in answer.stderr
