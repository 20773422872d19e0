from __future__ import annotations

import pytest

from serving.challenger.configured import left_alone
from serving.config_sources import load_config
from tasks.errors import InvalidRecipe


def test_shares_come_from_the_environment_like_all_else() -> None:
    config = load_config({"TIDEGATE_CHALLENGER_SHARE": "0.05", "TIDEGATE_SHADOW_SHARE": "1"}, {})
    assert (config.challenger_share, config.shadow_share) == (0.05, 1.0)
    assert load_config({}, {}).challenger_share == load_config({}, {}).shadow_share == 0


@pytest.mark.parametrize("share", ["1.5", "-0.1", "much"])
def test_a_share_is_a_part_of_the_whole(share: str) -> None:
    with pytest.raises(InvalidRecipe, match="challenger_share"):
        load_config({"TIDEGATE_CHALLENGER_SHARE": share}, {})


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"swap": "replace"}, "swap replace says that two versions do not fit"),
        ({"models": ("digits", "digits@challenger")}, "digits@challenger is served beside its champion"),
        ({"models": ("digits/3", "cats@tried")}, "none of the models follows its champion: digits/3, cats@tried"),
    ],
)
def test_what_contradicts_a_share_is_refused_with_what_to_do(settings: dict[str, object], complaint: str) -> None:
    assert load_config({}, settings)
    for share in ("challenger_share", "shadow_share"):
        with pytest.raises(InvalidRecipe, match=complaint) as refused:
            load_config({}, settings | {share: 0.1})
        assert f"{share} 0.1" in str(refused.value)
        assert "leave" in str(refused.value)


def test_what_can_have_no_challenger_is_told() -> None:
    upstreams = {"assistant": {"url": "http://127.0.0.1:9000/v1"}}
    config = load_config({}, {"models": ("digits", "cats/3", "dogs@tried"), "upstreams": upstreams})
    assert left_alone(config) == ["cats/3", "dogs@tried", "assistant"]


def test_a_pinned_version_beside_a_champion_contradicts_nothing() -> None:
    assert load_config({}, {"models": ("digits", "cats/3"), "challenger_share": 0.1})
