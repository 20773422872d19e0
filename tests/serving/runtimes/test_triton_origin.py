from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.runtimes.triton_origin import Origin, encode_origin, parameter_of, read_origins

ORIGINS = st.builds(Origin, digest=st.text(max_size=70), variant=st.text(max_size=20))
VERSIONS = st.integers(1, 10**9).map(str)


@given(origins=st.dictionaries(VERSIONS, ORIGINS, max_size=5), others=st.dictionaries(st.text(), st.text(), max_size=5))
def test_what_is_written_of_each_version_is_read_among_other_parameters(
    origins: dict[str, Origin], others: dict[str, str]
) -> None:
    ours = {parameter_of(version): encode_origin(origin) for version, origin in origins.items()}
    read = read_origins(others | ours)
    assert {version: read[version] for version in origins} == origins


def test_what_no_export_wrote_says_nothing() -> None:
    assert read_origins({"tidegate.1": "{", "tidegate.2": '{"digest": 3, "variant": "fp32"}', "threads": "4"}) == {}
