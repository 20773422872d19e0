"""Models that generate under the same host as all others: swap, drain, unload, and what a scrape shows of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.deadline import Deadline
from serving.generation.answering import Answering
from serving.generative_model import GenerativeModel
from serving.model_kinds import default_timeout_s
from serving.oip.metadata import model_config, model_metadata
from serving.oip.statistics import model_statistics
from serving.prompts import generative
from tasks.errors import NotReady, Unsupported
from tests.handmade import Handmade, build_package
from tests.serving.host_server import HostServer, host_server, publish, until
from tests.serving.remote_store import RemoteStore
from tests.tiny_language import build_language_package

LONG = 230


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders tiny-0 and tiny-1, which continue differently, and colours."""
    root = tmp_path_factory.mktemp("packages")
    for seed in range(2):
        build_language_package(root / f"tiny-{seed}", seed=seed, context=256, num_golden=2)
    build_package(root / "colours", Handmade())
    return root


@pytest.fixture
def store(tmp_path: Path, packages: Path) -> RemoteStore:
    """tiny/1 is the champion."""
    made = RemoteStore(tmp_path / "store")
    publish(made, packages / "tiny-0")
    return made


async def begin(model: GenerativeModel, num_tokens: int, text: str = "Return the number") -> Answering:
    params = model.task.parse_params({"temperature": 0, "max_tokens": num_tokens, "ignore_end": True})
    return await model.start(model.task.prompt(text), params, Deadline())


def served(server: HostServer) -> GenerativeModel:
    return generative(server.host.get("tiny"))


@pytest.mark.parametrize("swap", ["beside", "replace"])
async def test_streams_of_the_old_version_end_as_they_began(store: RemoteStore, packages: Path, swap: str) -> None:
    async with host_server(store, swap=swap) as server:
        old = served(server)
        alone = await (await begin(old, LONG)).wait()
        streams = [await begin(old, LONG) for _ in range(3)]
        for stream in streams:
            await anext(stream)
        publish(store, packages / "tiny-1")
        await until(lambda: server.states() == {"tiny": "READY"} and served_version(server) == "2")
        new = served(server)
        fresh = await (await begin(new, LONG)).wait()
        for stream in streams:
            (answer,) = await stream.wait()
            assert answer.text == alone[0].text
        assert fresh[0].text != alone[0].text
        await until(lambda: not server.host._retirements)
        with pytest.raises(NotReady):
            await begin(old, 1)


def served_version(server: HostServer) -> str:
    return server.host.index()[0].version


async def test_both_kinds_are_served_side_by_side_and_told_apart(store: RemoteStore, packages: Path) -> None:
    publish(store, packages / "colours")
    async with host_server(store) as server:
        assert server.states() == {"tiny": "READY", "colours": "READY"}
        with pytest.raises(Unsupported, match="'colours' does not generate"):
            generative(server.host.get("colours"))
        timeouts = {name: default_timeout_s(server.host.get(name), server.config) for name in ("tiny", "colours")}
        assert timeouts == {"tiny": 600.0, "colours": 30.0}


async def test_stopping_answers_what_was_begun(store: RemoteStore) -> None:
    async with host_server(store) as server:
        stream = await begin(served(server), LONG)
        await anext(stream)
    (answer,) = await stream.wait()
    assert len(answer.tokens) == LONG


async def test_an_unloaded_model_ends_its_streams_and_can_be_loaded_again(store: RemoteStore) -> None:
    async with host_server(store) as server:
        stream = await begin(served(server), LONG)
        await server.host.unload("tiny")
        with pytest.raises(NotReady, match="unloaded"):
            server.host.get("tiny")
        assert len((await stream.wait())[0].tokens) == LONG
        await server.host.load("tiny")
        assert len((await (await begin(served(server), 4)).wait())[0].tokens) == 4


async def test_a_deployment_caps_slots_and_the_line_before_them(store: RemoteStore) -> None:
    async with host_server(store, max_slots=2) as server:
        streams = [await begin(served(server), LONG, f"{number} items") for number in range(6)]
        await anext(streams[0])
        scraped = values(server)
        assert scraped["tidegate_slots"] == 1  # the manifest has 1 and 4
        assert scraped["tidegate_running_sequences"] == 1
        assert scraped["tidegate_waiting_sequences"] == 5
        assert scraped["tidegate_slot_occupancy"] == 1
        assert scraped["tidegate_in_flight_requests"] == 6
        for stream in streams:
            stream.cancel()


