"""Certificates: who has none is not let in, a new one counts without a restart, a broken one changes nothing."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import trustme
from grpc import aio
from sp00ky.deploy.compose import tls_files
from sp00ky.gateway.auth import Gatekeeper, Unauthenticated
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.server import GatewayServer
from sp00ky.proto import tls, watched
from sp00ky.proto.channel import Server, fault_of, open_channel
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.tls import TlsFiles
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc

from tests.harness.fake_mesh import FakeMesh
from tests.unit.gateway.tokens import ec_key, rsa_key, token, write_jwks


@dataclass
class Authority:
    """A certificate authority, and a folder it writes certificates into."""

    folder: Path
    ca: trustme.CA

    def issue(self, name: str = "own") -> tuple[Path, Path]:
        """A certificate for loopback and its key, over those of the same name."""
        made = self.ca.issue_cert("127.0.0.1", "localhost")
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        key.write_bytes(made.private_key_pem.bytes())
        return cert, key

    @property
    def file(self) -> Path:
        path = self.folder / "ca.pem"
        path.write_bytes(self.ca.cert_pem.bytes())
        return path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, trustme.CA())


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A change is seen at the next look, not a second later; what a test adopts, no other has."""
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.0)
    yield
    tls.adopt(None)


class Admin(admin_pb2_grpc.AdminServiceServicer):
    async def GetStatus(self, request: Any, context: Any) -> admin_pb2.GetStatusResponse:
        return admin_pb2.GetStatusResponse(service="scheduler")


@pytest.fixture
async def served(authority: Authority) -> AsyncIterator[str]:
    """A gRPC server that demands certificates."""
    tls.adopt(TlsFiles(*authority.issue(), ca=authority.file))
    server = Server("127.0.0.1:0", "s")
    server.add(admin_pb2_grpc.add_AdminServiceServicer_to_server, Admin(), "sp00ky.v1.AdminService")
    yield await server.start()
    await server.stop(0)


async def ask(channel: aio.Channel) -> str:
    """What the server says; the code of its refusal."""
    stub: Any = admin_pb2_grpc.AdminServiceStub(channel)
    try:
        response = await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=10)
        return str(response.service)
    except aio.AioRpcError as error:
        return fault_of(error).code.value
    finally:
        await channel.close()


async def certificate_of(url: str, ca: Path) -> bytes:
    """The one that a new connection is shown."""
    host, _, port = url.rpartition("//")[2].rpartition(":")
    trust = ssl.create_default_context(cafile=str(ca))
    _, writer = await asyncio.open_connection(host, int(port.rstrip("/")), ssl=trust)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return shown


async def test_members_of_the_mesh_know_each_other(served: str) -> None:
    assert await ask(open_channel(served, "s")) == "scheduler"
    assert await ask(open_channel(served, "wrong")) == Code.UNAUTHENTICATED


async def test_who_shows_no_certificate_or_a_strangers_is_not_let_in(served: str, authority: Authority) -> None:
    believed = authority.ca.cert_pem.bytes()
    stranger = trustme.CA().issue_cert("127.0.0.1")
    strange = (stranger.private_key_pem.bytes(), stranger.cert_chain_pems[0].bytes())
    for shown in ((None, None), strange):
        credentials = grpc.ssl_channel_credentials(believed, *shown)
        assert await ask(aio.secure_channel(served, credentials)) == Code.UNAVAILABLE
    assert await ask(aio.insecure_channel(served)) == Code.UNAVAILABLE


