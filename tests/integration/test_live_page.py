"""The live page in a real Chromium."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from async_cassandra.server import RunningServer
from tests.support.example_app import example_app, new_user

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
# Where to put the pictures; docs/assets renews those of the documentation.
PICTURES = os.environ.get("PICTURES")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(90),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """One loop is enough: it is the page that is tested."""
    return "asyncio", {"use_uvloop": True}


class Tab:
    """A page of the browser, driven by the DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json()
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, awaited if it is a promise."""
        found = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until an expression is true, looking at it each time the page is drawn."""
        await self.evaluate(
            "new Promise(done => { const look = () => "
            f"({condition}) ? done() : requestAnimationFrame(look); look(); }})"
        )


@asynccontextmanager
async def chromium(http: aiohttp.ClientSession, folder: Path) -> AsyncIterator[Tab]:
    """A headless browser with an empty page."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--remote-debugging-port=0",
        "--window-size=1000,1150",
        f"--user-data-dir={folder}",
        "about:blank",
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stderr is not None
    listening, lines = asyncio.Event(), list[str]()
    reading = asyncio.create_task(drain(process.stderr, listening, lines))
    try:
        await listening.wait()
        port = lines[-1].rsplit(":", 1)[1].split("/")[0]
        async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = json.loads(await answer.text())
        url = next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"]
        async with http.ws_connect(url, max_msg_size=0) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        await process.wait()
        await reading


async def drain(output: asyncio.StreamReader, listening: asyncio.Event, lines: list[str]) -> None:
    """Read what the browser prints, until it says where it listens, and after."""
    async for line in output:
        if not listening.is_set():
            lines.append(line.decode())
            if "DevTools listening on" in lines[-1]:
                listening.set()
    listening.set()


async def test_page_shows_the_application_at_work(
    cassandra_server: RunningServer, cassandra_keyspace: str, anyio_backend: Any, tmp_path: Path
) -> None:
    async with (
        example_app(cassandra_server, cassandra_keyspace) as client,
        aiohttp.ClientSession() as http,
        chromium(http, tmp_path) as tab,
    ):
        await tab.call("Page.enable")
        await tab.call("Page.navigate", url=str(client._base_url))
        await tab.until("document.querySelector('#state')?.textContent === 'live'")
        for number in range(20):
            async with client.post("/users", json=new_user(number)) as answer:
                assert answer.status == 201
        await tab.evaluate("document.querySelector('#compare').click()")
        await tab.until("document.querySelector('#compared').textContent.includes('times faster')")
        for _ in range(6 if PICTURES else 1):
            seen = await tab.evaluate("seconds.length")
            async with client.get("/compare", params={"requests": 2000}) as answer:
                assert answer.status == 200
            await tab.until(f"seconds.length > {seen}")
        await tab.until("Math.max(...seconds.map(second => second.requests_per_second)) > 0")
        assert await tab.evaluate("document.querySelectorAll('#nodes .up').length") == 1
        assert float(await tab.evaluate("document.querySelector('#p50').textContent")) >= 0
        drawn = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)"
        assert await tab.evaluate(f"[...document.querySelectorAll('canvas')].every({drawn})")
        others = "performance.getEntriesByType('resource').map(e => new URL(e.name).host)"
        assert await tab.evaluate(f"{others}.every(host => host === location.host)")
        if PICTURES:
            picture = await tab.call("Page.captureScreenshot", format="png")
            await asyncio.to_thread(save, picture["data"], Path(PICTURES) / "live-page.png")


def save(data: str, path: Path) -> None:
    path.write_bytes(base64.b64decode(data))
