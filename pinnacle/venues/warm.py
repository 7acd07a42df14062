"""The first words of each venue, said by us to a feed that is thrown away: what parses them is compiled or loaded.

On a machine that never ran it, compiling takes half a minute.  Were it left to the first real message, the loop would
stand still with a connection open, and perhaps with orders resting.
"""

from __future__ import annotations

import contextlib
from decimal import Decimal

from pinnacle.instrument import Instrument
from pinnacle.venues.feed import Followed, Malformed, Rows
from pinnacle.venues.venues import venue

_TS_NS = 1_700_000_000_000_000_000
# (the instrument's symbol, messages); "answer " before one that a REST call brings, with the call's tag.  Feeds that
# are not here load what they need when they are made.
_WORDS: dict[str, tuple[str, tuple[bytes, ...]]] = {
    "bitstamp": (
        "btcusd",
        (
            b'{"event":"bts:subscription_succeeded","channel":"diff_order_book_btcusd","data":{}}',
            b'answer {"timestamp":"1700000000","microtimestamp":"1700000000000000","bids":[["9.88","0.5"]],'
            b'"asks":[["9.90","0.25"]]}',
            b'{"data":{"timestamp":"1700000000","microtimestamp":"1700000000050000","bids":[["9.87","0.5"]],'
            b'"asks":[]},"channel":"diff_order_book_btcusd","event":"data"}',
        ),
    ),
    "coinbase": (
        "BTC-USD",
        (
            b'{"type":"snapshot","product_id":"BTC-USD","asks":[["9.90","0.5"]],"bids":[["9.88","0.25"]]}',
            b'{"type":"l2update","product_id":"BTC-USD","changes":[["sell","9.91","0.5"]],'
            b'"time":"2023-11-14T22:13:20.050000Z"}',
            b'{"type":"l2update","product_id":"BTC-USD","changes":[["sell","9.91","0.0"],["buy","9.87","0.5"]],'
            b'"time":"2023-11-14T22:13:20.100000Z"}',
        ),
    ),
    "coinbase-advanced": (
        "BTC-USD",
        (
            b'{"channel":"subscriptions","client_id":"","timestamp":"2023-11-14T22:13:20.0Z","sequence_num":0,'
            b'"events":[{"subscriptions":{"level2":["BTC-USD"]}}]}',
            b'{"channel":"l2_data","client_id":"","timestamp":"2023-11-14T22:13:20.0Z","sequence_num":1,'
            b'"events":[{"type":"snapshot","product_id":"BTC-USD","updates":['
            b'{"side":"bid","event_time":"2023-11-14T22:13:20.0Z","price_level":"9.88","new_quantity":"0.5"},'
            b'{"side":"offer","event_time":"2023-11-14T22:13:20.0Z","price_level":"9.90","new_quantity":"0.5"}]}]}',
        ),
    ),
    "gemini": (
        "btcusd",
        (
            b'{"id":"1","status":200,"result":{}}',
            b'{"e":"depthUpdate","E":1700000000000000000,"s":"btcusd","U":1,"u":1,"b":[["9.88","0.5"]],'
            b'"a":[["9.90","0.5"]]}',
            b'{"e":"depthUpdate","E":1700000000100000000,"s":"btcusd","U":1,"u":2,"b":[["9.87","0.5"]],"a":[]}',
        ),
    ),
    "kraken": (
        "BTC/USD",
        (
            b'{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online"}]}',
            b'{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":9.88,"qty":0.5}],'
            b'"asks":[{"price":9.90,"qty":0.5}],"checksum":0,"timestamp":"2023-11-14T22:13:20.000000Z"}]}',
        ),
    ),
}


def warm(name: str) -> None:
    """Compile or load what the feeds of a venue run through.  Raises OperatorError for a venue that is not known."""
    symbol, words = _WORDS.get(name, ("BTCUSDT", ()))
    followed = [Followed(Instrument(name, symbol, Decimal("0.01"), Decimal("0.00000001")), 0, 0)]
    protocol = venue(name)
    for feed in protocol.feeds(followed, protocol.ADDRESS):
        rows, tag = Rows(), ""
        feed.opened(_TS_NS, rows)
        for text in words:
            for fetch in feed.fetches:
                tag = fetch.tag
            with contextlib.suppress(Malformed):
                if text.startswith(b"answer "):
                    feed.answered(tag, 200, text.removeprefix(b"answer "), _TS_NS, rows)
                else:
                    feed.received(text, _TS_NS, rows)
            rows.take()
