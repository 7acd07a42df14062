"""What Binance sends, as typed structs; arrays of levels keep their text, which becomes records without Python objects.

One struct of a kind for spot and USD-M futures, of 2021 and of today: what only one of them has is optional.  From
https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams, July 2026.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

# Milliseconds that are a time in int64 nanoseconds, and ids that are int64.
Ms = Annotated[int, msgspec.Meta(ge=0, lt=(1 << 63) // 1_000_000)]
Id = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


class Depth(msgspec.Struct, gc=False):
    """{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,"b":[["61737.63","0"]],"a":[]}

    USD-M adds T, the time of the matching engine, and pu, the id of the message before.
    """

    s: str
    U: Id
    u: Id
    b: msgspec.Raw
    a: msgspec.Raw
    E: Ms = 0
    T: Ms = 0
    pu: Id = -1


class Ticker(msgspec.Struct, gc=False):
    """{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}

    USD-M adds e, E and T.
    """

    s: str
    u: Id
    b: str
    B: str
    a: str
    A: str
    T: Ms = 0


class Trade(msgspec.Struct, gc=False):
    """{"e":"trade","E":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","T":1723161256322,"m":false}

    m: the buyer was the maker, so the taker sold.  USD-M adds X: what is not MARKET is no trade of the market.
    """

    s: str
    t: Id
    p: str
    q: str
    T: Ms
    m: bool
    X: str = "MARKET"


class AggregateTrade(msgspec.Struct, gc=False):
    """{"e":"aggTrade","E":1618677402401,"s":"ADARUB","a":26129,"p":"1","q":"2","f":100,"l":105,"T":1618677402401,"m":true}

    The fills of one taker order at one price, from the trade f to the trade l.
    """

    s: str
    l: Id  # noqa: E741
    p: str
    q: str
    T: Ms
    m: bool


class MarkPrice(msgspec.Struct, gc=False):
    """{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","r":"0.00038167","T":1562306400000}

    r: funding rate as it would be now; T: when it is paid next.
    """

    s: str
    E: Ms
    p: str
    r: str
    T: Ms


class Snapshot(msgspec.Struct, gc=False):
    """{"lastUpdateId":10166139,"bids":[["8.13000000","125225.82000000"]],"asks":[]}, USD-M with E and T."""

    lastUpdateId: Id
    bids: msgspec.Raw
    asks: msgspec.Raw
    E: Ms = 0
    T: Ms = 0


class Frame(msgspec.Struct, gc=False):
    """Any message: of a stream {"stream":"btcusdt@trade","data":{..}}; an answer {"result":null,"id":1}; or neither."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    e: str = ""
    id: Any = None
    error: Any = None
    code: Any = None


class Refusal(msgspec.Struct, gc=False):
    """{"code":-1121,"msg":"Invalid symbol."}"""

    code: int = 0
    msg: str = ""


class Filter(msgspec.Struct, gc=False):
    """One of a symbol's filters; the fields of the others are left aside."""

    filterType: str
    tickSize: str = "0"
    stepSize: str = "0"
    minQty: str = "0"
    minNotional: str = "0"
    notional: str = "0"


class Symbol(msgspec.Struct, gc=False):
    """One symbol of exchangeInfo."""

    symbol: str
    filters: list[Filter]
    baseAsset: str = ""
    quoteAsset: str = ""


class ExchangeInfo(msgspec.Struct, gc=False):
    """{"timezone":"UTC","symbols":[..]}"""

    symbols: list[Symbol]
