"""The dashboard in a real browser: over a mesh of real processes, and over one that tells what the test says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sp00ky.proto.v1 import admin_pb2, common_pb2, events_pb2, views_pb2

from tests.browser.conftest import Picture
from tests.harness.browser import Page
from tests.harness.eventually import eventually
from tests.harness.fake_mesh import scheduler_status, token
from tests.harness.mesh import running_mesh
from tests.harness.mesh_client import SECRET
from tests.harness.served_gateway import Serve

ADMIN = "the admin's own secret"
FOCUSED = "document.activeElement"
VIEWS: Mapping[str, str] = {
    "adults": "SELECT * FROM person WHERE age > 17",
    "by_city": "SELECT city, count() FROM person GROUP BY city",
}


async def sign_in(page: Page, secret: str) -> None:
    """By keyboard: the page asks as soon as it is there."""
    await page.until("document.querySelector('#ask').open")
    await page.type(secret)
    await page.press("Enter")


async def tab_to(page: Page, condition: str, *, back: bool = False) -> None:
    """Tab until the focused element is the one; AssertionError if it is never reached."""
    for _ in range(80):
        if await page.value(f"Boolean({condition})"):
            return
        await page.press("Tab", shift=back)
    raise AssertionError(f"no Tab reaches {condition}; focus is on {await page.value(FOCUSED + '.outerHTML')}")


def assert_quiet(page: Page, url: str) -> None:
    """Nothing was complained of, and nobody else was asked."""
    assert page.complaints == []
    assert [asked for asked in page.asked if not asked.startswith((url, "about:", "data:"))] == []


@pytest.mark.processes
async def test_it_shows_a_running_mesh_and_acts_on_it_by_keyboard_alone(
    page: Page, picture: Picture, tmp_path: Path
) -> None:
    extra = {"SPKY_ADMIN_SECRET": ADMIN, "SPKY_LAG_PROBE_INTERVAL_MS": "500"}
    async with running_mesh(tmp_path / "data", ssps=2, extra=extra) as mesh:
        url = mesh.url.replace("0.0.0.0", "127.0.0.1")
        await page.looks(1440)
        await page.open(url)
        await sign_in(page, SECRET)
        await page.until("document.querySelectorAll('.member[data-state=ready]').length === 2")
        await mesh.sql("CREATE person:1 SET age = 40, city = 'Oslo'; CREATE person:2 SET age = 30, city = 'Bergen'")
        for view, surql in VIEWS.items():
            await mesh.register(view, surql)
        await page.until("document.querySelectorAll('#views-table tbody tr').length === 2")
        await page.until("[...document.querySelectorAll('.stage .hop')].some((hop) => /ms|s/.test(hop.textContent))")

        await page.press("/")
        await page.type("adults")
        await page.until("document.querySelectorAll('#views-table tbody tr').length === 1")
        await tab_to(page, f"{FOCUSED}.matches('#views-table button')")
        assert await page.value(f"getComputedStyle({FOCUSED}).outlineStyle") == "solid", "focus is to be seen"
        await page.press("Enter")
        await page.until("document.querySelector('#view')?.innerText.includes('shape')")
        await page.until("/current|whole/.test(document.querySelector('#view').innerText)")
        await mesh.sql("CREATE person:3 SET age = 50, city = 'Oslo'")
        await page.until("document.querySelector('.deltas')?.innerText.includes('person:3')")
        await picture("view-light")
        await page.press("Escape")
        assert await page.value(f"{FOCUSED}.textContent") == "adults", "focus is where it came from"

        await tab_to(page, f"{FOCUSED}.textContent === 'Drain'", back=True)
        drained = await page.value(f"{FOCUSED}.closest('.member').dataset.key")
        await page.press("Enter")
        await page.until("document.querySelector('#ask').open && !document.querySelector('#ask-field').hidden")
        await picture("drain", whole=False)
        await page.type("not the admin's")
        await page.press("Enter")
        await page.until("document.querySelector('#ask-text').innerText.includes('Another token')")
        await page.type(ADMIN)
        await page.press("Enter")
        await page.until(f"document.querySelector('.member[data-key=\"{drained}\"]').dataset.draining === 'true'")
        stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
        kept = await page.value(stored)
        assert SECRET not in kept
        assert ADMIN not in kept

        killed = next(ssp for ssp in ("ssp-1", "ssp-2") if ssp != drained)
        await page.value(WATCH_STATES)
        mesh.kill(killed)
        await page.until(f"document.querySelector('#events-list').innerText.includes('{killed} lost its stream')")
        await page.until(f"states.has('{killed} stale')")
        await page.until(f"document.querySelector('.member[data-key=\"{killed}\"]')?.dataset.state === 'ready'", 60)
        # What a browser itself logs of the token that was refused is the one thing that may be there.
        page.complaints[:] = [each for each in page.complaints if "401" not in each]
        assert_quiet(page, url)


def ssp_sample(number: int, at: int) -> events_pb2.SspSample:
    states = ["ready"] * 8 + ["replaying", "bootstrapping", "stale"]
    return events_pb2.SspSample(
        id=f"ssp-{number}",
        state=states[number % len(states)],
        draining=number == 3,
        views=200 + number,
        cpu_ratio=abs(math.sin(number)) * 0.9,
        memory_bytes=(180 + 7 * number) << 20,
        heartbeat_age_seconds=0.3 if number % len(states) != 10 else 4.2,
        applied_seq=1_204_000 - 13 * number,
        written_seq=1_203_000,
        applied_per_second=900 + 100 * math.sin(at / 9),
        edges_per_second=40 + 30 * math.cos(at / 5),
    )


def sample(at: int, ssps: int, views: int) -> events_pb2.MeshSample:
    """`at`: of 180 steps of 5 s."""
    wave = 1000 + 700 * math.sin(at / 11) + 200 * math.sin(at / 3)
    lag = events_pb2.StageLag(
        captured_seconds=0.02 + 0.01 * math.sin(at / 7),
        applied_seconds=0.035 + 0.01 * math.sin(at / 7),
        written_seconds=0.09 + 0.05 * math.sin(at / 13) ** 2,
    )
    return events_pb2.MeshSample(
        at_ms=1_700_000_000_000 + at * 5000,
        state="ready",
        captures=True,
        captured_per_second=wave,
        appended_per_second=wave,
        head_seq=1_204_100,
        rows=2_300_451,
        cpu_ratio=0.4,
        memory_bytes=1 << 30,
        views=views,
        dead_letters=0,
        ssps=[ssp_sample(number, at) for number in range(ssps)],
        lag=lag if ssps else None,
    )


def told(ssps: int, views: int) -> list[events_pb2.WatchEventsResponse]:
    events = [
        events_pb2.MeshEvent(id=number, at_ms=1_700_000_800_000 + number, kind=kind, text=text, trouble=trouble)
        for number, (kind, text, trouble) in enumerate(
            [
                ("epoch.started", "scheduler began epoch 3", False),
                ("ssp.stale", "ssp-10 lost its stream; its views wait for it", True),
                ("view.registered", "view view-7 of user:ada registered, kept by ssp-3", False),
            ],
            start=1,
        )
    ]
    history = [sample(at, ssps, views) for at in range(180)]
    return [
        events_pb2.WatchEventsResponse(last_id=3, events=events, samples=history),
        events_pb2.WatchEventsResponse(last_id=3, samples=[sample(180, ssps, views)]),
    ]


def summary(number: int) -> views_pb2.ViewSummary:
    return views_pb2.ViewSummary(
        key=common_pb2.ViewKey(id=f"view-{number}", auth_id=f"user:{number % 97}" if number % 3 else ""),
        surql=f"SELECT * FROM person WHERE city = 'c{number % 50}' AND age > {number % 80} ORDER BY age LIMIT 20",
        state=views_pb2.VIEW_STATE_LIVE,
        mode=views_pb2.VIEW_MODE_REEVALUATED if number % 9 == 0 else views_pb2.VIEW_MODE_INCREMENTAL,
        members=number % 21,
        ssp_id=f"ssp-{number % 50}",
        revision=token(1_204_100 - number % 7),
    )


async def names_of_controls(page: Page) -> list[Any]:
    """(role, name) of what can be acted on, as assistive technology is told."""
    await page.call("Accessibility.enable")
    nodes = (await page.call("Accessibility.getFullAXTree"))["nodes"]
    wanted = {"button", "textbox", "searchbox", "combobox", "link"}
    shown = [node for node in nodes if not node.get("ignored") and node.get("role", {}).get("value") in wanted]
    return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in shown]


@pytest.mark.parametrize(("ssps", "views"), [(0, 0), (2, 12), (50, 10_000)])
async def test_it_is_whole_at_any_size_and_width(
    page: Page,
    picture: Picture,
    serve: Serve,
    ssps: int,
    views: int,
) -> None:
    client, mesh = await serve("scheduler")
    mesh.told = told(ssps, views)
    mesh.answers["ListViews"] = views_pb2.ListViewsResponse(views=map(summary, range(views)))
    url = str(client._base_url).rstrip("/") if client._base_url else ""
    await page.looks(1440)
    await page.open(url)
    await page.until(f"document.querySelectorAll('.member').length === {ssps}")
    await page.until(f"document.querySelectorAll('#views-table tbody tr').length === {min(views, 200)}")
    for width, dark in ((360, False), (1440, False), (1440, True), (3840, True)):
        await page.looks(width, 2160 if width > 3000 else 1000, dark=dark)
        await page.until(f"innerWidth === {width}")
        assert await page.value("document.documentElement.scrollWidth") <= width
        shade = "dark" if dark else "light"
        await picture(f"{ssps}-ssps-{width}-{shade}")
    assert all(name for _, name in await names_of_controls(page))
    if views:
        found = await page.value(
            """(async () => {
              const text = document.querySelector('#views-text');
              text.value = 'view-7 user:7';
              text.dispatchEvent(new Event('input', { bubbles: true }));
              return document.querySelectorAll('#views-table tbody tr').length;
            })()"""
        )
        assert found >= 1
        assert found < views
    assert_quiet(page, url)


async def test_it_comes_back_by_itself_and_says_so_meanwhile(page: Page, serve: Serve) -> None:
    client, mesh = await serve("scheduler")
    mesh.told = told(2, 0)
    await page.looks(1440)
    await page.open(str(client._base_url))
    await page.until("document.querySelector('#state').dataset.state === 'live'")
    mesh.told = []
    before = len(mesh.asked)
    mesh.break_streams()
    await page.until("document.querySelector('#state').dataset.state === 'lost'")
    mesh.told = told(3, 0)
    mesh.break_streams()
    await page.until("document.querySelectorAll('.member').length === 3")
    watched = [each for each in mesh.asked[before:] if isinstance(each, events_pb2.WatchEventsRequest)]
    assert watched[-1].since_id == 3, "it says what it has"
    await eventually(lambda: page.complaints == [])


async def test_dead_letters_are_retried_and_dropped(page: Page, serve: Serve) -> None:
    client, mesh = await serve("scheduler")
    mesh.told = told(1, 0)
    mesh.told[1].samples[0].dead_letters = 1
    letter = admin_pb2.DeadLetter(
        id=7, source="changefeed", records=["person:<b>1</b>"], reason="too large", attempts=1
    )
    mesh.answers["ListDeadLetters"] = admin_pb2.ListDeadLettersResponse(letters=[letter], total=1)
    mesh.answers["RetryDeadLetter"] = admin_pb2.RetryDeadLetterResponse(applied=1, revision=token(9))
    await page.looks(1440)
    await page.open(str(client._base_url))
    await page.until("document.querySelectorAll('.letter').length === 1")
    assert "person:<b>1</b>" in await page.text(".letter"), "what a record is called is no markup"
    await tab_to(page, f"{FOCUSED}.matches('.letter button')")
    await page.press("Enter")
    await page.until("document.querySelector('#ask').open && document.querySelector('#ask-field').hidden")
    await page.press("Enter")
    await page.until("document.querySelector('#notice').innerText.includes('1 applied, 0 failed again')")
    assert mesh.last(admin_pb2.RetryDeadLetterRequest).id == 7
    assert page.complaints == []


async def test_backends_and_their_jobs_are_shown(page: Page, serve: Serve) -> None:
    client, mesh = await serve("scheduler")
    mesh.told = told(1, 0)
    status = scheduler_status()
    jobs = {"pending": 7, "processing": 2, "success": 1_200, "failed": 3}
    status.backends.add(
        name="shop", url="http://shop", table="job", state="healthy", breaker="open", runners=1, running=2, jobs=jobs,
        last_error="no <b>money</b> today", last_error_age_seconds=3.0,
    )  # fmt: skip
    status.backends.add(name="mail", url="http://mail", state="unreachable", detail="cannot connect")
    mesh.answers["GetStatus"] = status
    await page.looks(1440)
    await page.open(str(client._base_url))
    await page.until("document.querySelectorAll('#jobs-list .member').length === 2")
    assert "2 of 2 backends in trouble" in await page.text("#jobs-title")
    said = await page.text("#jobs-list [data-key=shop]")
    for part in ("healthy", "pending\n7", "processing\n2", "failed\n3", "open", "3.0 s ago: no <b>money</b> today"):
        assert part in said, said
    assert "cannot connect" in await page.text("#jobs-list [data-key=mail]")
    assert "pending" not in await page.text("#jobs-list [data-key=mail]")
    assert page.complaints == []


async def test_a_theme_is_chosen_by_hand_and_text_can_be_read_in_both(page: Page, serve: Serve) -> None:
    client, mesh = await serve("scheduler")
    mesh.told = told(2, 0)
    await page.open(str(client._base_url))
    await tab_to(page, f"{FOCUSED}.id === 'theme'")
    for theme in ("light", "dark"):
        await page.press("Enter")
        assert await page.value("document.documentElement.dataset.theme") == theme
        for ink in ("--ink", "--soft", "--faint", "--accent", "--good", "--warn", "--bad", "--one", "--two", "--three"):
            least = 4.5 if ink in ("--ink", "--soft", "--faint", "--bad", "--warn") else 3.0
            assert await page.value(CONTRAST % ink) >= least, (theme, ink)
    await page.press("Enter")
    assert await page.value("'theme' in document.documentElement.dataset") is False


WATCH_STATES = """
window.states = new Set();
new MutationObserver((all) => all.forEach(({ target }) => states.add(`${target.dataset.key} ${target.dataset.state}`)))
  .observe(document.querySelector('#ssps-list'), { subtree: true, attributes: true, attributeFilter: ['data-state'] });
0"""

# WCAG 2.2, relative luminance
CONTRAST = """(() => {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const hex = style.getPropertyValue(name).trim().slice(1);
    const parts = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  return Math.min(...['--paper', '--card'].map((name) => {
    const pair = [light('%s'), light(name)].sort((one, other) => other - one);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  }));
})()"""
