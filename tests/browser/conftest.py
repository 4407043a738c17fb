"""Pages in a real browser, which has to be there: `apt-get install chromium`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.harness.browser import CHROMIUM, Page, browsing
from tests.harness.served_gateway import serve  # noqa: F401

PICTURES = "SPKY_TEST_PICTURES"  # a folder: pictures of what was seen are put there, if it is named


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM:
                item.add_marker(pytest.mark.skip(reason="there is no chromium on this machine"))


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browsing(tmp_path / "profile") as opened:
        yield opened


Picture = Callable[..., Awaitable[None]]


@pytest.fixture
def picture(page: Page) -> Picture:
    """`await picture(name, whole=True)`: of the page as it is now, if anybody wants it."""
    folder = os.environ.get(PICTURES)

    async def take(name: str, *, whole: bool = True) -> None:
        if folder is not None:
            await page.picture(Path(folder) / f"{name}.png", whole=whole)

    return take
