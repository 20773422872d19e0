from __future__ import annotations

from pathlib import Path

import pytest

from serving.config_sources import load_config
from tasks.errors import InvalidRecipe


def test_triton_and_its_address_may_come_from_two_sources_and_go_together(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('engine = "triton"\n')
    assert load_config({"TIDEGATE_TRITON_URL": "gpu:8001"}, {}, file).engine_choice.triton_url == "gpu:8001"
    with pytest.raises(InvalidRecipe, match="engine is 'triton' and triton_url ''"):
        load_config({}, {}, file)
    with pytest.raises(InvalidRecipe, match="engine is 'onnxruntime' and triton_url 'gpu:8001'"):
        load_config({"TIDEGATE_TRITON_URL": "gpu:8001"}, {})


@pytest.mark.parametrize("url", ["http://gpu:8001", "gpu", "gpu:", ":8001", "gpu:8001/v2", "gpu:grpc"])
def test_an_address_that_no_triton_can_have_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidRecipe, match=r"triton_url is .* must be HOST:PORT"):
        load_config({"TIDEGATE_ENGINE": "triton", "TIDEGATE_TRITON_URL": url}, {})


@pytest.mark.parametrize("url", ["gpu:8001", "triton.models.svc:9001", "10.0.0.7:8001", "[::1]:8001"])
def test_names_and_addresses_of_triton_are_taken(url: str) -> None:
    assert load_config({"TIDEGATE_ENGINE": "triton", "TIDEGATE_TRITON_URL": url}, {}).triton_url == url


def test_no_version_is_given_up_here_for_one_that_runs_on_triton() -> None:
    with pytest.raises(InvalidRecipe, match="swap replace"):
        load_config({"TIDEGATE_ENGINE": "triton", "TIDEGATE_TRITON_URL": "gpu:8001", "TIDEGATE_SWAP": "replace"}, {})


def test_how_triton_is_reached_can_be_chosen() -> None:
    where = {"TIDEGATE_ENGINE": "triton", "TIDEGATE_TRITON_URL": "gpu:8001"}
    how = {"TIDEGATE_TRITON_IN_FLIGHT": "8", "TIDEGATE_TRITON_TRANSPORT": "shared_memory"}
    choice = load_config(where | how, {}).engine_choice
    assert (choice.triton_in_flight, choice.triton_transport) == (8, "shared_memory")
    with pytest.raises(InvalidRecipe, match="triton_in_flight"):
        load_config({"TIDEGATE_TRITON_IN_FLIGHT": "0"}, {})
