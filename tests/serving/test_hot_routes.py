from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.hot_routes import find_route


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/completions", ("openai", "", None, "/v1/completions")),
        ("/v1/chat/completions", ("openai", "", None, "/v1/chat/completions")),
        ("/v2/models/tiny/generate", ("v2", "tiny", None, "generate")),
        ("/v2/models/tiny/versions/3/generate_stream", ("v2", "tiny", "3", "generate_stream")),
        ("/v1/models/tiny/generate", ("v1", "tiny", None, "generate")),
        ("/v1/models/tiny/drift", None),
        ("/v1/models/tiny", None),
        ("/v1/models", None),
        ("/v1/completions/", None),
        ("/v2/models/tiny/ready", None),
    ],
)
def test_what_is_hot(path: str, route: tuple[str, str, str | None, str] | None) -> None:
    assert find_route(path) == route


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["", "v1", "v2", "models", "versions", "m", "infer", "completions", "chat"])).map(
        "/".join
    )
)
def test_any_path_is_routed_or_not(path: str) -> None:
    route = find_route(path)
    assert route is None or path.endswith(route.call)
