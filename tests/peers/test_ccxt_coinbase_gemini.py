"""ccxt, which we did not write, trades at the local exchange by Coinbase's and Gemini's protocols over real sockets."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.run.served import served

ccxt, requests = pytest.importorskip("ccxt"), pytest.importorskip("requests")
pytestmark = pytest.mark.peer
# The seed of the demo account's Ed25519 key (configs/exchange.toml), as Coinbase hands out such keys.
SEED = base64.b64encode(
    base64.b64decode("MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u")[-32:]
).decode()
# Gemini's keys for one account say so in their name, and ccxt takes no other.
ACCOUNTS = 'accounts=[{name="demo", key="account-demo", secret="demo", balances={USD="1000000", BTC="10"}}]'


class Plain(requests.adapters.HTTPAdapter):
    """That client knows https only; this sends its requests to a local exchange without TLS."""

    def send(self, request: Any, **how: Any) -> Any:
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, **how)


def trade(client, symbol: str, errors: dict[str, type[Exception]]) -> None:
    """Markets, book, balance, place, see, cancel, and what is refused."""
    client.load_markets()
    assert client.market(symbol)["active"] is not False
    book = client.fetch_order_book(symbol)
    assert 0 < book["bids"][0][0] < book["asks"][0][0]
    assert client.fetch_ticker(symbol)["bid"] > 0
    before = client.fetch_balance()["USD"]
    price = round(book["bids"][0][0] * 0.97, 2)
    placed = client.create_order(symbol, "limit", "buy", 0.01, price)
    assert [one["id"] for one in client.fetch_open_orders(symbol)] == [placed["id"]]
    assert client.fetch_order(placed["id"], symbol)["status"] == "open"
    assert client.fetch_balance()["USD"]["free"] < before["free"]
    client.cancel_order(placed["id"], symbol)
    assert client.fetch_open_orders(symbol) == []
    taken = client.create_order(symbol, "limit", "buy", 0.01, round(book["asks"][0][0] * 1.01, 2))
    assert client.fetch_order(taken["id"], symbol)["filled"] == 0.01
    assert client.fetch_my_trades(symbol)[-1]["order"] == taken["id"]
    with pytest.raises(errors["funds"]):
        client.create_order(symbol, "limit", "buy", 90, price)
    with pytest.raises(errors["unknown"]):
        client.cancel_order(errors["id"], symbol)


def test_ccxt_trades_at_coinbase_exchange() -> None:
    """coinbaseexchange: HMAC with passphrase."""
    with served("coinbase") as one:
        account = one.desk.dialect.house.accounts[0]
        client = ccxt.coinbaseexchange(
            {"apiKey": account.key, "secret": account.secret, "password": account.passphrase}
        )
        client.urls["api"] = {"public": one.http, "private": one.http}
        unknown = "c01ba5e0-0d00-4000-8000-000000000001"
        trade(client, "BTC/USD", {"funds": ccxt.InsufficientFunds, "unknown": ccxt.OrderNotFound, "id": unknown})
        client.password = "wrong"
        with pytest.raises(ccxt.AuthenticationError):
            client.fetch_balance()


def test_ccxt_trades_at_gemini() -> None:
    """gemini: HMAC of a payload with a rising nonce."""
    with served("gemini", [ACCOUNTS]) as one:
        account = one.desk.dialect.house.accounts[0]
        client = ccxt.gemini(
            {
                "apiKey": account.key,
                "secret": account.secret,
                "options": {"fetchMarketsFromAPI": {"fetchDetailsForAllSymbols": True}},
            }
        )
        client.urls["api"] = {"public": one.http, "private": one.http}
        trade(client, "BTC/USD", {"funds": ccxt.InsufficientFunds, "unknown": ccxt.OrderNotFound, "id": "1"})
        client.secret = "wrong"
        with pytest.raises(ccxt.ExchangeError):
            client.fetch_balance()


def test_ccxt_trades_at_coinbase_advanced() -> None:
    """coinbase: a token signed with Ed25519, as ccxt makes it for such a key."""
    with served("coinbase-advanced") as one:
        account = one.desk.dialect.house.accounts[0]
        options = {"fetchBalance": "v3PrivateGetBrokerageAccounts"}
        client = ccxt.coinbase({"apiKey": account.key, "secret": SEED, "options": options})
        client.urls["api"]["rest"] = one.http
        unknown = "c01ba5e0-0d00-4000-8000-000000000001"
        trade(client, "BTC/USD", {"funds": ccxt.InsufficientFunds, "unknown": ccxt.BadRequest, "id": unknown})
        client.apiKey = "organizations/nobody/apiKeys/nobody"
        with pytest.raises(ccxt.AuthenticationError):
            client.fetch_balance()


def test_coinbases_own_client_trades_at_coinbase_advanced() -> None:
    """coinbase-advanced-py, the venue's own: products, book, balances, an order placed, seen and cancelled."""
    rest = pytest.importorskip("coinbase.rest")
    with served("coinbase-advanced") as one:
        account = one.desk.dialect.house.accounts[0]
        client = rest.RESTClient(api_key=account.key, api_secret=SEED, base_url=f"127.0.0.1:{one.port}")
        client.session.mount("https://", Plain())
        assert client.get_products()["products"][0]["product_id"] == "BTC-USD"
        book = client.get_product_book("BTC-USD", limit=5)["pricebook"]
        assert len(book["bids"]) == 5
        assert {found["currency"] for found in client.get_accounts()["accounts"]} >= {"BTC", "USD"}
        price = f"{float(book['bids'][0]['price']) * 0.97:.2f}"
        placed = client.limit_order_gtc_buy("mine", "BTC-USD", "0.01", price, post_only=True)
        number = placed["success_response"]["order_id"]
        assert [order["order_id"] for order in client.list_orders(order_status=["OPEN"])["orders"]] == [number]
        assert client.cancel_orders([number])["results"][0]["success"]
        assert client.get_order(number)["order"]["status"] == "CANCELLED"
