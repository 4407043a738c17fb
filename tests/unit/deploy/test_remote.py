"""What a command says of an address that was given by mistake, or of a secret: what answers there, and the option."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc.aio
import pytest
from sp00ky.deploy.cli import app
from sp00ky.deploy.remote import Remote, fault_of_response, printable
from sp00ky.proto.database import Database
from sp00ky.proto.faults import Code, Fault
from typer.testing import CliRunner

from tests.harness.served_gateway import Served, scheduler, serve  # noqa: F401


@contextlib.contextmanager
def answering(pages: dict[str, tuple[int, bytes]]) -> Iterator[str]:
    """The URL of a server of these pages."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = pages.get(self.path.partition("?")[0], (404, b"404: Not Found"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(*words: str) -> str:
    with pytest.raises(Fault) as failed:
        CliRunner().invoke(app, words, catch_exceptions=False)
    return str(failed.value)


NO_ENDPOINT = json.dumps({"code": "SPKY_NOT_FOUND", "message": "no endpoint GET /there"}).encode()
COMMANDS = (["status"], ["job", "list"], ["top", "--once"], ["dlq", "list"], ["events"], ["verify"], ["ssp", "list"])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_is_no_service_of_the_mesh_is_named(words: list[str]) -> None:
    with answering({"/version": (200, b"surrealdb-3.2.4")}) as url:
        assert f"{url} is a SurrealDB (surrealdb-3.2.4): " in said(*words, "--url", url)
    with answering({}) as url:
        told = said(*words, "--url", url)
    assert f"{url} is not an API of the mesh: " in told and "answers 404 (give the scheduler's" in told


@pytest.mark.parametrize("words", [words for words in COMMANDS if words != ["status"]], ids=" ".join)
def test_an_ssp_is_named_where_a_scheduler_is_asked(words: list[str]) -> None:
    info = json.dumps([{"entity": "ssp", "id": "a", "grpc_address": "127.0.0.1:1"}]).encode()
    pages = dict.fromkeys(("/jobs", "/events", "/dead-letters", "/ssps"), (404, NO_ENDPOINT))
    with answering({**pages, "/info": (200, info)}) as url:
        told = said(*words, "--url", url)
    assert f"{url} is an SSP's API" in told and "give the scheduler's or the gateway's as --url" in told


async def test_a_grpc_port_is_named_and_its_bytes_are_not_printed() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        for words in COMMANDS:
            told = await asyncio.to_thread(said, *words, "--url", f"http://127.0.0.1:{port}")
            assert "it is a gRPC port" in told and "9667" in told and told.isprintable()
    finally:
        await server.stop(None)


def test_bytes_that_are_no_text_are_left_out() -> None:
    assert printable("\x1b[31ma\x00 b\ufffd\n") == "[31ma b"
    assert fault_of_response("http://h", 500, b"\x1b[31m\xff\x00bad").message == "http://h answers 500: [31m bad"


async def test_a_wrong_secret_names_the_option(scheduler: Served) -> None:  # noqa: F811
    told = fault_of_response("http://h", 401, b'{"code": "SPKY_UNAUTHENTICATED", "message": "bearer token is wrong"}')
    assert "--secret" in told.hint and "SPKY_AUTH_SECRET" in told.hint
    session, _ = scheduler
    with pytest.raises(Fault) as failed:
        await asyncio.to_thread(Remote(str(session._base_url)).get, "/no-such-thing")
    assert failed.value.code is Code.NOT_FOUND, "a scheduler without such an endpoint is still a scheduler"


def test_a_view_of_others_is_said_to_be_theirs() -> None:
    refusal = json.dumps({"code": "SPKY_NOT_FOUND", "message": 'view "mine" is not registered'}).encode()
    views = json.dumps([{"id": "mine", "auth": f"user:{n}"} for n in range(7)] + [{"id": "all"}]).encode()
    pages = {"/views": (200, views), **dict.fromkeys(("/view/mine", "/view/all", "/view/mine/why"), (404, refusal))}
    with answering({**pages, "/view/none": (404, refusal)}) as url:
        for words in (["get", "mine"], ["watch", "mine"], ["why", "mine", "a:1"]):
            told = said("view", *words, "--url", url)
            assert '"mine" is registered for user:0, user:1' in told
            assert "and 2 more, not for a service (--auth user:0)" in told
        assert "is registered for a service, not for user:1 (leave --auth out)" in said(
            "view", "get", "all", "--auth", "user:1", "--url", url
        )
        assert said("view", "get", "none", "--url", url) == 'view "mine" is not registered'


async def test_where_nothing_listens_the_database_is_said_not_to() -> None:
    database = Database("127.0.0.1:1", user="r", password="p", namespace="n", database="d")
    with pytest.raises(Fault) as failed:
        await database.connect()
    await database.close()
    assert failed.value.message.endswith("nothing listens at 127.0.0.1:1")
