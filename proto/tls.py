"""Who this process is, by certificate, and whom it believes: one identity for its HTTP and its gRPC, both ways.

`cert` and `key` are shown to whoever connects, and to the gRPC servers that are called. With `ca`, gRPC is mutual: a
server demands a certificate signed by it, a caller believes no other. HTTP callers are browsers and applications, so it
is `http_ca` that demands certificates of them, if stated. At least TLS 1.2.

A change of the files counts from the next connection on, without a restart; files that cannot be used change nothing
and are said in the log (`watched.py`). A gRPC channel shows what there was when it was opened, for as long as it lives.
Unix sockets are never encrypted: who can open the file is let in.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.watched import Watched

_HTTP_PROTOCOLS: Final = ["http/1.1"]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    cert: Path
    key: Path
    ca: Path | None = None
    http_ca: Path | None = None

    def all(self) -> tuple[Path, ...]:
        return tuple(file for file in (self.cert, self.key, self.ca, self.http_ca) if file is not None)


@dataclass(frozen=True, slots=True)
class Papers:
    """What the files hold, checked."""

    cert: bytes
    key: bytes
    ca: bytes | None
    http: ssl.SSLContext


class Identity:
    """Raises Fault INVALID when the files cannot be used at first."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.watched = Watched(files.all(), lambda: read_papers(files))

    def http_context(self) -> ssl.SSLContext:
        """For a listening socket. Each handshake is made with the papers of its moment."""
        context = _context(self._files)

        def choose(connection: ssl.SSLObject, name: str | None, of: ssl.SSLContext) -> None:
            connection.context = self.watched.value().http

        context.sni_callback = choose  # called in every handshake, also of a client that names no server
        return context

    def server_credentials(self) -> grpc.ServerCredentials:
        """For a gRPC port. Each handshake is made with the papers of its moment."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._configuration, require_client_authentication=self._files.ca is not None
        )

    def _configuration(self) -> Any:
        papers = self.watched.value()
        return grpc.ssl_server_certificate_configuration([(papers.key, papers.cert)], papers.ca)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        papers = self.watched.value()
        return grpc.ssl_channel_credentials(papers.ca, papers.key, papers.cert)


def prober_context(files: TlsFiles) -> ssl.SSLContext:
    """For asking servers of one's own, on this machine, whether they are ready: shows the certificate where one is
    demanded, and believes whoever answers. Raises Fault INVALID."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.load_cert_chain(files.cert, files.key)
    except OSError as error:
        raise _unusable(f"certificate {files.cert} with key {files.key}", error) from error
    return context


def read_papers(files: TlsFiles) -> Papers:
    """Raises Fault INVALID, naming what is wrong with which file."""
    context = _context(files)
    try:
        ca = files.ca.read_bytes() if files.ca is not None else None
        if files.ca is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(files.ca)
        return Papers(files.cert.read_bytes(), files.key.read_bytes(), ca, context)
    except OSError as error:  # ssl.SSLError is one
        raise _unusable(f"certificate authority {files.ca}", error) from error


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_HTTP_PROTOCOLS)
    try:
        context.load_cert_chain(files.cert, files.key)
    except OSError as error:
        raise _unusable(f"certificate {files.cert} with key {files.key}", error) from error
    if files.http_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(files.http_ca)
        except OSError as error:
            raise _unusable(f"certificate authority {files.http_ca}", error) from error
    return context


def _unusable(what: str, error: OSError) -> Fault:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    return Fault(
        Code.INVALID, f"{what} cannot be used: {str(reason).lower().replace('_', ' ')}", "PEM files are wanted"
    )


_own: list[Identity] = []  # none or one: a process is one and the same to everybody


def adopt(files: TlsFiles | None) -> None:
    """Be this from now on, for what is listened on and called after it; None encrypts nothing. Raises Fault INVALID."""
    _own[:] = [Identity(files)] if files is not None else []


def identity() -> Identity | None:
    return _own[0] if _own else None
