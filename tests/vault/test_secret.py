"""A secret is shown by nothing, and is gone when it is dropped."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import msgspec
import pytest

from pinnacle.vault.secret import Secret

TEXT = "hunter2-correct-horse"
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r:>40}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: f"{[secret]} { {'a': secret} }",
        lambda secret: str(dir(secret)),
        lambda secret: str(OSError(secret)),
    ],
)
def test_shown_by_nothing(show: object) -> None:
    """No way of making text of a secret, alone or inside something, gives its bytes."""
    assert TEXT not in show(Secret(TEXT))  # type: ignore[operator]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_not_pickled(protocol: int) -> None:
    """No pickle of any protocol is made of it, so none goes to a worker or a file."""
    with pytest.raises(TypeError, match="not copied or pickled"):
        pickle.dumps(Secret(TEXT), protocol)


def test_not_copied_or_encoded() -> None:
    """Neither copies nor JSON nor iteration; vars() has nothing to show."""
    secret = Secret(TEXT)
    for attempt in (copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode, list, vars, bytes, hash):
        with pytest.raises((TypeError, NotImplementedError)) as caught:
            attempt(secret)  # type: ignore[operator]
        assert TEXT not in str(caught.value)


def test_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A log line and a traceback with locals show a placeholder."""
    secret = Secret(TEXT)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("any").error("with %s and %r", secret, {"a": secret})
    assert TEXT not in caplog.text and "<secret>" in caplog.text
    try:
        raise ValueError("any", secret)
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    # The module's own TEXT is no local; what is shown of the secret is the placeholder.
    assert TEXT not in shown and "<secret>" in shown


def test_wiped() -> None:
    """wipe, leaving a with block, and dropping it overwrite the very bytes that it took over."""
    ends = [lambda secret: secret.wipe(), lambda secret: secret.__exit__(None), lambda secret: secret.__del__()]
    for end in ends:
        held = bytearray(TEXT, "ascii")
        secret = Secret(held)
        assert secret.lend() is held
        end(secret)
        assert held == bytes(len(TEXT)) and not secret and secret.reveal() == b""
    held = bytearray(TEXT, "ascii")
    Secret(held)
    assert held == bytes(len(TEXT))


def test_equal_by_content_alone() -> None:
    """Two secrets of the same bytes are equal; a secret equals no text, so no comparison is made by mistake."""
    assert Secret(TEXT) == Secret(TEXT.encode()) and Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT and Secret(TEXT) != TEXT.encode()


def test_no_core_dumps() -> None:
    """After deny_core_dumps the limit is zero and the process is not dumpable, which no later limit undoes."""
    script = (
        "import ctypes, resource\n"
        "from pinnacle.vault.secret import deny_core_dumps\n"
        "deny_core_dumps()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=240
    ).stdout
    assert said.split() == (["0", "0"] if sys.platform == "linux" else ["0", "-1"])


def test_bytes_that_are_no_text_come_back() -> None:
    """What was typed in another encoding is kept as it was typed, and nothing fails on its way."""
    typed = b"gr\xfcn-und-lang".decode("utf-8", "surrogateescape")
    assert Secret(typed).reveal() == b"gr\xfcn-und-lang"
