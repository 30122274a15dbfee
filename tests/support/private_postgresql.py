"""A private PostgreSQL server in a temporary folder, run by an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

UNPRIVILEGED = ("postgres", "nobody")


def _programs() -> Path | None:
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return versions[-1].parent if versions else None


def _user() -> pwd.struct_passwd | None:
    """Whom to run as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


@contextmanager
def private_postgresql(skip: Callable[[str], None]) -> Iterator[str]:
    """Start a server, yield `postgresql+psycopg://tester@host:port`, stop it again."""
    programs, user = _programs(), _user()
    if programs is None:
        skip("PostgreSQL is not installed")
        raise AssertionError
    if user is None:
        skip("no unprivileged user to run PostgreSQL")
        raise AssertionError
    # Not under pytest's folder: that is root's alone.
    home = Path(tempfile.mkdtemp(prefix="bonescint-postgresql-"))
    try:
        if os.geteuid() == 0:
            os.chown(home, user.pw_uid, user.pw_gid)

        def run(*command: str) -> None:
            subprocess.run(
                [str(programs / command[0]), *command[1:]],
                check=True,
                cwd=home,
                user=user.pw_uid if os.geteuid() == 0 else None,
                group=user.pw_gid if os.geteuid() == 0 else None,
                extra_groups=[] if os.geteuid() == 0 else None,
                env={**os.environ, "HOME": str(home), "LC_ALL": "C"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=120,
            )

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        data = str(home / "data")
        run("initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home}"
        run("pg_ctl", "-D", data, "-w", "-l", str(home / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://tester@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def new_database(server: str) -> str:
    """Make an empty database and return its URL."""
    import psycopg

    name = f"t{uuid.uuid4().hex[:12]}"
    address = server.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    return f"{server}/{name}"
