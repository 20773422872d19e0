from __future__ import annotations

from pathlib import Path

from training.data.visible_files import find_visible


def test_what_is_hidden_is_passed_by_at_any_depth(tmp_path: Path) -> None:
    root = tmp_path / ".hidden" / "pictures"
    for name in ("b/1.png", "a/2.png", "a/._2.png", ".git/3.png", "a/.thumbnails/4.png", "a/5.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    assert find_visible(root, "**/*.png") == [root / "a" / "2.png", root / "b" / "1.png"]
