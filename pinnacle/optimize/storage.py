"""Where studies are kept: a journal file, an SQLite file or a database, with every failure said in one sentence.

Only finished trials are written, each whole and at once, so whatever kills a search leaves a study that can go on.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pinnacle.errors import DiskError, OperatorError, PinnacleError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

# How long another's lock, or a server that does not answer, is waited for.
WAIT_S = 10


class Store:
    """An open storage; close it, or use it in `with`.  where: how errors call it, without passwords.

    A file is held for this process alone until it is closed.
    """

    def __init__(self, storage: str, folder: Path) -> None:
        """storage: optimize.storage.  folder: of the study, made if absent.  Raises OperatorError, DiskError."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._held: IO[bytes] | None = None
        self.path = {"journal": folder / "study.journal", "sqlite": folder / "study.db"}.get(storage)
        self.where = str(self.path) if self.path else without_password(storage)
        try:
            with self.guarded():
                if self.path is not None:
                    folder.mkdir(parents=True, exist_ok=True)
                    self._hold(self.path)
                self.storage: BaseStorage = _journal(self.path) if storage == "journal" else self._database(storage)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file or the connections."""
        engine = getattr(getattr(self, "storage", None), "engine", None)
        if engine is not None:
            engine.dispose()
        if self._held is not None:
            self._held.close()
            self._held = None

    def _hold(self, path: Path) -> None:
        """Nobody else writes to the file while we do: two searches at once would ask for the same candidates."""
        self._held = path.open("ab")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperatorError(f"{path}: another search is writing to it; wait for it, or use another --out") from None
        # Whoever held this was killed: the file is ours, and waiting for it would take Optuna half a minute.
        path.with_name(path.name + ".lock").unlink(missing_ok=True)

    def _database(self, storage: str) -> BaseStorage:
        from optuna.storages import RDBStorage
        from sqlalchemy.engine import make_url

        url = f"sqlite:///{self.path}" if self.path else storage
        kind = make_url(url).drivername
        wait = "timeout" if kind.startswith("sqlite") else "connect_timeout" if "pg8000" not in kind else "timeout"
        return RDBStorage(url, engine_kwargs={"connect_args": {wait: WAIT_S}, "pool_pre_ping": True})

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What Optuna, the database or the disk raises inside becomes one OperatorError or DiskError."""
        from optuna.exceptions import StorageInternalError

        try:
            yield
        except PinnacleError:
            raise
        except OSError as error:
            raise DiskError(
                f"{self.where}: cannot be written ({error.strerror or error}); make room or allow it, and start the "
                "search again: what was told is kept"
            ) from error
        except ImportError as error:
            raise OperatorError(
                f"{self.where}: needs a package that is not installed ({error.__cause__ or error}); install the "
                "database's driver, or set optimize.storage to journal"
            ) from error
        except StorageInternalError as error:
            raise self._refusal(error.__cause__ or error) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("sqlalchemy", "alembic", "optuna"):
                raise self._refusal(error) from error
            raise

    def _refusal(self, error: BaseException) -> PinnacleError:
        """A database's complaint as one error: damage is the disk's, all else the operator can change."""
        said = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        text = said[0].rstrip(".:")
        if "malformed" in text or "not a database" in text or "disk" in text:
            return DiskError(f"{self.where}: is damaged ({text}); restore it, or use another --out")
        if "locked" in text:
            return OperatorError(
                f"{self.where}: another program has locked it ({text}, {WAIT_S} s waited); close it there, and start "
                "the search again: what was told is kept"
            )
        return OperatorError(
            f"{self.where}: the database cannot be used ({text}); check optimize.storage and that it is running, and "
            "start the search again: what was told is kept"
        )


def without_password(storage: str) -> str:
    """A storage as it may be shown and written down."""
    head, scheme, rest = storage.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{head}{scheme}{user.partition(':')[0]}:***@{place}" if at and ":" in user else storage


def _journal(path: Path | None) -> BaseStorage:
    """Optuna's journal, its file checked first.

    A last line without its end is the trial that was being written when the process died: it is cut off and will be
    judged again.  Raises DiskError for damage anywhere else.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    assert path is not None
    with path.open("r+b") as file:
        intact = 0
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                file.truncate(intact)
                break
            _check_line(line, path, number)
            intact += len(line)
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (KeyError, ValueError, TypeError, AssertionError) as error:
        raise DiskError(f"{path}: is no journal of a study ({error!r}); move it away, or use another --out") from error


def _check_line(line: bytes, path: Path, number: int) -> None:
    try:
        record: Any = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "op_code" not in record:
        raise DiskError(
            f"{path}: line {number} is not what was written; restore the file, or cut it before that line to go on "
            "from there"
        )
