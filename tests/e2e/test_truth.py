"""Feedback and capture with a real server: over HTTP and gRPC, killed in the middle, on a budget."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from prometheus_client.parser import text_string_to_metric_families

from monitoring.captured import is_unfinished
from monitoring.captured_items import read_captured
from serving.capture.writer import BATCH_ITEMS
from tests.e2e.conftest import RunningServer, start_server
from tests.handmade import Handmade, build_package, encoded

pytestmark = pytest.mark.e2e
BUDGET_BYTES = 4_000_000
"""Room for a batch that is done and the beginning of another, but not for all pictures: on a disk each takes 4096."""


def metric(server: RunningServer, name: str, **labels: str) -> float:
    """The sum of all samples with these labels."""
    text = httpx.get(f"http://{server.metrics}/metrics", trust_env=False, timeout=60).text
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


def test_feedback_on_answers_over_http_and_grpc_becomes_live_accuracy(tmp_path: Path) -> None:
    package = build_package(tmp_path / "package", Handmade())
    with start_server(tmp_path, [package]) as server, httpx.Client(trust_env=False, timeout=60) as client:
        url = f"http://{server.http}/v1/models/colours"
        truth = []
        for seed in range(8):
            answer = client.post(f"{url}/classify", content=encoded(seed))
            best = answer.json()["predictions"][0]["classes"][0]["label"]
            truth.append({"request_id": answer.headers["x-request-id"], "label": best if seed else "light"})
        inputs = triton_grpc.InferInput("encoded_image", [2], "BYTES")
        inputs.set_data_from_numpy(np.array([encoded(1), encoded(2)], object))
        with triton_grpc.InferenceServerClient(server.grpc) as over_grpc:
            result = over_grpc.infer("colours", [inputs], request_id="by-grpc")
        truth += [
            {"request_id": "by-grpc", "index": index, "label": labels[0].decode()}
            for index, labels in enumerate(result.as_numpy("labels"))
        ]
        results = client.post(f"{url}/feedback", json=[*truth, truth[0], {"request_id": "no", "label": "red"}]).json()
        assert [one["status"] for one in results["results"]] == [200] * 10 + [409, 404]
        wrong = metric(server, "tidegate_feedback_labels_total", model="colours", version="1", outcome="incorrect")
        right = metric(server, "tidegate_feedback_labels_total", model="colours", version="1", outcome="correct")
        expected = sum(not one["correct"] for one in results["results"][:10])
        assert (right, wrong) == (10 - expected, expected)
        assert expected <= 1
        for outcome, count in (("joined", 10), ("duplicate", 1), ("unknown", 1), ("expired", 0)):
            assert metric(server, "tidegate_feedback_total", model="colours", outcome=outcome) == count


def test_a_killed_server_leaves_whole_files_within_the_budget(tmp_path: Path) -> None:
    package = build_package(tmp_path / "package", Handmade())
    captured = tmp_path / "captured"
    settings = {
        "CAPTURE_SHARE": "1",
        "CAPTURE_DIR": str(captured),
        "CAPTURE_BUDGET_BYTES": str(BUDGET_BYTES),
    }
    payload = encoded(3)
    files = [("file", (f"{number}.jpg", payload)) for number in range(50)]
    with start_server(tmp_path, [package], **settings) as server:
        with httpx.Client(trust_env=False, timeout=60) as client:

            def send(times: int) -> None:
                for _ in range(times):
                    answer = client.post(f"http://{server.http}/v1/models/colours/classify", files=files)
                    assert answer.status_code == 200
                    total = sum(size_of(path) for path in captured.rglob("*"))
                    assert total <= BUDGET_BYTES

            # No faster than they are written: of a full queue they would be dropped.
            for num_batches in range(1, 4):
                send(BATCH_ITEMS // len(files))
                expires_at = time.monotonic() + 120
                while metric(server, "tidegate_captured_total", outcome="kept") < num_batches * BATCH_ITEMS:
                    assert time.monotonic() < expires_at
                    time.sleep(0.1)
            send(2)
        os.kill(server.pid, signal.SIGKILL)
    items = list(read_captured(captured, "colours"))
    assert len(items) >= BATCH_ITEMS
    assert all(item.picture is not None and item.picture.read_bytes() == payload for item in items)
    assert not [path for path in captured.rglob("*.parquet") if is_unfinished(path)]
    assert sum(size_of(path) for path in captured.rglob("*")) <= BUDGET_BYTES


def size_of(path: Path) -> int:
    """0 for a folder, and for a file that is gone since it was listed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
