"""The local door of a running session: a unix socket in its folder, a JSON object a line each way.

Only who may enter the folder may knock: the socket's mode is 0600.  Its path may be longer than a socket's name can
be, so both ends reach it through a descriptor of the folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pinnacle.errors import OperatorError
from pinnacle.limits import CONTROL_BYTES_MAX, CONTROL_S_MAX

NAME = "control.sock"


@contextmanager
def _reached(folder: Path) -> Iterator[str]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)


class ControlServer:
    """answer: called with each request, gives the reply.  It runs in the session's own loop, so it must be short."""

    def __init__(self, folder: Path, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._folder, self._answer = folder, answer
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        (self._folder / NAME).unlink(missing_ok=True)
        with _reached(self._folder) as path:
            mask = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(self._serve, path, limit=CONTROL_BYTES_MAX)
            finally:
                os.umask(mask)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    asked = json.loads(line)
                    reply = self._answer(asked) if isinstance(asked, dict) else {"error": "not an object"}
                except json.JSONDecodeError:
                    reply = {"error": "not JSON"}
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            return
        finally:
            writer.close()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        (self._folder / NAME).unlink(missing_ok=True)


def ask(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Ask the session of a folder and wait for its reply.  Raises OperatorError if none runs there."""
    if not folder.is_dir():
        raise OperatorError(f"{folder}: no such folder; give the folder of a running session")
    with _reached(folder) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(CONTROL_S_MAX)
        try:
            door.connect(path)
            door.sendall(json.dumps(request).encode() + b"\n")
            with door.makefile("rb") as answers:
                line = answers.readline(CONTROL_BYTES_MAX)
        except (FileNotFoundError, ConnectionRefusedError):
            raise OperatorError(f"{folder}: no session runs there") from None
        except OSError as error:
            raise OperatorError(f"{folder}: the session does not answer ({error})") from None
    if not line:
        raise OperatorError(f"{folder}: the session ended without an answer")
    return dict(json.loads(line))
