"""What a deployment may say about challengers, and what contradicts it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from registry.reference import CHALLENGER, CHAMPION, ModelRef
from tasks.errors import InvalidRecipe


class Configured(Protocol):
    """The settings that are about more than one version."""

    @property
    def upstreams(self) -> Iterable[str]: ...

    @property
    def models(self) -> tuple[str, ...]: ...

    @property
    def swap(self) -> str: ...

    @property
    def challenger_share(self) -> float: ...

    @property
    def shadow_share(self) -> float: ...


def left_alone(config: Configured) -> list[str]:
    """Of what is configured, the models that can have no challenger: versions that are pinned, aliases of their own,
    and what another server runs."""
    pinned = [text for text in config.models if ModelRef.parse(text).alias != CHAMPION]
    return [*pinned, *config.upstreams]


def check_challenger(config: Configured) -> None:
    """Where traffic is to be shared there must be room for two and somebody to share it. Raises InvalidRecipe."""
    shares = {"challenger_share": config.challenger_share, "shadow_share": config.shadow_share}
    given = " and ".join(f"{name} {share:g}" for name, share in shares.items() if share)
    if not given:
        return
    if config.swap == "replace":
        raise InvalidRecipe(
            f"configuration: a challenger for {given} is in memory beside its champion, and swap replace says that two "
            "versions do not fit: leave one of them out"
        )
    refs = [ModelRef.parse(text) for text in config.models]
    if named := [str(ref) for ref in refs if ref.alias == CHALLENGER]:
        raise InvalidRecipe(
            f"configuration: {', '.join(named)} is served beside its champion because of {given}: leave it out of "
            "models, or it would be loaded twice"
        )
    if refs and all(ref.alias != CHAMPION for ref in refs):
        raise InvalidRecipe(
            f"configuration: {given}, and none of the models follows its champion: {', '.join(config.models)}; name a "
            "model without version or alias, or leave the share out"
        )
