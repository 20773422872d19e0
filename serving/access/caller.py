"""Who asks, and what that caller may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from serving.access.counts import AccessCounts, Reason
from tasks.errors import Forbidden, Unauthenticated

ADMINISTRATION = (
    "this call is administration and needs a token: send the header 'Authorization: Bearer <token>' with an admin key "
    "or the token that the server was started with (TIDEGATE_ADMIN_TOKEN)"
)


class Role(StrEnum):
    """What a key is for. An administrator may predict too."""

    PREDICT = "predict"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """`name`: of the key; empty for anybody, where no key is asked for. `lacking`: why administration is refused."""

    name: str
    role: Role
    lacking: Reason = Reason.ROLE
    counts: AccessCounts = field(default_factory=AccessCounts, repr=False, compare=False)

    def require_admin(self) -> None:
        """Raises Forbidden for a key of another role, Unauthenticated for a caller without one. Either is counted."""
        if self.role is Role.ADMIN:
            return
        self.counts.refuse(self.lacking, self.name)
        if self.lacking is Reason.ROLE:
            raise Forbidden(f"key {self.name!r} has the role {self.role}; {ADMINISTRATION}")
        raise Unauthenticated(ADMINISTRATION)
