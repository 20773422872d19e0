"""A real PostgreSQL (Debian's package) for tests: a cluster in a folder of its own, on a free port, by password."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.mlflow_server import free_port

TIMEOUT_S = 60.0
UNPRIVILEGED = "nobody"
"""Who runs it where the tests are run by root, which PostgreSQL refuses."""


@dataclass(frozen=True)
class PostgresServer:
    """`variables`: how libpq is told the password, which no URI then needs to name."""

    port: int
    variables: dict[str, str]

    def uri(self, database: str) -> str:
        """Of an empty database that is there already."""
        return f"postgresql+psycopg://mlflow@127.0.0.1:{self.port}/{database}"


def find_program(name: str, require_tool: Callable[[str], str]) -> str:
    """Debian keeps the server's programs off the PATH, by version."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else require_tool(name)


@contextmanager
def start_postgres(require_tool: Callable[[str], str], databases: tuple[str, ...]) -> Iterator[PostgresServer]:
    """Ready when this is entered; its folder goes with it."""
    initdb, postgres = (find_program(name, require_tool) for name in ("initdb", "postgres"))
    # Not in a folder of pytest's, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="tidegate-postgres-"))
    server = PostgresServer(free_port(), {"PGPASSWORD": "a-password-of-tests"})
    (folder / "password").write_text(server.variables["PGPASSWORD"])
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        person = pwd.getpwnam(UNPRIVILEGED)
        identity = {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []}
        for path in (folder, folder / "password"):
            os.chown(path, person.pw_uid, person.pw_gid)
    access = ("--username=mlflow", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}")
    options = ("-c", f"port={server.port}", "-c", "unix_socket_directories=", "-c", "fsync=off")
    try:
        made = subprocess.run(
            [initdb, "--pgdata", str(folder / "data"), *access, "--encoding=UTF8", "--no-sync"],
            capture_output=True, text=True, cwd=folder, check=False, **identity,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        with (folder / "log").open("w") as log:
            child = subprocess.Popen(
                [postgres, "-D", str(folder / "data"), *options], cwd=folder, stdout=log, stderr=log, **identity
            )
        try:
            make_databases(server, databases, child, folder / "log")
            yield server
        finally:
            # Asked to terminate it would wait for every client; interrupted it sends them away.
            child.send_signal(signal.SIGINT)
            child.wait(TIMEOUT_S)
    finally:
        shutil.rmtree(folder)


def make_databases(server: PostgresServer, names: tuple[str, ...], child: subprocess.Popen[bytes], log: Path) -> None:
    """As soon as it takes connections."""
    import psycopg

    expires_at = time.monotonic() + TIMEOUT_S
    while True:
        assert child.poll() is None, log.read_text()
        assert time.monotonic() < expires_at, log.read_text()
        try:
            address = {"host": "127.0.0.1", "port": server.port, "user": "mlflow", "dbname": "postgres"}
            with psycopg.connect(**address, password=server.variables["PGPASSWORD"], autocommit=True) as connection:
                for name in names:
                    connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
                return
        except psycopg.OperationalError:
            time.sleep(0.1)
