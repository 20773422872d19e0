"""The one place that says who a caller is: by API key, by the administrator's token, or anybody where keys are off."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from serving.access.account import Account
from serving.access.caller import Caller, Role
from serving.access.counts import AccessCounts, Reason
from serving.access.credential import find_credential
from serving.access.live_keys import LiveKeys
from tasks.errors import Unauthenticated

ADMIN_TOKEN = "admin_token"
"""The name of whoever brings the token of the configuration."""
HOW = "send 'Authorization: Bearer <key>' or 'X-API-Key: <key>'"


class Access:
    """`keys`: None where everybody may predict. The token of the configuration makes an administrator either way."""

    def __init__(self, admin_token: str, counts: AccessCounts, keys: LiveKeys | None = None) -> None:
        self._admin_token, self._counts, self._keys = admin_token.encode(), counts, keys
        self._admin = Account(Caller(ADMIN_TOKEN, Role.ADMIN, counts=counts), counts)
        self._without_key = Account(Caller("", Role.PREDICT, Reason.MISSING, counts), counts)
        self._with_unknown_key = Account(Caller("", Role.PREDICT, Reason.UNKNOWN, counts), counts)

    def identify(self, headers: Mapping[bytes, bytes]) -> Caller:
        """Who sent a request with these lower-case headers. Raises Unauthenticated, counted."""
        return self._account(headers).caller

    def admit(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The same for a request that counts: its key's rate is charged. Raises Unauthenticated or Overloaded."""
        account = self._account(headers)
        account.charge()
        return account.caller

    def knows(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether this is somebody with a key of this server, or keys are off. Nothing is counted."""
        if self._keys is None:
            return True
        token = find_credential(headers)
        return token is not None and self._known(token) is not None

    def _account(self, headers: Mapping[bytes, bytes]) -> Account:
        token = find_credential(headers)
        if token is None:
            return self._anybody(self._without_key, f"an API key is needed: {HOW}")
        return self._known(token) or self._anybody(
            self._with_unknown_key, f"this is no API key of this server, or it was revoked: {HOW}"
        )

    def _known(self, token: bytes) -> Account | None:
        if self._keys is not None and (account := self._keys.keyring.find(token)) is not None:
            return account
        if self._admin_token and hmac.compare_digest(token, self._admin_token):
            return self._admin
        return None

    def _anybody(self, account: Account, told: str) -> Account:
        """A caller whom nobody knows, where that is enough."""
        if self._keys is None:
            return account
        self._counts.refuse(account.caller.lacking)
        raise Unauthenticated(told)
