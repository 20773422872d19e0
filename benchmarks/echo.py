"""The references of the small-request bars: servers that answer a request's own body and do nothing else.

python -m benchmarks.echo http PORT      bare ASGI on uvicorn (uvloop, httptools)
python -m benchmarks.echo grpc PORT      bare grpc.aio on uvloop, messages passed through as bytes
"""

from __future__ import annotations

import sys
from typing import Any

import grpc
import uvicorn
import uvloop


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Collect the body, send it back."""
    assert scope["type"] == "http"
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(parts)
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve_http(port: int) -> None:
    uvicorn.run(echo, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="error", lifespan="off")


async def serve_grpc(port: int) -> None:
    async def answer(message: bytes, context: Any) -> bytes:
        return message

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(answer)
    service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": handler})
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    protocol, port_number = sys.argv[1], int(sys.argv[2])
    if protocol == "http":
        serve_http(port_number)
    else:
        uvloop.run(serve_grpc(port_number))
