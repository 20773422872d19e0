from __future__ import annotations

from pathlib import Path

from serving.config_sources import load_config


def test_engines_lie_in_the_cache_unless_they_have_a_folder_of_their_own() -> None:
    config = load_config({"TIDEGATE_ENGINE": "tensorrt", "TIDEGATE_CACHE_DIR": "/models"}, {})
    assert (config.engine_choice.name, config.engine_choice.engine_cache) == ("tensorrt", Path("/models/engines"))
    config = load_config({"TIDEGATE_ENGINE_CACHE": "/engines"}, {})
    assert config.engine_choice.engine_cache == Path("/engines")
