"""The local exchange's configuration: TOML to typed structs, and the house that it describes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta

from pinnacle.config import apply_settings, converted, read_toml
from pinnacle.config_simulate import Simulate
from pinnacle.dialects.dialect import Dialect
from pinnacle.dialects.house import House, new_venue
from pinnacle.dialects.market import Market, QuietMarket
from pinnacle.dialects.orders import Account, Listing
from pinnacle.errors import HistoryError, OperatorError
from pinnacle.instrument import Instrument, decimal_of
from pinnacle.limits import BOOK_WINDOW_TICKS, CASH_UNITS_MAX
from pinnacle.models.generator import Generator
from pinnacle.resources import find_file
from pinnacle.run.background import BackgroundMarket, BackgroundRates
from pinnacle.run.flow_market import FlowMarket
from pinnacle.run.prepare_simulation import generator_of

Bps = Annotated[float, Meta(ge=-10_000, le=10_000)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Section(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Any table of the file: an unknown key is an error, never ignored."""


class ExchangeSection(Section, forbid_unknown_fields=True, kw_only=True):
    """dialect: the venue whose protocol is spoken.  listen: `address:port`.  seed: of background and faults."""

    dialect: str = "binance"
    listen: str = "127.0.0.1:8080"
    seed: Annotated[int, Meta(ge=0, le=1 << 53)] = 0


class SymbolSection(Section, forbid_unknown_fields=True, kw_only=True):
    """One instrument; "" for quote and symbol: as the venue has them.  Fees in bps of the value."""

    base: Annotated[str, Meta(min_length=1)]
    quote: str = ""
    symbol: str = ""
    price: str | int | float
    tick: str | int | float
    lot: str | int | float
    qty_min: str | int | float = 0
    qty_max: str | int | float = 0
    notional_min: str | int | float = 0
    maker_bps: Bps = 0
    taker_bps: Bps = 0
    orders_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 200


class AccountSection(Section, forbid_unknown_fields=True, kw_only=True):
    """One client, with fake credentials and what it begins with."""

    name: Annotated[str, Meta(min_length=1)]
    key: Annotated[str, Meta(min_length=1)]
    secret: Annotated[str, Meta(min_length=1)]
    passphrase: str = ""
    private_key: str = ""
    balances: dict[str, str | int | float] = {}


class FlowSection(Section, forbid_unknown_fields=True, kw_only=True):
    """model: "fitted": orders as in a real market, by the numbers of a config of `pinnacle simulate` (`market`, at
    rate_factor times its rates); "plain": see run/background.py, with the other keys; "none"."""

    model: Literal["fitted", "plain", "none"] = "fitted"
    market: str = "simulate"
    rate_factor: Annotated[float, Meta(gt=0, le=1e4)] = 1.0
    per_s: Annotated[float, Meta(ge=0, le=1e6)] = 200.0
    resting: Annotated[int, Meta(ge=0, le=100_000)] = 2_000
    distance_ticks: Annotated[float, Meta(gt=0, le=1e5)] = 40.0
    walk_ticks: Annotated[float, Meta(ge=0, le=1e5)] = 10.0
    qty_lots: Annotated[int, Meta(ge=1)] = 1_000
    taking: Share = 0.1


class ExchangeConfig(Section, forbid_unknown_fields=True, kw_only=True):
    """The whole file.  faults: kind -> rate, and delay_ms."""

    exchange: ExchangeSection = msgspec.field(default_factory=ExchangeSection)
    symbols: list[SymbolSection]
    accounts: list[AccountSection] = []
    flow: FlowSection = msgspec.field(default_factory=FlowSection)
    faults: dict[str, float] = {}


def read_exchange_config(name: str | None, settings: Sequence[str]) -> tuple[ExchangeConfig, str]:
    """(config, what errors call it) of a file by path or shipped name, with --set applied.  Raises OperatorError."""
    path = find_file(name or "exchange", None, "configs", ".toml")
    raw = read_toml(path)
    apply_settings(raw, settings)
    where = " ".join([name or path.name, *(f"--set {setting}" for setting in settings)])
    sections: tuple[tuple[str, type[Section]], ...] = (("exchange", ExchangeSection), ("flow", FlowSection))
    for name, section in sections:
        # By itself first, so that an error names the keys of that section.
        converted(raw.get(name, {}), section, name, where)
    lists: tuple[tuple[str, type[Section]], ...] = (("symbols", SymbolSection), ("accounts", AccountSection))
    for name, kind in lists:
        tables = raw.get(name, [])
        for k, one in enumerate(tables if isinstance(tables, list) else []):
            converted(one, kind, f"{name}[{k}]", where)
    config: ExchangeConfig = converted(raw, ExchangeConfig, "", where)
    if not config.symbols:
        raise OperatorError(f"{where}: no [[symbols]]; give at least one")
    for what, names in (("symbol", [s.symbol or s.base + s.quote for s in config.symbols]),
                        ("key", [a.key for a in config.accounts])):  # fmt: skip
        twice = sorted({one for one in names if names.count(one) > 1})
        if twice:
            raise OperatorError(f"{where}: two have the {what} {twice[0]}; give each its own")
    return config, where