def values(server: HostServer) -> dict[str, float]:
    """Of all samples of the model's own, the sums over other labels."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(server.scrape()):
        for sample in family.samples:
            if sample.labels.get("model") == "tiny":
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


async def test_a_scrape_shows_tokens_times_and_prefixes(store: RemoteStore) -> None:
    async with host_server(store) as server:
        model = served(server)
        text = "Return the number of items in the list, or raise a ValueError if there are none. " * 2
        prompt = model.task.prompt(text)
        for _ in range(2):
            await (await begin(model, 8, text)).wait()
        scraped = values(server)
        assert scraped["tidegate_time_to_first_token_seconds_count"] == 2
        assert scraped["tidegate_time_per_output_token_seconds_count"] == 2 * 7
        assert scraped["tidegate_generation_seconds_count"] == 2
        assert scraped["tidegate_prompt_tokens_total"] == 2 * prompt.length
        assert scraped["tidegate_completion_tokens_total"] == 16
        assert scraped["tidegate_prefix_lookups_total"] == 2
        assert scraped["tidegate_prefix_hits_total"] == 1
        assert 0 < scraped["tidegate_prompt_tokens_reused_total"] < prompt.length
        assert scraped["tidegate_answers_finished_total"] == 2
        assert scraped["tidegate_decoded_rows_total"] == 2 * 7
        assert scraped["tidegate_decoder_runs_total"] >= 2 * 7 + 2
        assert scraped["tidegate_generation_unanswered_total"] == 0
        assert scraped["tidegate_running_sequences"] == scraped["tidegate_waiting_sequences"] == 0


async def test_every_metric_says_what_it_is(store: RemoteStore) -> None:
    async with host_server(store) as server:
        families = list(text_string_to_metric_families(server.scrape()))
    told = {family.name: family.documentation for family in families if family.name.startswith("tidegate_")}
    assert all(text.endswith(".") and len(text) > 15 for text in told.values()), told


async def test_numbers_go_on_when_a_version_comes_back(store: RemoteStore, packages: Path) -> None:
    async with host_server(store) as server:
        await (await begin(served(server), 8)).wait()
        await server.host.unload("tiny")
        await server.host.load("tiny")
        await (await begin(served(server), 8)).wait()
        assert values(server)["tidegate_completion_tokens_total"] == 16


async def test_drift_of_prompts_is_reported(store: RemoteStore) -> None:
    async with host_server(store, drift_min_window=3, drift_check_interval_s=0.01) as server:
        model = served(server)
        for number in range(4):
            await (await begin(model, 3, f"Return {number} items")).wait()
        await until(lambda: model.drift.observed == 4)
        report = model.monitor.report()
        assert report.status != "collecting"
        assert {"prompt_tokens", "mean_logprob", "stop_reason"} <= {signal.signal for signal in report.signals}


async def test_what_it_says_of_itself_is_what_it_takes_and_did(store: RemoteStore) -> None:
    async with host_server(store) as server:
        model = served(server)
        await (await begin(model, 6)).wait()
        metadata, config, seen = model_metadata(model), model_config(model), model_statistics(model)
    assert [(one["name"], one["datatype"]) for one in metadata["inputs"]] == [("text_input", "BYTES")]
    assert metadata["outputs"][0] == {"name": "text_output", "datatype": "BYTES", "shape": [-1]}
    assert config["model_transaction_policy"] == {"decoupled": True}
    assert (seen["inference_count"], seen["inference_stats"]["queue"]["count"]) == (1, 1)
    assert seen["execution_count"] == seen["inference_stats"]["compute_infer"]["count"] == 6
    assert seen["last_inference"] > 0


async def test_a_generator_that_has_failed_is_not_ready_until_the_model_is_loaded_again(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host_server(store, hang_timeout_s=0.05) as server:
        model = served(server)

        def fail() -> None:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(model.generator._scheduler, "schedule", fail)
        with pytest.raises(NotReady, match="must be loaded again"):
            await (await begin(model, 5)).wait()
        await until(lambda: server.states() == {"tiny": "UNAVAILABLE"})
        await server.host.load("tiny")
        assert len((await (await begin(served(server), 5)).wait())[0].tokens) == 5
