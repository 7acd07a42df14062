"""Requests over HTTP with a bound on time and size: what a feed fetches, and what a start asks of a venue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from types import TracebackType

import aiohttp
from yarl import URL

from pinnacle.limits import HTTP_BYTES_MAX, HTTP_S_MAX
from pinnacle.transport.websocket import Route


class Http:
    """A pool of connections.  Use as an async context."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Http:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._route.tls(), limit_per_host=4),
            timeout=aiohttp.ClientTimeout(total=HTTP_S_MAX),
            auto_decompress=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def call(
        self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """(status, body) of one request; (0, why) where no answer came.  Never raises for what the world does."""
        assert self._session is not None
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True) if headers else url,
                data=body or None,
                headers=headers,
                # Without a body there is no type of one: some venues sign what is sent, and it would be one too many.
                skip_auto_headers=("Content-Type",),
                proxy=self._route.proxy or None,
                allow_redirects=False,
            ) as answer:
                parts, size = [], 0
                async for part in answer.content.iter_chunked(1 << 16):
                    size += len(part)
                    if size > HTTP_BYTES_MAX:
                        return 0, f"{url}: more than {HTTP_BYTES_MAX} bytes".encode()
                    parts.append(part)
                return answer.status, b"".join(parts)
        except TimeoutError:
            return 0, f"{url}: no answer within {HTTP_S_MAX} s".encode()
        except aiohttp.ClientConnectorCertificateError as error:
            said = getattr(error.certificate_error, "verify_message", str(error.certificate_error))
            return 0, f"{url}: its certificate is not trusted ({said}); see live.ca_file".encode()
        except aiohttp.ClientConnectorDNSError as error:
            return 0, f"{url}: the host does not resolve ({error.os_error.strerror or error.os_error})".encode()
        except aiohttp.ClientConnectorError as error:
            return 0, f"{url}: cannot be reached ({error.os_error.strerror or error.os_error})".encode()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return 0, f"{url}: {error or type(error).__name__}".encode()

    async def date(self, url: str) -> tuple[float, float] | None:
        """(the server's clock by its Date header, seconds since 1970; how long the answer took), None without one."""
        assert self._session is not None
        began = time.perf_counter()
        try:
            async with self._session.head(url, proxy=self._route.proxy or None, allow_redirects=False) as answer:
                said = answer.headers.get("Date")
                return None if said is None else (parsedate_to_datetime(said).timestamp(), time.perf_counter() - began)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return None
