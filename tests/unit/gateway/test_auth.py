"""Who asks, and what it may: secrets, JWTs, roles; what a record user sees is its own."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sp00ky.gateway.auth import TOKEN_CHARS_MAX, Gatekeeper, Unauthenticated
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.endpoint import Endpoint, Role
from sp00ky.gateway.endpoints import endpoints_of
from sp00ky.gateway.exchange import Api
from sp00ky.proto.channel import Server, fault_of, open_channel
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.v1 import admin_pb2, admin_pb2_grpc, views_pb2
from sp00ky.proto.viewer import unpack_viewer

from tests.harness.fake_mesh import token as revision_token
from tests.harness.fake_mesh import view_response
from tests.harness.served_gateway import Serve, Served
from tests.unit.gateway.tokens import (
    SHARED,
    ec_key,
    rsa_key,
    rsa_public_pem,
    strange_rsa_key,
    token,
    unsigned,
    write_jwks,
)

SECRET = "correct horse"
LATER = int(time.time()) + 3600
CLAIMS = {"exp": LATER, "ID": "user:ada", "aud": "mesh"}
UNIFORM = {
    "code": "SPKY_UNAUTHENTICATED",
    "message": "bearer token is missing or wrong",
    "hint": "send Authorization: Bearer <token>",
}


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, object]:
    """Settings with every kind of key."""
    return {
        "jwt_secret": SHARED,
        "jwt_jwks_file": write_jwks(tmp_path / "keys.json"),
        "jwt_audience": "mesh",
        "jwt_leeway_s": 5,
    }


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def path_of(endpoint: Endpoint) -> str:
    return endpoint.path.replace("{id}", "v1").replace("{table}", "person")


def hs256_with_public_key() -> str:
    """The public key, which everyone has, used as a shared secret."""
    unsealed = unsigned({"alg": "HS256", "typ": "JWT", "kid": "r1"}, CLAIMS).rpartition(".")[0]
    seal = hmac.new(rsa_public_pem(), unsealed.encode(), hashlib.sha256).digest()
    return unsealed + "." + unsigned({}, {}, seal).rpartition(".")[2]


FORGED: Mapping[str, tuple[Callable[[], str], str]] = {
    "alg none": (lambda: unsigned({"alg": "none"}, CLAIMS), "algorithm"),
    "alg None": (lambda: unsigned({"alg": "None"}, CLAIMS), "algorithm"),
    "alg absent": (lambda: unsigned({}, CLAIMS), "algorithm"),
    "alg a list": (lambda: unsigned({"alg": ["HS256"]}, CLAIMS), "algorithm"),
    "HS by the public key": (hs256_with_public_key, "signature"),
    "RS named, HS sealed": (lambda: unsigned({"alg": "RS256", "kid": "r1"}, CLAIMS, b"x" * 32), "signature"),
    "another key": (lambda: token(strange_rsa_key(), "RS256", "r1", aud="mesh"), "signature"),
    "another key's name": (lambda: token(rsa_key(), "RS256", "r9", aud="mesh"), "key"),
    "another curve's algorithm": (lambda: token(rsa_key(), "RS512", "r1", aud="mesh"), "algorithm"),
    "wrong audience": (lambda: token(aud="other"), "audience"),
    "no audience": (token, "claims"),
    "expired": (lambda: token(aud="mesh", lasts_s=-60), "expired"),
    "not yet": (lambda: token(aud="mesh", nbf=LATER), "not_yet"),
    "for ever": (lambda: token(aud="mesh", exp=None), "claims"),
    "another secret": (lambda: token("t" * 64, aud="mesh"), "signature"),
    "truncated": (lambda: token(aud="mesh")[:-3], "signature"),
    "without a seal": (lambda: token(aud="mesh").rpartition(".")[0] + ".", "signature"),
    "two parts": (lambda: "a.b", "unknown"),
    "rubbish": (lambda: "ä.ö.ü", "malformed"),
    "deep": (lambda: unsigned({"alg": "HS256", "a": []}, {}).replace(".", "." + "W1tb" * 1500, 1), "signature"),
    "long": (lambda: token(aud="mesh", pad="x" * TOKEN_CHARS_MAX), "length"),
    "no user": (lambda: token(aud="mesh", ID=None), "claims"),
    "a user that is no record": (lambda: token(aud="mesh", ID="ada"), "malformed"),
    "a role there is not": (lambda: token(aud="mesh", spky_role="root"), "role"),
    "roles in a list": (lambda: token(aud="mesh", spky_role=["admin"]), "malformed"),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a1_a_forged_token_is_refused_and_its_reason_is_counted(keys: dict[str, object], forgery: str) -> None:
    gatekeeper = Gatekeeper(GatewaySettings.model_validate(keys))
    make, reason = FORGED[forgery]
    with pytest.raises(Unauthenticated) as caught:
        gatekeeper.principal_of(f"Bearer {make()}")
    assert caught.value.reason == reason


async def test_a1_every_refusal_is_the_same_answer_and_is_counted(serve: Serve, keys: dict[str, object]) -> None:
    client, mesh = await serve("scheduler", SECRET, **keys)
    begun = time.monotonic()
    presented = [None, "", "Basic abc", *(f"Bearer {make()}" for make, _ in FORGED.values())]
    for authorization in presented:
        headers = {} if authorization is None else {"Authorization": authorization}
        async with client.get("/views", headers=headers) as response:
            assert (response.status, await response.json()) == (401, UNIFORM), authorization
            assert response.headers["WWW-Authenticate"] == "Bearer"
    assert time.monotonic() - begun < 10
    assert not mesh.asked
    async with client.get("/metrics/prometheus") as response:
        text = await response.text()
    for reason in {"missing", "scheme", *(reason for _, reason in FORGED.values())}:
        assert f'spky_auth_refused_total{{reason="{reason}"}}' in text


async def test_a1_a_token_of_a_mebibyte_is_refused_at_once(serve: Serve, keys: dict[str, object]) -> None:
    """The head of a request is bounded before anything is read from it."""
    client, mesh = await serve("scheduler", SECRET, **keys)
    begun = time.monotonic()
    try:
        async with client.get("/views", headers=bearer("x" * 2**20)) as response:
            assert response.status == 400
    except aiohttp.ClientConnectionError:
        pass  # closed before all of it was sent
    assert time.monotonic() - begun < 5
    assert not mesh.asked


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters="\r\n\0"), max_size=200))
def test_a1_no_header_is_too_odd_to_refuse(text: str) -> None:
    gatekeeper = Gatekeeper(GatewaySettings(auth_secret=SECRET, jwt_secret=SHARED))
    for authorization in (text, f"Bearer {text}", f"Bearer a.{text}.c"):
        with pytest.raises(Unauthenticated):
            gatekeeper.principal_of(authorization)


def test_tokens_of_every_kind_of_key_are_taken(keys: dict[str, object]) -> None:
    gatekeeper = Gatekeeper(GatewaySettings.model_validate(keys))
    made = [token(SHARED, algorithm, aud="mesh") for algorithm in ("HS256", "HS384", "HS512")]
    made += [token(rsa_key(), "RS256", "r1", aud="mesh"), token(rsa_key(), "RS256", aud=["x", "mesh"])]
    made += [token(ec_key(), "ES256", "e1", aud="mesh"), token(aud="mesh", lasts_s=-2)]  # within the leeway
    for each in made:
        principal = gatekeeper.principal_of(f"Bearer {each}")
        assert (principal.name, principal.roles) == ("user:ada", {Role.USER})
        assert principal.expires is not None


def test_a_token_may_state_a_role_instead_of_a_user(keys: dict[str, object]) -> None:
    gatekeeper = Gatekeeper(GatewaySettings.model_validate(keys))
    roles = {
        role: gatekeeper.principal_of(f"Bearer {token(aud='mesh', spky_role=role)}")
        for role in ("client", "ssp", "admin")
    }
    assert [principal.viewer for principal in roles.values()] == [None] * 3
    assert roles["client"].roles == {Role.CLIENT}
    assert roles["ssp"].roles == {Role.SSP}
    assert Role.ADMIN in roles["admin"].roles


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "no such file"), ("{", "expecting"), ("[]", "list"), ('{"keys": []}', "key"), ('{"keys": [{}]}', "key")],
)
def test_u4_a_key_file_that_cannot_be_used_refuses_the_start(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "keys.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(Fault, match="cannot be used") as caught:
        Gatekeeper(GatewaySettings(jwt_jwks_file=file))
    assert words in caught.value.message.lower()


@pytest.mark.parametrize("api", ["scheduler", "ssp"])
async def test_every_endpoint_is_for_its_roles_and_no_other(serve: Serve, api: Api) -> None:
    secrets = {"client_secret": "c" * 9, "ssp_secret": "p" * 9, "admin_secret": "a" * 9, "jwt_secret": SHARED}
    client, _ = await serve(api, SECRET, **secrets)
    service = {Role.CLIENT, Role.SSP}
    held: Mapping[str, set[Role]] = {
        SECRET: service,
        "c" * 9: {Role.CLIENT},
        "p" * 9: {Role.SSP},
        "a" * 9: service | {Role.ADMIN},
        token(): {Role.USER},
    }
    for endpoint in endpoints_of(api):
        if api in endpoint.open_on:
            continue
        for presented, roles in held.items():
            async with client.request(endpoint.method, path_of(endpoint), headers=bearer(presented)) as response:
                allowed = bool(roles & endpoint.roles) or Role.ADMIN in roles
                assert (response.status != 403) == allowed, (endpoint.name, roles)
                assert response.status != 401


async def test_without_a_secret_of_its_own_the_service_is_the_admin(serve: Serve) -> None:
    client, _ = await serve("scheduler", SECRET)
    async with client.get("/debug/view/v1", headers=bearer(SECRET)) as response:
        assert response.status == 200


async def test_a_role_alone_closes_the_door(serve: Serve) -> None:
    client, _ = await serve("scheduler", client_secret="c" * 9)
    async with client.get("/views") as response:
        assert response.status == 401
    async with client.get("/views", headers=bearer("c" * 9)) as response:
        assert response.status == 200


async def test_a3_two_secrets_are_taken_while_one_replaces_the_other(serve: Serve) -> None:
    client, _ = await serve("scheduler", SECRET, auth_secret_previous="older")
    for presented, status in ((SECRET, 200), ("older", 200), ("oldest", 401), ("", 401)):
        async with client.get("/views", headers=bearer(presented)) as response:
            assert response.status == status, presented


async def test_a3_two_secrets_are_taken_by_grpc_as_well() -> None:
    server = Server("127.0.0.1:0", SECRET, "older")

    class Admin(admin_pb2_grpc.AdminServiceServicer):
        async def GetStatus(self, request: Any, context: Any) -> admin_pb2.GetStatusResponse:
            return admin_pb2.GetStatusResponse(service="scheduler")

    server.add(admin_pb2_grpc.add_AdminServiceServicer_to_server, Admin(), "sp00ky.v1.AdminService")
    address = await server.start()
    for presented, taken in ((SECRET, True), ("older", True), ("oldest", False), ("", False)):
        channel = open_channel(address, presented)
        try:
            stub: Any = admin_pb2_grpc.AdminServiceStub(channel)
            await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=5)
            assert taken, presented
        except Exception as error:
            assert not taken and fault_of(error).code is Code.UNAUTHENTICATED, presented
        finally:
            await channel.close()
    await server.stop(0)


@pytest.fixture
async def users(serve: Serve) -> Served:
    """A mesh that has the view "mine" of user:ada, and no other."""
    client, mesh = await serve("scheduler", SECRET, jwt_secret=SHARED)

    def get(request: Any) -> views_pb2.GetViewResponse:
        if (request.key.id, request.key.auth_id) == ("mine", "user:ada"):
            return view_response()
        raise Fault(Code.NOT_FOUND, f'view "{request.key.id}" is not registered', "register it first")

    mesh.answers["GetView"] = mesh.answers["WhyView"] = mesh.answers["UnregisterView"] = get
    return client, mesh


async def test_a2_a_user_has_its_own_views_and_learns_nothing_of_others(users: Served) -> None:
    client, _ = users
    ada, bob = bearer(token()), bearer(token(ID="user:bob"))
    async with client.get("/view/mine", headers=ada) as response:
        assert response.status == 200
    for method, path in (("GET", "/view/{}"), ("GET", "/view/{}/why?record=person:1"), ("POST", "/view/unregister")):
        told = []
        for view in ("mine", "none"):
            body = {"json": {"id": view}} if method == "POST" else {}
            async with client.request(method, path.format(view), headers=bob, **body) as response:
                assert response.status == 404
                told.append((await response.text()).replace(view, "…"))
        assert told[0] == told[1]


async def test_a2_a_user_may_not_say_that_it_is_another_or_a_service(users: Served) -> None:
    client, mesh = users
    bob = bearer(token(ID="user:bob"))
    for auth in ("user:ada", "user:bob", {"id": "user:ada"}, ""):
        body = {"id": "mine", "auth": auth}
        for path, more in (("/view/register", {"surql": "SELECT * FROM person"}), ("/view/unregister", {})):
            async with client.post(path, json=body | more, headers=bob) as response:
                assert response.status == 403, (path, auth)
    for path in ("/view/mine?auth=user:ada", "/view/mine/why?record=person:1&auth=user:ada"):
        async with client.get(path, headers=bob) as response:
            assert response.status == 403, path
    assert not mesh.asked


async def test_a2_whether_a_user_or_a_service_asks_why_is_passed_on(users: Served) -> None:
    client, mesh = users
    mesh.answers["WhyView"] = views_pb2.WhyViewResponse(record="person:1")
    for bearer_, auth, for_user in ((token(), "", True), (SECRET, "&auth=user:ada", False)):
        async with client.get(f"/view/mine/why?record=person:1{auth}", headers=bearer(bearer_)) as response:
            assert response.status == 200
        asked = mesh.last(views_pb2.WhyViewRequest)
        assert (asked.key.auth_id, asked.for_user) == ("user:ada", for_user)


async def test_a2_a_token_is_the_auth_of_the_views_it_registers(users: Served) -> None:
    client, mesh = users
    body = {"id": "v", "surql": "SELECT * FROM person"}
    ada = token(AC="account", team="red", iat=1, jti="x")
    async with client.post("/view/register", json=body, headers=bearer(ada)) as response:
        assert response.status == 200
        assert response.headers["Spky-Revision"] == revision_token(42)
    spec = mesh.last(views_pb2.RegisterViewRequest).spec
    viewer = unpack_viewer(spec.auth)
    assert (spec.key.auth_id, str(viewer["access"])) == ("user:ada", "account")
    assert viewer["claims"] == {"ID": "user:ada", "AC": "account", "team": "red"}, "a renewed token is the same user"


async def test_a_service_says_whose_view_it_is(users: Served) -> None:
    client, mesh = users
    async with client.get("/view/mine?auth=user:ada", headers=bearer(SECRET)) as response:
        assert response.status == 200
    async with client.get("/view/mine", headers=bearer(SECRET)) as response:
        assert response.status == 404, "the view of a service is another one"
    assert len(mesh.asked) == 2
