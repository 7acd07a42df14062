"""Clients of Kraken and Bitstamp that others wrote, at the local exchange: ccxt, and cryptofeed's book builder."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.run.served import served

KEY, SECRET = "pinnacle-demo-key", "cGlubmFjbGUtZGVtby1zZWNyZXQtMDE="

pytestmark = pytest.mark.peer


@pytest.mark.parametrize("name", ["kraken", "bitstamp"])
def test_ccxt_trades(name: str) -> None:
    """ccxt loads the markets, sees a book and balances, places, sees and cancels an order, trades, and is refused."""
    ccxt = pytest.importorskip("ccxt")
    with served(name) as one:
        client = getattr(ccxt, name)({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False})
        path = "/api" if name == "bitstamp" else ""
        client.urls["api"] = dict.fromkeys(client.urls["api"], one.http + path)
        markets = client.load_markets()
        assert {"BTC/USD", "ETH/USD"} <= set(markets)
        book = client.fetch_order_book("BTC/USD")
        assert book["bids"][0][0] < book["asks"][0][0]
        before = client.fetch_balance()
        assert before["USD"]["total"] > 0 and before["BTC"]["total"] > 0
        price = client.price_to_precision("BTC/USD", book["bids"][0][0] * 0.97)
        placed = client.create_order("BTC/USD", "limit", "buy", 0.01, float(price))
        (order,) = client.fetch_open_orders("BTC/USD")
        assert order["id"] == placed["id"] and Decimal(str(order["price"])) == Decimal(price)
        assert client.fetch_balance()["USD"]["used"] > 0
        client.cancel_order(order["id"], "BTC/USD")
        assert client.fetch_open_orders("BTC/USD") == []
        with pytest.raises(ccxt.OrderNotFound):
            client.cancel_order(order["id"], "BTC/USD")
        client.create_order("BTC/USD", "market", "buy", 0.01)
        trades = client.fetch_my_trades("BTC/USD")
        assert len(trades) >= 1 and sum(t["amount"] for t in trades) == pytest.approx(0.01)
        assert client.fetch_balance()["BTC"]["total"] == pytest.approx(before["BTC"]["total"] + 0.01)
        with pytest.raises(ccxt.InsufficientFunds):
            client.create_order("BTC/USD", "limit", "buy", 90, float(price))
        assert client.fetch_ticker("BTC/USD")["bid"] > 0 and client.fetch_trades("BTC/USD")
        client.secret = "d3Jvbmc="
        with pytest.raises(ccxt.ExchangeError, match=r"(?i)invalid signature"):
            client.fetch_balance()


def test_cryptofeed_keeps_bitstamps_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """cryptofeed finds the symbols, joins REST and changes, and gives books that are never crossed."""
    cryptofeed = pytest.importorskip("cryptofeed")
    connection = pytest.importorskip("cryptofeed.connection")
    defines = pytest.importorskip("cryptofeed.defines")
    feed = pytest.importorskip("cryptofeed.exchanges.bitstamp").Bitstamp
    books: list[tuple[Decimal, Decimal]] = []

    async def on_book(book: Any, receipt: float) -> None:
        books.append((book.book.bids.index(0)[0], book.book.asks.index(0)[0]))

    certificate = tmp_path / "certificate.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with served("bitstamp", certificate=certificate) as one:
        routes = connection.Routes("/api/v2/trading-pairs-info/", l2book="/api/v2/order_book/{}")
        local = type(
            "Local",
            (feed,),
            {
                "websocket_endpoints": [connection.WebsocketEndpoint(one.wss + "/")],
                "rest_endpoints": [connection.RestEndpoint(one.http, routes=routes)],
            },
        )

        async def run() -> None:
            handler = cryptofeed.FeedHandler(config={"uvloop": False, "log": {"disabled": True}})
            handler.add_feed(
                local(symbols=["BTC-USD"], channels=[defines.L2_BOOK], callbacks={defines.L2_BOOK: on_book})
            )
            handler.run(start_loop=False, install_signal_handlers=False)
            # It begins on an empty book, fetches the whole one after five seconds, and joins the two by whole seconds
            # only, so its books are right a second after that.
            end = time.monotonic() + 8
            while time.monotonic() < end:
                await asyncio.sleep(0.1)
            books.clear()
            while len(books) < 20 and time.monotonic() < end + 15:
                await asyncio.sleep(0.1)
            await handler.stop_async(asyncio.get_running_loop())

        asyncio.run(run())
    assert len(books) >= 20 and all(bid < ask for bid, ask in books)
