"""The users' routes. Fixed paths stand before ``/{user_id}``, which would take them for an id."""

import base64
import binascii
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response, status
from fastapi.responses import JSONResponse

from async_cassandra.contrib.fastapi import PagesResponse

from .live import LiveFigures
from .models import NewUser, NewUsers, Patch, User, UserPage
from .store import Conflict, NotFound, Users, user_line

router = APIRouter(prefix="/users", tags=["users"])


def stored_users(request: Request) -> Users:
    """The application's users."""
    users: Users = request.app.state.users
    return users


def live_figures(request: Request) -> LiveFigures:
    """The application's figures."""
    figures: LiveFigures = request.app.state.figures
    return figures


def expected_version(if_match: Annotated[str | None, Header()] = None) -> int | None:
    """The version in ``If-Match``, if there is one."""
    if if_match is None:
        return None
    text = if_match.strip('"')
    if not text.isdecimal():
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "If-Match takes a version, as 3.")
    return int(text)


Stored = Annotated[Users, Depends(stored_users)]
Figures = Annotated[LiveFigures, Depends(live_figures)]
Version = Annotated[int | None, Depends(expected_version)]
PageSize = Annotated[int, Query(ge=1, le=5000)]


@router.post("", status_code=status.HTTP_201_CREATED)
async def create(new: NewUser, users: Stored, response: Response) -> User:
    user = await users.create(new)
    response.headers["Location"] = f"/users/{user.id}"
    return user


@router.post("/batch", status_code=status.HTTP_201_CREATED)
async def create_batch(new: NewUsers, users: Stored) -> list[User]:
    """All or none."""
    return await users.create_all(new.users)


@router.get("")
async def list_page(
    users: Stored,
    size: Annotated[int, Query(ge=1, le=1000)] = 50,
    after: Annotated[str | None, Query(max_length=1000)] = None,
) -> UserPage:
    """One page; ``next`` of the answer is the ``after`` of the next one."""
    found, token = await users.page(size, None if after is None else _paging_state(after))
    return UserPage(users=found, next=None if token is None else _token(token))


@router.get("/stream", response_class=PagesResponse)
async def stream(users: Stored, figures: Figures, page_size: PageSize = 500) -> PagesResponse:
    """Every user, a line of JSON each; Cassandra is read only as fast as the client reads."""
    return PagesResponse(await users.stream(page_size, figures.on_page), _lines)


@router.get("/pages", response_class=PagesResponse)
async def pages(users: Stored, figures: Figures, page_size: PageSize = 500) -> PagesResponse:
    """Every user, a line for each page: ``{"page": 1, "users": [...]}``."""
    number = 0

    def line(page: list[Any]) -> bytes:
        nonlocal number
        number += 1
        inside = b",".join(user_line(row).rstrip() for row in page)
        return b'{"page":%d,"users":[%b]}\n' % (number, inside)

    return PagesResponse(await users.stream(page_size, figures.on_page), line)


@router.get("/{user_id}")
async def read(user_id: UUID, users: Stored, response: Response) -> User:
    user = await users.read(user_id)
    response.headers["ETag"] = f'"{user.version}"'
    return user


@router.put("/{user_id}")
async def replace(user_id: UUID, new: NewUser, users: Stored, version: Version) -> User:
    return await users.change(user_id, new.model_dump(), version)


@router.patch("/{user_id}")
async def patch(user_id: UUID, changes: Patch, users: Stored, version: Version) -> User:
    return await users.change(user_id, changes.model_dump(exclude_unset=True), version)


@router.delete("/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete(user_id: UUID, users: Stored, version: Version) -> None:
    await users.delete(user_id, version)


async def not_found(request: Request, error: Exception) -> JSONResponse:
    """The answer to :class:`NotFound`."""
    return JSONResponse({"detail": "There is no such user."}, status.HTTP_404_NOT_FOUND)


async def conflict(request: Request, error: Exception) -> JSONResponse:
    """The answer to :class:`Conflict`."""
    return JSONResponse({"detail": str(error)}, status.HTTP_409_CONFLICT)


ANSWERS = {NotFound: not_found, Conflict: conflict}


def _lines(page: list[Any]) -> bytes:
    return b"".join(map(user_line, page))


def _token(paging_state: bytes) -> str:
    return base64.urlsafe_b64encode(paging_state).decode().rstrip("=")


def _paging_state(token: str) -> bytes:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "This is no paging token.") from None
