import json
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.peers.apps.settings import Settings
from benchmarks.peers.contender import OURS, Contender
from benchmarks.peers.model_folders import write_mlserver, write_triton
from benchmarks.peers.roster import CONTENDERS, PEERS
from benchmarks.peers.running import PeerFailed, running
from benchmarks.peers.stand import ROOT, Stand
from benchmarks.peers.workload import Kind

APPS = sorted((ROOT / "benchmarks" / "peers" / "apps").glob("*.py"))


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    settings = Settings(graph=tmp_path / "model.onnx", size=64, max_batch=8, max_wait_ms=2.0, port=12345)
    return Stand("tiny", tmp_path / "packages", settings, tmp_path)


def test_ours_is_the_first_and_every_peer_can_be_installed() -> None:
    assert CONTENDERS[0].name == OURS
    script = ROOT / "scripts" / "peers-env.sh"
    subprocess.run(["sh", "-n", script], check=True)
    known = re.search(r"is not among ([a-z ]+)", script.read_text())
    assert known is not None
    assert sorted(known[1].split()) == sorted(PEERS)


@pytest.mark.parametrize("app", APPS, ids=lambda path: path.stem)
def test_apps_compile_and_import_nothing_of_the_project_but_each_other(app: Path) -> None:
    source = app.read_text()
    compile(source, app, "exec")
    own = ("tidegate", "tasks", "registry", "monitoring", "serving", "training", "export", "tests", "benchmarks")
    imported = [line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))]
    ours = [name for name in imported if name.partition(".")[0] in own]
    assert all(name.startswith("benchmarks.peers.apps.") for name in ours)


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
@pytest.mark.parametrize("kind", ["tensor", "picture"])
def test_everybody_is_started_and_asked_at_the_port_of_its_stand(
    contender: Contender, kind: Kind, stand: Stand
) -> None:
    payload = b"\xff\xd8\xff" + bytes(100)
    request = contender.call(stand, kind, payload).request
    assert request.url.startswith("http://127.0.0.1:12345/")
    assert len(request.body) > 100
    assert all(contender.command(stand))


def test_what_an_app_is_told_comes_back_from_its_environment(stand: Stand) -> None:
    assert Settings.from_environment(stand.settings.variables()) == stand.settings


def test_mlserver_batches_in_its_own_process(stand: Stand) -> None:
    write_mlserver(stand)
    server, model = (json.loads((stand.folder / name).read_text()) for name in ("settings.json", "model-settings.json"))
    assert (server["grpc_port"], server["parallel_workers"]) == (12345, 0)
    assert (model["name"], model["max_batch_size"], model["max_batch_time"]) == ("tiny", 8, 0.002)


def test_triton_has_a_model_for_each_kind_of_input_and_its_configuration_parses(stand: Stand) -> None:
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    write_triton(stand)
    repository = stand.folder / "repository"
    configs = [text_format.Parse(path.read_text(), ModelConfig()) for path in sorted(repository.glob("*/config.pbtxt"))]
    assert {(config.name, config.input[0].name) for config in configs} == {
        ("tiny", "image"),
        ("pictures", "encoded_image"),
    }
    for config in configs:
        assert config.dynamic_batching.max_queue_delay_microseconds == 2000
        assert (repository / config.name / "1" / "model.py").exists()


def test_a_peer_that_is_not_installed_says_how_it_would_be(stand: Stand) -> None:
    absent = Contender("absent", "absent", "", lambda _: ["true"], PEERS["ray"].call)
    with pytest.raises(PeerFailed, match=r"make peers-env"), running(absent, stand, {"tensor": b"x"}):
        pass
