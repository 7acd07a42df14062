"""Clients of Binance that others wrote, at the local exchange: the venue's own SDK, and cryptofeed's book builder."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.run.served import served

KEY, SECRET = "pinnacle-demo-key", "cGlubmFjbGUtZGVtby1zZWNyZXQtMDE="

pytestmark = pytest.mark.peer


def test_the_venues_own_sdk() -> None:
    """binance-connector reads the market, places, queries, replaces and cancels orders, and hears streams."""
    spot = pytest.importorskip("binance.spot")
    streams = pytest.importorskip("binance.websocket.spot.websocket_stream")
    error = pytest.importorskip("binance.error")
    heard: list[dict[str, Any]] = []
    with served() as one:
        client = spot.Spot(KEY, SECRET, base_url=one.http)
        assert client.ping() == {} and abs(client.time()["serverTime"] - time.time() * 1000) < 5_000
        assert {s["symbol"] for s in client.exchange_info()["symbols"]} == {"BTCUSDT", "ETHUSDT"}
        stream = streams.SpotWebsocketStreamClient(
            stream_url=one.ws, on_message=lambda _, message: heard.append(json.loads(message))
        )
        stream.diff_book_depth("BTCUSDT", speed=100)
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
        placed = client.new_order(**order, price="58000.00", newClientOrderId="sdk-1")
        assert client.get_order("BTCUSDT", origClientOrderId="sdk-1")["status"] == "NEW"
        replaced = client.cancel_and_replace(
            **order, price="57000.00", cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=placed["orderId"]
        )
        assert replaced["cancelResult"] == replaced["newOrderResult"] == "SUCCESS"
        assert len(client.get_open_orders("BTCUSDT")) == 1
        assert client.cancel_open_orders("BTCUSDT")[0]["status"] == "CANCELED"
        bought = client.new_order("BTCUSDT", "BUY", "MARKET", quoteOrderQty="1000")
        assert bought["status"] == "FILLED" and Decimal(bought["cummulativeQuoteQty"]) <= 1000
        assert client.my_trades("BTCUSDT")[-1]["orderId"] == bought["orderId"]
        assert client.account()["canTrade"] and client.query_commission_rates("BTCUSDT")["symbol"] == "BTCUSDT"
        with pytest.raises(error.ClientError) as refused:
            client.new_order(**order, price="58000.001")
        assert refused.value.error_code == -1013
        end = time.monotonic() + 10
        while len(heard) < 4 and time.monotonic() < end:
            time.sleep(0.05)
        stream.stop()
    assert heard[0]["result"] is None and {said["e"] for said in heard[1:]} == {"depthUpdate"}


@pytest.mark.parametrize("market", ["spot", "futures"])
def test_cryptofeed_keeps_a_book(market: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """cryptofeed finds the symbols, bridges snapshot and diffs, and gives books that are never crossed."""
    cryptofeed = pytest.importorskip("cryptofeed")
    connection = pytest.importorskip("cryptofeed.connection")
    defines = pytest.importorskip("cryptofeed.defines")
    if market == "spot":
        feed = pytest.importorskip("cryptofeed.exchanges.binance").Binance
        routes = ("/api/v3/exchangeInfo", "/api/v3/depth?symbol={}&limit={}")
        route, dialect, symbol = "", "binance", "BTC-USDT"
    else:
        feed = pytest.importorskip("cryptofeed.exchanges.binance_futures").BinanceFutures
        routes = ("/fapi/v1/exchangeInfo", "/fapi/v1/depth?symbol={}&limit={}")
        route, dialect, symbol = "/public", "binance-usdm", "BTC-USDT-PERP"
    books: list[tuple[Decimal, Decimal]] = []
    trades: list[Any] = []

    async def on_book(book: Any, receipt: float) -> None:
        books.append((book.book.bids.index(0)[0], book.book.asks.index(0)[0]))

    async def on_trade(trade: Any, receipt: float) -> None:
        trades.append(trade)

    # Its websockets take TLS only, and trust what OpenSSL is told to trust.
    certificate = tmp_path / "certificate.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with served(dialect, certificate=certificate) as one:
        local = type(
            "Local",
            (feed,),
            {
                "websocket_endpoints": [connection.WebsocketEndpoint(one.wss + route)],
                "rest_endpoints": [
                    connection.RestEndpoint(one.http, routes=connection.Routes(routes[0], l2book=routes[1]))
                ],
            },
        )

        async def run() -> None:
            handler = cryptofeed.FeedHandler(config={"uvloop": False, "log": {"disabled": True}})
            channels, callbacks = [defines.L2_BOOK], {defines.L2_BOOK: on_book}
            if market == "spot":
                channels.append(defines.TRADES)
                callbacks[defines.TRADES] = on_trade
            handler.add_feed(local(symbols=[symbol], channels=channels, callbacks=callbacks))
            handler.run(start_loop=False, install_signal_handlers=False)
            end = time.monotonic() + 15
            while (len(books) < 20 or (market == "spot" and len(trades) < 5)) and time.monotonic() < end:
                await asyncio.sleep(0.1)
            await handler.stop_async(asyncio.get_running_loop())

        asyncio.run(run())
    assert len(books) >= 20 and all(bid < ask for bid, ask in books)
    if market == "spot":
        numbers = [int(trade.id) for trade in trades]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
