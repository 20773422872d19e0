"""The one place that says who a caller is: by API key, by the administrator's token, or anybody where keys are off."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from serving.access.caller import Caller, Role
from serving.access.counts import AccessCounts, Reason
from serving.access.credential import find_credential

ADMIN_TOKEN = "admin_token"
"""The name of whoever brings the token of the configuration."""


class Access:
    """Without keys everybody may predict, and the token makes an administrator."""

    def __init__(self, admin_token: str, counts: AccessCounts) -> None:
        self._admin_token = admin_token.encode()
        self._admin = Caller(ADMIN_TOKEN, Role.ADMIN, counts=counts)
        self._without_key = Caller("", Role.PREDICT, Reason.MISSING, counts)
        self._with_unknown_key = Caller("", Role.PREDICT, Reason.UNKNOWN, counts)

    def identify(self, headers: Mapping[bytes, bytes]) -> Caller:
        """Who sent a request with these lower-case headers. Raises Unauthenticated, counted."""
        token = find_credential(headers)
        if token is None:
            return self._without_key
        if self._admin_token and hmac.compare_digest(token, self._admin_token):
            return self._admin
        return self._with_unknown_key

    def admit(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The same for a request that counts: its key's rate is charged. Raises Unauthenticated or Overloaded."""
        return self.identify(headers)
