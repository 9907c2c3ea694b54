"""What the server says when a session begins."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skyline import _native


@dataclass(frozen=True)
class Session:
    """What the server said at the login (docs/protocol.md, section 5)."""

    is_activated_now: bool
    """Whether this login activated the license."""

    activation_date: datetime.date
    """The day of activation."""

    license_plan: str
    """The plan, for example ``telepower.licensePlan.release.monthly``."""

    expiry_date: datetime.date
    """The day on which the license runs out."""


def from_native(session: _native.Session) -> Session:
    """The session as the application sees it."""
    return Session(
        is_activated_now=session.is_activated_now,
        activation_date=datetime.date.fromisoformat(session.activation_date),
        license_plan=session.license_plan,
        expiry_date=datetime.date.fromisoformat(session.expiry_date),
    )
