"""The page of gateway/README.md, as it is written there, in a real browser, from another origin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiohttp import web

from tests.harness.browser import Page
from tests.harness.mesh import running_mesh
from tests.harness.mesh_client import SECRET

README = Path(__file__).parents[2] / "gateway" / "README.md"
QUERY = "SELECT * FROM product WHERE price < $max ORDER BY price LIMIT 3"
SHOWN = "[...document.querySelectorAll('li')].map((item) => item.textContent).join()"

TOKEN = SECRET.replace(" ", "%20")
OVER_A_SOCKET = """new Promise((resolve, reject) => {
  window.told = [];
  const socket = new WebSocket("URL".replace("http", "ws"));
  socket.onerror = () => reject("no socket");
  socket.onmessage = ({ data }) => {
    const { type, members, removed } = JSON.parse(data);
    told.push([type, (members ?? removed ?? []).map((member) => member.id)]);
    resolve(told);
  };
})"""


def the_page(url: str) -> str:
    """For this mesh, which asks for a bearer."""
    (page,) = re.findall(r"```html\n(.*?)```", README.read_text(), re.DOTALL)
    assert page.count("\n") <= 30
    address = "http://localhost:7667/view/cheap/events?rows=1"
    assert page.count(address) == 1
    return str(page.replace(address, f"{url}/view/cheap/events?rows=1&access_token={TOKEN}"))


@pytest.mark.processes
async def test_the_page_follows_its_view_through_writes_and_a_killed_gateway(page: Page, tmp_path: Path) -> None:
    served = {"page": ""}

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=served["page"], content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with running_mesh(tmp_path / "data", ssps=1, extra={"SPKY_GATEWAY_CORS_ORIGINS": origin}) as mesh:
            served["page"] = the_page(mesh.url.replace("0.0.0.0", "127.0.0.1"))
            await mesh.sql("CREATE product:tea SET price = 4; CREATE product:pot SET price = 30")
            await mesh.register("cheap", QUERY, {"max": 20})
            await page.open(origin)
            await page.until(f"{SHOWN} === 'product:tea 4'")
            await mesh.sql("CREATE product:cup SET price = 9; UPDATE product:pot SET price = 1")
            await page.until(f"{SHOWN} === 'product:pot 1,product:tea 4,product:cup 9'")
            await mesh.sql("CREATE product:mat SET price = 2; UPDATE product:cup SET price = 3")
            await page.until(f"{SHOWN} === 'product:pot 1,product:mat 2,product:cup 3'")
            mesh.kill("gateway")
            await page.until("document.querySelector('#state').textContent === 'connecting'")
            await mesh.sql("DELETE product:mat; UPDATE product:tea SET price = 2")
            await page.until(f"{SHOWN} === 'product:pot 1,product:tea 2,product:cup 3'")
            assert await page.value("rows.length") == 3
            url = mesh.url.replace("0.0.0.0", "127.0.0.1")
            told = await page.value(OVER_A_SOCKET.replace("URL", f"{url}/view/cheap/ws?access_token={TOKEN}"))
            assert told[0] == ["snapshot", ["product:pot", "product:tea", "product:cup"]]
            await mesh.sql("DELETE product:pot")
            await page.until("told.some(([type]) => type === 'delta')")
            assert (await page.value("told.find(([type]) => type === 'delta')")) == ["delta", ["product:pot"]]
            await mesh.unregister("cheap")
            await page.until("document.querySelector('#state').textContent.includes('cheap')")
    finally:
        await runner.cleanup()
