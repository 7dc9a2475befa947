"""What clients send and get."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Age = Annotated[int, Field(ge=0, le=200)]

MAX_BATCH = 100


class NewUser(BaseModel):
    """A user as a client describes it."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    name: Name
    age: Age | None = None


class Patch(BaseModel):
    """Fields to change; those left out stay."""

    model_config = ConfigDict(extra="forbid")

    email: Email | None = None
    name: Name | None = None
    age: Age | None = None

    @model_validator(mode="after")
    def check_fields(self) -> Self:
        """Refuse an empty patch, and one that takes away what a user must have."""
        if not self.model_fields_set:
            raise ValueError("a patch changes at least one field")
        for field in ("email", "name"):
            if field in self.model_fields_set and getattr(self, field) is None:
                raise ValueError(f"{field} cannot be removed")
        return self


class User(NewUser):
    """A stored user.

    ``version`` grows by one with each change; who sends the version it has read, in ``If-Match``,
    changes nothing that somebody else changed since.
    """

    id: UUID
    version: int
    created: datetime


class UserPage(BaseModel):
    """Some users, and the token of the next page; ``None`` after the last one."""

    users: list[User]
    next: str | None = None


class NewUsers(BaseModel):
    """Users to create together, all or none."""

    users: Annotated[list[NewUser], Field(min_length=1, max_length=MAX_BATCH)]

    @model_validator(mode="after")
    def check_distinct(self) -> Self:
        emails = [user.email for user in self.users]
        if len(set(emails)) != len(emails):
            raise ValueError("two users have the same e-mail address")
        return self


class Comparison(BaseModel):
    """The same reads one after the other, and all at once."""

    requests: int
    sequential_seconds: float
    gathered_seconds: float
    times_faster: float
