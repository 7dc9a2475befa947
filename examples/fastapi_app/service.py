"""The routes about the application itself: metrics, comparison, the live page."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from async_cassandra import InMemoryMetricsCollector
from async_cassandra.contrib.fastapi import CassandraSession

from .live import LiveFigures
from .models import Comparison

PAGE = (Path(__file__).parent / "static" / "live.html").read_text(encoding="utf-8")

router = APIRouter(tags=["service"])


@router.get("/", response_class=HTMLResponse)
async def live_page() -> str:
    return PAGE


@router.get("/live/events", response_class=StreamingResponse)
async def live_events(request: Request) -> StreamingResponse:
    figures: LiveFigures = request.app.state.figures
    return StreamingResponse(
        figures.events(),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/stats")
async def stats(request: Request) -> dict[str, Any]:
    """For people."""
    collector: InMemoryMetricsCollector = request.app.state.collector
    figures: LiveFigures = request.app.state.figures
    return {**await collector.get_stats(), "pages_streamed": figures.pages}


@router.get("/compare")
async def compare(
    session: CassandraSession, requests: Annotated[int, Query(ge=1, le=10_000)] = 500
) -> Comparison:
    """Read by key one after the other, then the same number all at once."""
    read = await session.prepare("SELECT name FROM users WHERE id = ?")
    keys = [(uuid4(),) for _ in range(requests)]
    start = time.perf_counter()
    for key in keys:
        await session.execute(read, key)
    between = time.perf_counter()
    await asyncio.gather(*(session.execute(read, key) for key in keys))
    sequential, gathered = between - start, time.perf_counter() - between
    return Comparison(
        requests=requests,
        sequential_seconds=round(sequential, 6),
        gathered_seconds=round(gathered, 6),
        times_faster=round(sequential / gathered, 2),
    )
