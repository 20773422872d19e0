from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import NotFound
from training.data.config import StdlibConfig
from training.data.leakage import find_leakage
from training.data.near_duplicates import find_originals
from training.data.source import SPLITS, DataSource
from training.data.stdlib import choose_split, open_stdlib


@pytest.fixture(scope="module")
def stdlib() -> DataSource:
    return open_stdlib(StdlibConfig())


def texts(source: DataSource) -> dict[str, list[str]]:
    return {name: [example.payload.decode() for example in source.split(name)] for name in SPLITS}


def test_it_is_a_megabyte_of_prose_or_more(stdlib: DataSource) -> None:
    sizes = {name: sum(map(len, found)) for name, found in texts(stdlib).items()}
    assert sum(sizes.values()) > 1_000_000
    assert sizes["train"] > 0.5 * sum(sizes.values())
    assert min(sizes.values()) > 10_000


def test_no_text_of_a_held_out_module_is_learnt_from(stdlib: DataSource) -> None:
    assert find_leakage(stdlib) == []
    found = texts(stdlib)
    everything = [(name, part) for name in SPLITS for text in found[name] for part in text.split("\n\n")]
    long = [(name, part) for name, part in everything if len(part.split()) >= 12]
    homes: dict[str, set[str]] = {}
    for name, part in long:
        homes.setdefault(" ".join(part.lower().split()), set()).add(name)
    assert [part for part, names in homes.items() if len(names) > 1] == []


def test_the_same_files_are_the_same_data(stdlib: DataSource) -> None:
    assert open_stdlib(StdlibConfig()).digest == stdlib.digest
    assert open_stdlib(StdlibConfig(seed=1)).digest != stdlib.digest


def test_an_implementation_goes_with_what_it_implements() -> None:
    config = StdlibConfig()
    for seed in range(20):
        config = StdlibConfig(seed=seed)
        assert choose_split("_pydecimal.py", config) == choose_split("decimal.py", config)
        assert choose_split("_pyio.py", config) == choose_split("io.py", config)


def write_modules(folder: Path, count: int) -> None:
    for index in range(count):
        package = folder / f"package{index}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(
            f'"""Package number {index} does thing {index} for people of kind {index}."""'
        )
        (package / "shared.py").write_text('"""The same words stand in every one of these packages, more than five."""')


def test_any_folder_will_do_and_tests_in_it_are_left_out(tmp_path: Path) -> None:
    write_modules(tmp_path, 40)
    (tmp_path / "package1" / "tests").mkdir()
    (tmp_path / "package1" / "tests" / "test_it.py").write_text('"""Never learnt."""')
    (tmp_path / "package1" / "template.py").write_text("def {{name}}")
    found = texts(open_stdlib(StdlibConfig(path=str(tmp_path), validation_fraction=0.3, test_fraction=0.3)))
    everything = [text for parts in found.values() for text in parts]
    assert len(everything) == 41
    assert sum("The same words" in text for text in everything) == 1
    assert not any("Never learnt" in text for text in everything)
    assert find_originals(everything) == list(range(41))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no Python files"):
        open_stdlib(StdlibConfig(path=str(tmp_path)))
    write_modules(tmp_path, 1)
    with pytest.raises(NotFound, match=r"data\.seed"):
        open_stdlib(StdlibConfig(path=str(tmp_path)))
