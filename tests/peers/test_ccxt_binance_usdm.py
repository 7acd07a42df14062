"""ccxt, which we did not write, trades at the local exchange by Binance USD-M's protocol over real sockets."""

from __future__ import annotations

import pytest

from tests.run.served import served

ccxt = pytest.importorskip("ccxt")
pytestmark = pytest.mark.peer


def test_ccxt_trades_futures() -> None:
    """Markets, book, wallet, place, see, amend, cancel, a position opened and reduced, and what is refused."""
    with served("binance-usdm") as one:
        account = one.desk.dialect.house.accounts[0]
        client = ccxt.binanceusdm({"apiKey": account.key, "secret": account.secret})
        client.urls["api"] = {
            name: f"{one.http}/fapi/{'v3' if name.endswith('V3') else 'v2' if name.endswith('V2') else 'v1'}"
            for name in client.urls["api"] if name.startswith("fapi")
        }  # fmt: skip
        client.options |= {"fetchCurrencies": False, "fetchMarkets": {"types": ["linear"]}}
        client.load_markets()
        symbol = "BTC/USDT:USDT"
        book = client.fetch_order_book(symbol)
        bid, ask = book["bids"][0][0], book["asks"][0][0]
        assert 0 < bid < ask
        before = client.fetch_balance()["USDT"]
        price = round(bid * 0.97, 2)
        placed = client.create_order(symbol, "limit", "buy", 0.01, price, {"postOnly": True})
        assert [order["id"] for order in client.fetch_open_orders(symbol)] == [placed["id"]]
        assert client.fetch_order(placed["id"], symbol)["status"] == "open"
        assert client.fetch_balance()["USDT"]["free"] < before["free"]
        edited = client.edit_order(placed["id"], symbol, "limit", "buy", 0.02, price)
        assert edited["id"] == placed["id"] and client.fetch_order(placed["id"], symbol)["amount"] == 0.02
        client.cancel_order(placed["id"], symbol)
        assert client.fetch_open_orders(symbol) == []
        taken = client.create_order(symbol, "limit", "buy", 0.01, round(ask * 1.01, 2), {"timeInForce": "IOC"})
        assert client.fetch_order(taken["id"], symbol)["filled"] == 0.01
        assert client.fetch_my_trades(symbol)[-1]["order"] == taken["id"]
        (position,) = client.fetch_positions([symbol])
        assert (position["side"], position["contracts"]) == ("long", 0.01)
        client.create_order(symbol, "market", "sell", 0.01, None, {"reduceOnly": True})
        assert [held for held in client.fetch_positions([symbol]) if held["contracts"]] == []
        with pytest.raises(ccxt.ExchangeError, match="-2022"):
            client.create_order(symbol, "market", "sell", 0.01, None, {"reduceOnly": True})
        with pytest.raises(ccxt.ExchangeError, match="-5022"):
            client.create_order(symbol, "limit", "buy", 0.01, round(ask * 1.01, 2), {"postOnly": True})
        with pytest.raises(ccxt.OrderNotFound):
            client.cancel_order("1", symbol)
        one.call(setattr, one.desk.dialect.house, "leverage", 1)
        with pytest.raises(ccxt.ExchangeError, match="-2019"):
            client.create_order(symbol, "limit", "buy", 50, price)
        assert client.fapiPrivatePostListenKey()["listenKey"]
        client.secret = "wrong"
        with pytest.raises(ccxt.AuthenticationError):
            client.fetch_balance()
