"""The gate before every gRPC call: who asks is known before a message is read."""

from __future__ import annotations

from typing import Any

import grpc

from serving.access.access import Access
from serving.access.credential import headers_of
from serving.access.keyless_calls import KeylessCalls
from serving.access.open_paths import CALLS
from serving.grpc_disconnects import as_cancelled
from serving.metrics import Metrics
from serving.oip.grpc_message import PROTOCOL, status_of
from tasks.errors import TidegateError


class GatedCalls(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The calls of a service, for those who may make them.

    Asked by the server for every call, like an interceptor, and cheaper: interceptors cost a coroutine each.
    """

    def __init__(self, inner: grpc.GenericRpcHandler, access: Access, metrics: Metrics, keyless: KeylessCalls) -> None:
        self._inner, self._access, self._metrics, self._keyless = inner, access, metrics, keyless

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a call, one that refuses it, or None where there is no such call."""
        handler = self._inner.service(handler_call_details)
        if handler is None:
            return None
        headers = headers_of(handler_call_details.invocation_metadata)
        if handler_call_details.method in CALLS:
            return handler if self._access.knows(headers) else self._keyless.bounded(handler, self._refuse)
        try:
            # A stream's messages are requests, and charged one by one.
            (self._access.identify if handler.request_streaming else self._access.admit)(headers)
        except TidegateError as error:
            return self._refusing(error)
        return handler

    def _refusing(self, error: TidegateError) -> Any:
        """A handler that refuses. One of streams, whatever the call: it answers before a message was read."""

        async def refuse(messages: Any, context: grpc.aio.ServicerContext) -> None:
            await self._refuse(error, context)

        return grpc.stream_stream_rpc_method_handler(refuse)

    async def _refuse(self, error: TidegateError, context: grpc.aio.ServicerContext) -> None:
        code, details = status_of(error)
        self._metrics.request_without_model(PROTOCOL, code.name)
        with as_cancelled():
            await context.abort(code, details)