def listing_of(section: SymbolSection, dialect: type[Dialect], where: str) -> tuple[Listing, int]:
    """(listing, ticks of the first price) of a symbol.  Raises OperatorError."""
    quote = section.quote or dialect.quote
    symbol = section.symbol or dialect.symbol(section.base, quote)

    def number(key: str) -> Decimal:
        return decimal_of(str(getattr(section, key)), f"{where}: {key} of {symbol}")

    instrument = Instrument(
        dialect.name, symbol, number("tick"), number("lot"), qty_min=number("qty_min"),
        notional_min=number("notional_min"), base=section.base, quote=quote,
    )  # fmt: skip
    try:
        price = instrument.ticks(str(number("price")))
        most = instrument.lots(str(number("qty_max")))
        instrument.lots(str(instrument.qty_min))
    except HistoryError as error:
        raise OperatorError(f"{where}: {error}") from None
    low = max(1, price - BOOK_WINDOW_TICKS // 2 + 1)
    high = min(low + BOOK_WINDOW_TICKS - 1, 2 * price - 1 if price > low else low + BOOK_WINDOW_TICKS - 1)
    room = CASH_UNITS_MAX // (high * instrument.units_per_ticklot)
    if most > room:
        raise OperatorError(
            f"{where}: qty_max of {symbol} at its highest price is too much money to count; "
            f"set it to {instrument.qty_text(room)} or less"
        )
    fees = (round(section.maker_bps * 100_000), round(section.taker_bps * 100_000))
    return Listing(instrument, low, high, most or room, (fees,), section.orders_max), price


def house_of(config: ExchangeConfig, dialect: type[Dialect], seed: int, first_ns: int, where: str) -> House:
    """The exchange of a config for a dialect, its accounts filled.  Raises OperatorError."""
    accounts = [account_of(section, where) for section in config.accounts]
    listings, markets = [], []
    generator = _generator(config.flow) if config.flow.model == "fitted" else None
    for k, section in enumerate(config.symbols):
        listing, price = listing_of(section, dialect, where)
        listings.append(listing)
        markets.append(_market(config.flow, generator, dialect, listing, price, len(accounts), seed + k, first_ns))
    house = House(listings, accounts, markets, dialect.fees_in, dialect.publish)
    for account, given in zip(house.accounts, config.accounts):
        for currency, amount in given.balances.items():
            if currency in house.digits:
                value = decimal_of(str(amount), f"{where}: balance of {account.name} in {currency}")
                if value < 0:
                    raise OperatorError(f"{where}: balance of {account.name} in {currency} is below 0")
                house.deposit(account.index, currency, value)
    return house


def _generator(flow: FlowSection) -> Generator:
    """The fitted background of a config of `pinnacle simulate`.  Raises OperatorError."""
    path = find_file(flow.market, None, "configs", ".toml")
    raw = read_toml(path)
    table = raw.get("simulate")
    if not isinstance(table, dict):
        raise OperatorError(f"flow.market {flow.market}: has no [simulate]; give a config that --calibrate wrote")
    try:
        simulate = msgspec.convert(table, Simulate)
    except msgspec.ValidationError as error:
        raise OperatorError(f"flow.market {flow.market}: simulate: {error}") from None
    if simulate.model == "recorded":
        raise OperatorError(f"flow.market {flow.market}: a recorded market is no background here; use --tape")
    simulate.rate_factor *= flow.rate_factor
    return generator_of(simulate, flow.market)


def _market(
    flow: FlowSection,
    generator: Generator | None,
    dialect: type[Dialect],
    listing: Listing,
    price: int,
    accounts: int,
    seed: int,
    first_ns: int,
) -> Market:
    if flow.model == "none" or (flow.model == "plain" and flow.per_s == 0):
        return QuietMarket(new_venue(listing, accounts, 0, dialect.publish))
    if generator is not None:
        return FlowMarket(listing, generator, seed, first_ns, price, accounts, dialect.publish)
    venue = new_venue(listing, accounts, BackgroundMarket.people, dialect.publish)
    names = ("per_s", "resting", "distance_ticks", "walk_ticks", "qty_lots", "taking")
    rates = BackgroundRates(**{name: getattr(flow, name) for name in names})
    return BackgroundMarket(venue, listing, first_ns, price, rates, seed)


def account_of(section: AccountSection, where: str) -> Account:
    """An account; its public key worked out from the private one.  Raises OperatorError."""
    public = ""
    if section.private_key:
        try:
            key: Any = serialization.load_der_private_key(base64.b64decode(section.private_key), None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise OperatorError(f"{where}: private_key of {section.name} is no Ed25519 key in base64 of PKCS#8")
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        public = base64.b64encode(raw).decode()
    return Account(section.name, section.key, section.secret, section.passphrase, public)


def address_of(listen: str) -> tuple[str, int]:
    """(host, port) of `host:port`.  Raises OperatorError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise OperatorError(f"--listen {listen}: must be HOST:PORT, for example 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def faults_of(config: ExchangeConfig, given: Sequence[str]) -> tuple[dict[str, float], float]:
    """(kind -> rate, delay in ms) of the config and --fault KIND=RATE.  Raises OperatorError."""
    rates = dict(config.faults)
    for one in given:
        kind, equals, text = one.partition("=")
        try:
            rates[kind] = float(text)
        except ValueError:
            equals = ""
        if not equals:
            raise OperatorError(f"--fault {one}: must be KIND=RATE, for example drop=0.01")
    delay_ms = rates.pop("delay_ms", 200.0)
    return rates, delay_ms


def certificate_path(out: Path | None) -> Path:
    """Where the certificate for --tls goes."""
    return (out or Path("runs")) / "exchange-certificate.pem"
