"""A config as TOML text in which every key says what it is and in what unit: what calibration writes for people."""

from __future__ import annotations

from typing import Any

# By the last part of the key, or by section and key where one name has two meanings.
MEANINGS = {
    "strategy.path": "a file, or the name of a shipped strategy",
    "params.half_spread_bps": "bps of the mid",
    "params.order_qty": "base currency",
    "params.position_max": "base currency",
    "every_ms": "ms between two askings of the strategy; 0 for never",
    "on_book": "also after every whole market message",
    "on_order": "also after every answer of the venue",
    "record": "a simulation always keeps its market",
    "seed": "of every draw; another seed is another market",
    "venue": "a name",
    "symbol": "a name",
    "tick": "quote currency",
    "lot": "base currency or contracts",
    "contract": "base currency in one unit of quantity",
    "qty_min": "least quantity of an order, base currency or contracts",
    "notional_min": "least value of an order, quote currency",
    "base": "currency",
    "quote": "currency",
    "latency.model": "constant, recorded, feed or fitted",
    "entry_ms": "ms from the engine to the exchange",
    "response_ms": "ms back",
    "maker_bps": "bps of the value; negative is a rebate",
    "taker_bps": "bps of the value",
    "self_trade": "what expires when our order would meet our own",
    "risk.position_max": "base currency or contracts",
    "band_pct": "percent of the mid: no price further from it",
    "rate_max": "orders a window",
    "rate_window_ms": "ms",
    "simulate.model": "zero-intelligence, hawkes, informed or recorded",
    "excited": "of the informed model: orders at the best and market orders excite each other too",
    "duration_s": "s of the run",
    "warm_up_s": "s of the background alone before it",
    "start": "UTC, the run's first moment",
    "price": "quote currency, where the market begins",
    "feed_ms": "ms from the exchange to the engine",
    "tickers": "best prices are published too",
    "speed": "simulated s in one real s; 0: as fast as possible",
    "rate_factor": "all rates times this",
    "fitted_on": "what the numbers below are from",
    "seconds": "s of history",
    "edges_ticks": "ticks from the other side's best: bucket i is edges[i] .. edges[i + 1] - 1",
    "limit_per_s": "limit orders of one side, per s and tick of a bucket",
    "limit_per_s_se": "standard error of that",
    "cancel_per_s": "share of what rests in a bucket that is cancelled, per s",
    "cancel_per_s_se": "standard error of that",
    "cancel_orders_per_s": "cancels of one side as counted, per s and tick",
    "limit_mean_lots": "lots, mean size of limit orders there",
    "cancel_mean_lots": "lots, mean size of cancels there",
    "depth_lots": "lots resting per tick there, mean",
    "limit_within_per_s": "limit orders of one side per s at or beyond the other side's best, which are left out",
    "limit_beyond_per_s": "limit orders of one side per s beyond the last edge, which are left out",
    "tail_scale": "limit_per_s of distance d is tail_scale * d^-tail_power; for readers, not used",
    "tail_power": "the same",
    "tail_power_se": "standard error of that",
    "tail_from_ticks": "ticks from which the power law was fitted",
    "market_per_s": "market orders of one side per s",
    "market_per_s_se": "standard error of that",
    "count": "orders",
    "mean_lots": "lots",
    "log_mean": "mean of the logarithm of lots",
    "log_mean_se": "standard error of that",
    "log_sd": "its standard deviation",
    "quantiles_lots": "lots at 1, 5, 10, 20 .. 90, 95, 99, 99.9 and 100 percent",
    "kinds": "of self-exciting orders",
    "base_per_s": "orders of each kind per s that nothing caused",
    "base_per_s_se": "standard error of that",
    "offspring": "[child][parent][decay]: orders of a kind that one of another causes directly",
    "offspring_se": "standard error of that",
    "decays_per_s": "per s: how soon they come",
    "log_likelihood": "of the fit",
    "poisson_log_likelihood": "of constant rates on the same orders",
    "events": "orders fitted",
    "radius_fitted": "spectral radius as fitted; a flow of 1 or more never ends",
    "radius": "of what is kept here",
    "scaled": "whether they differ",
    "ks": "Kolmogorov-Smirnov distance of each kind's rescaled waits from an exponential",
    "ks_p": "its p-value",
    "news_per_s": "moves of the value per s",
    "news_log_mean": "mean of the logarithm of a move in ticks",
    "news_log_sd": "its standard deviation",
    "informed_share": "of takers",
    "informed_per_s": "informed takers per s while a best is on the wrong side of the value",
    "withdraw_per_s": "per s, how soon an order on the wrong side of the value is cancelled",
}
_TABLES = {
    "simulate.real_facts": "Stylised facts of the real market, [value, standard error], shown beside the generated.",
    "simulate.zero_intelligence": "Orders at constant rates by distance, sizes, and cancels of what rests.",
    "simulate.hawkes": "Orders at the best and market orders that excite each other.",
    "simulate.value": "A value that moves by news, who knows it, and how soon quotes follow.",
}


def toml_text(tables: dict[str, Any], headline: str) -> str:
    """The whole config.  Floats are written with nine digits; text values are one line each."""
    out = [f"# {headline}", ""]
    for name, value in tables.items():
        if isinstance(value, list):
            for one in value:
                _table(out, f"[[{name}]]", name, one)
        elif isinstance(value, dict):
            _table(out, f"[{name}]", name, value)
        else:
            out += [_line(name, name, value), ""]
    return "\n".join(out).rstrip() + "\n"


def _table(out: list[str], head: str, path: str, table: dict[str, Any]) -> None:
    inner = {name: value for name, value in table.items() if isinstance(value, dict)}
    plain = {name: value for name, value in table.items() if name not in inner}
    if plain or not inner:
        if path in _TABLES:
            out.append(f"# {_TABLES[path]}")
        out.append(head)
        out += [_line(path, name, value) for name, value in plain.items()]
        out.append("")
    for name, value in inner.items():
        _table(out, f"[{path}.{_key(name)}]", f"{path}.{name}", value)


def _line(path: str, name: str, value: Any) -> str:
    text = f"{_key(name)} = {_value(value)}"
    said = MEANINGS.get(f"{path.rpartition('.')[2]}.{name}", MEANINGS.get(name, ""))
    if not said:
        return text
    return f"# {name}: {said}\n{text}" if len(text) + len(said) > 110 else f"{text}  # {said}"


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() else f'"{name}"'


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = f"{value:.9g}"
        return text if any(mark in text for mark in ".en") else f"{text}.0"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
