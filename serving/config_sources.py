"""Where the settings of a deployment come from.

Four sources, each over the one before: the defaults in config.py, a TOML file, TIDEGATE_* variables, command-line
flags.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from serving.access.tls_check import check_tls
from serving.capture.capture_check import check_capture
from serving.challenger.configured import check_challenger
from serving.config import ServerConfig
from serving.engine_check import check_engine
from tasks.errors import InvalidRecipe
from tasks.known_names import names_like
from tasks.unknown_field import explain

FIELDS = ServerConfig.__struct_fields__
PREFIX = "TIDEGATE_"
FILE_VARIABLE = "TIDEGATE_CONFIG"
FOREIGN_VARIABLES = frozenset({FILE_VARIABLE, "TIDEGATE_CACHE"})
"""Variables that are no settings: where the file of settings is, where training keeps its data sets."""
SERVICE_LINK = re.compile(
    r"(.*_)?(SERVICE_HOST=.*|SERVICE_PORT(_.*)?=.*|PORT=(tcp|udp|sctp)://.*|PORT_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?=.*)",
    re.DOTALL,
)
"""What Kubernetes adds by itself to every pod beside a Service named "tidegate", as NAME=value."""


def load_config(environment: Mapping[str, str], flags: Mapping[str, Any], file: Path | None = None) -> ServerConfig:
    """All sources in one. `flags`: field → value, None = not given; `file` defaults to $TIDEGATE_CONFIG.

    Raises InvalidRecipe naming the source and the field.
    """
    if file is None and FILE_VARIABLE in environment:
        file = Path(environment[FILE_VARIABLE])
    values = {} if file is None else read_file(file)
    values |= read_environment(environment)
    given = {name: value for name, value in flags.items() if value is not None}
    config = convert(values | convert_source(given, "command line"), "configuration")
    check_engine(config)
    check_tls(config.tls_certificate, config.tls_key)
    check_capture(config.capture_share, config.capture_dir)
    check_challenger(config)
    return config


def read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidRecipe(f"configuration file {path}: {error}") from error
    return convert_source(values, f"configuration file {path}")


def read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """TIDEGATE_HTTP_PORT=8080 → http_port; names of models are separated by commas, upstreams are a JSON object."""
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        name = variable.removeprefix(PREFIX)
        if name == variable or variable in FOREIGN_VARIABLES:
            continue
        field = name.lower()
        if field not in FIELDS and SERVICE_LINK.fullmatch(f"{name}={text}"):
            continue
        if field not in FIELDS:
            raise InvalidRecipe(
                f"environment variable {variable}: there is no such setting; {names_like(field, FIELDS)}"
            )
        values[field] = parse_text(field, text)
    return convert_source(values, "environment variable TIDEGATE_*", strict=False)


def parse_text(field: str, text: str) -> Any:
    """What a variable says about a field that is no word or number; other fields as they are. Raises InvalidRecipe."""
    if field == "models":
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if field != "upstreams":
        return text
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRecipe(
            f'environment variable {PREFIX}UPSTREAMS must be like {{"name": {{"url": "http://host/v1"}}}}: {error}'
        ) from error


def convert_source(values: Mapping[str, Any], source: str, strict: bool = True) -> dict[str, Any]:
    """The values of one source, each in its field's type, so that an error names where it came from."""
    config = convert(values, source, strict)
    return {name: getattr(config, name) for name in values}


def convert(values: Mapping[str, Any], source: str, strict: bool = True) -> ServerConfig:
    unknown = sorted(set(values) - set(FIELDS))
    if unknown:
        raise InvalidRecipe(f"{source}: unknown setting {unknown[0]!r}; {names_like(unknown[0], FIELDS)}")
    try:
        return msgspec.convert(dict(values), ServerConfig, strict=strict)
    except msgspec.ValidationError as error:
        raise InvalidRecipe(f"{source}: {explain(error, values, ServerConfig)}") from error