async def test_a_member_believes_no_server_of_another_authority(served: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", trustme.CA())
    tls.adopt(TlsFiles(*other.issue(), ca=other.file))
    assert await ask(open_channel(served, "s")) == Code.UNAVAILABLE


async def test_u4_a_new_certificate_counts_for_grpc_without_a_restart(served: str, authority: Authority) -> None:
    authority.issue("other")  # a caller's own, which stays
    caller = TlsFiles(authority.folder / "other.pem", authority.folder / "other.key", authority.file)
    renewed = Authority(authority.folder, trustme.CA())
    both = authority.ca.cert_pem.bytes() + renewed.ca.cert_pem.bytes()
    renewed.issue()
    (authority.folder / "ca.pem").write_bytes(both)
    tls.adopt(caller)
    (authority.folder / "new.pem").write_bytes(renewed.ca.cert_pem.bytes())
    only_new = grpc.ssl_channel_credentials(
        renewed.ca.cert_pem.bytes(), caller.key.read_bytes(), caller.cert.read_bytes()
    )
    assert await ask(aio.secure_channel(served, only_new)) == Code.UNAUTHENTICATED, "let in, but without a bearer"


async def test_https_and_its_new_certificate(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    cert, key = authority.issue()
    tls.adopt(TlsFiles(cert, key))
    server = GatewayServer(GatewaySettings(listen_addr="127.0.0.1:0"), "gateway", "127.0.0.1:1")
    url = await server.start()
    assert url.startswith("https://")
    trust = ssl.create_default_context(cafile=str(authority.file))
    async with aiohttp.ClientSession(url) as client, client.get("/health/live", ssl=trust) as response:
        assert response.status == 200
    first = await certificate_of(url, authority.file)
    authority.issue()
    second = await certificate_of(url, authority.file)
    assert first != second
    with caplog.at_level(logging.ERROR):
        key.write_text("rubbish")
        for _ in range(3):
            assert await certificate_of(url, authority.file) == second, "U4: the old one stays"
    assert [record.levelname for record in caplog.records if "cannot be used" in record.getMessage()] == ["ERROR"]
    authority.issue()
    assert await certificate_of(url, authority.file) not in {first, second}
    await server.stop()


async def test_https_may_demand_certificates_too_and_of_another_authority_later(authority: Authority) -> None:
    cert, key = authority.issue()
    tls.adopt(TlsFiles(cert, key, http_ca=authority.file))
    mesh = FakeMesh()
    server = GatewayServer(GatewaySettings(listen_addr="127.0.0.1:0"), "gateway", "127.0.0.1:1")
    url = await server.start()

    async def status(shown: trustme.LeafCert | None) -> int:
        trust = ssl.create_default_context(cadata=authority.ca.cert_pem.bytes().decode())
        if shown is not None:
            shown.configure_cert(trust)
        try:
            async with aiohttp.ClientSession(url) as client, client.get("/health/live", ssl=trust) as response:
                return response.status
        except (aiohttp.ClientError, OSError):
            return 0

    known, later = authority.ca.issue_cert("caller"), trustme.CA()
    assert [await status(None), await status(known), await status(later.issue_cert("caller"))] == [0, 200, 0]
    (authority.folder / "ca.pem").write_bytes(later.cert_pem.bytes())
    assert [await status(known), await status(later.issue_cert("caller"))] == [0, 200]
    await server.stop()
    await mesh.stop()


def test_u4_files_that_cannot_be_used_refuse_the_start(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue()
    other = authority.issue("other")[1]
    rubbish = tmp_path / "rubbish"
    rubbish.write_text("rubbish")
    for files in (
        TlsFiles(cert, other),
        TlsFiles(cert, tmp_path / "none"),
        TlsFiles(rubbish, key),
        TlsFiles(cert, key, ca=rubbish),
        TlsFiles(cert, key, http_ca=rubbish),
    ):
        with pytest.raises(Fault, match="cannot be used") as caught:
            tls.adopt(files)
        assert caught.value.code is Code.INVALID


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    assert tls_files(GatewaySettings()) is None
    for stated in ({"tls_cert": tmp_path}, {"tls_key": tmp_path}, {"tls_ca": tmp_path}, {"tls_http_ca": tmp_path}):
        with pytest.raises(Fault, match="both certificate and key"):
            tls_files(GatewaySettings.model_validate(stated))


def test_u4_new_keys_of_tokens_count_without_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_jwks(tmp_path / "keys.json")
    whole = file.read_text()
    gatekeeper = Gatekeeper(GatewaySettings(jwt_jwks_file=file))
    by_rsa, by_ec = f"Bearer {token(rsa_key(), 'RS256', 'r1')}", f"Bearer {token(ec_key(), 'ES256', 'e1')}"
    assert gatekeeper.principal_of(by_rsa) and gatekeeper.principal_of(by_ec)
    with caplog.at_level(logging.ERROR):
        file.write_text("{")
        assert gatekeeper.principal_of(by_rsa), "the keys that were read before stay"
        file.unlink()
        assert gatekeeper.principal_of(by_rsa)
    assert all("cannot be used" in record.getMessage() for record in caplog.records) and caplog.records
    file.write_text(whole.replace('"kid": "r1"', '"kid": "r2"'))
    with pytest.raises(Unauthenticated):
        gatekeeper.principal_of(by_rsa)
    assert gatekeeper.principal_of(by_ec)
