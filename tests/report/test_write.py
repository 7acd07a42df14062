"""The report as files: the same bytes twice, whole without a network, and honest where nothing was measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pinnacle import event
from pinnacle.errors import DiskError, OperatorError, PinnacleError
from pinnacle.report import source
from pinnacle.report.html import plotly_js
from pinnacle.report.metrics import UNITS
from pinnacle.report.write import write_report
from tests.report.hand import BTC, ETH, EUR, Hand, small_run, write_observations

FILES = ("fills.parquet", "orders.parquet", "equity.parquet", "summary.json", "report.html")
CHARTS = ("equity", "split", "price", "inventory", "markouts", "distribution", "queue", "reasons", "latency")


def page_of(run_dir: Path) -> tuple[str, dict[str, Any]]:
    """The page without the library in it, and its payload."""
    page = (run_dir / "report.html").read_text().replace(plotly_js().read_text(), "")
    return page, json.loads(re.search(r'id="payload">(.*?)</script>', page, re.S)[1])


def columns_of(payload: dict[str, Any], figure: str) -> list[tuple[str, list[Any], list[Any]]]:
    """Name, x and y of each trace of a figure, references followed."""

    def followed(value: Any) -> list[Any]:
        return payload["columns"][value[1:]] if isinstance(value, str) else value

    return [(trace["name"], followed(trace["x"]), followed(trace["y"])) for trace in payload["figures"][figure]["data"]]


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    """Writing the report of a run twice changes no byte of any file."""
    run_dir = small_run().write(tmp_path / "r")
    write_report(run_dir)
    first = {name: (run_dir / name).read_bytes() for name in FILES}
    write_report(run_dir)
    assert {name: (run_dir / name).read_bytes() for name in FILES} == first
    assert not list(run_dir.glob(".*"))


def test_the_page_needs_no_network(tmp_path: Path) -> None:
    """The page names no resource outside itself, and its policy forbids to load one."""
    run_dir = small_run().write(tmp_path / "r")
    write_report(run_dir)
    page, _ = page_of(run_dir)
    assert "http://" not in page and "https://" not in page and "@import" not in page
    assert "default-src 'none'" in page

    found: list[tuple[str, str]] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend((tag, name) for name, _ in attrs if name in ("src", "href", "srcset", "action"))

    Links().feed(page)
    assert found == []


def test_the_page_holds_the_data_of_every_chart(tmp_path: Path) -> None:
    """Each chart of an instrument is there with the run's own numbers."""
    run_dir = small_run().write(tmp_path / "r")
    write_report(run_dir)
    page, payload = page_of(run_dir)
    for name in CHARTS:
        assert f'id="i0-{name}"' in page and payload["figures"][f"i0-{name}"]["data"], name
    price = {name: (x, y) for name, x, y in columns_of(payload, "i0-price")}
    assert price["mid"][1] == [50.5, 50.5, 51.25, 49.5]
    assert price["our ask"][1] == [51.0, 51.0, None, None]
    assert price["buys"] == ([1_700_000_000_500.0], [50.0]) and price["sells"][1] == [52.0]
    assert [y for _, _, y in columns_of(payload, "i0-inventory")] == [[0.0, 0.02, 0.01, 0.01]]
    split = {name: y[-1] for name, _, y in columns_of(payload, "i0-split")}
    assert split == {"spread captured": 0.0175, "inventory": -0.0025, "fees": 0.0, "net": 0.015}
    equity = {name: y for name, _, y in columns_of(payload, "i0-equity")}
    assert equity["drawdown"][-1] == round(equity["equity"][-1] - max(0, *equity["equity"]), 8)
    assert columns_of(payload, "i0-reasons")[0][1:] == ([0, 1], ["trade through", "queue front"])
    assert payload["figures"]["i0-markouts"]["data"][0]["customdata"] == [2, 2, 0, 0]
    references = re.findall(r'"@([^"]+)"', json.dumps(payload["figures"]))
    assert set(references) == set(payload["columns"])


def test_text_of_a_strategy_cannot_enter_the_page(tmp_path: Path) -> None:
    """Names out of a run are shown as text, whatever they hold."""
    run_dir = small_run().write(tmp_path / "r", name="</script><script>alert(1)</script>")
    write_report(run_dir)
    page, _ = page_of(run_dir)
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_every_number_has_a_unit(tmp_path: Path) -> None:
    """Each number of the summary has its unit by the end of its name or by its group."""
    summary = write_report(small_run().write(tmp_path / "r"), html=False)

    def numbers(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from numbers(inner, (*path, key))
        elif isinstance(value, list):
            for inner in value:
                yield from numbers(inner, path)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield path

    groups = {name for name in UNITS if not name.startswith("_")}
    suffixes = tuple(name for name in UNITS if name.startswith("_"))
    for section in ("span", "total", "instruments"):
        for path in numbers(summary[section], ()):
            assert path[-1].endswith(suffixes) or groups & set(path), path
    assert json.loads((tmp_path / "r" / "summary.json").read_text()) == summary


def test_an_empty_run_says_that_nothing_was_measured(tmp_path: Path) -> None:
    """A run without an order has no result: None in the summary, words on the page, and empty but whole tables."""
    run_dir = Hand().write_empty(tmp_path / "r")
    figures = write_report(run_dir)["instruments"]["venue:BTC-USD"]
    assert figures["pnl"]["net"] is None and "no fills" in figures["pnl"]["note"]
    assert figures["risk"]["sharpe"] is None and figures["risk"]["drawdown_max_quote"] is None
    assert figures["orders"]["fill_rate_share"] is None and figures["fills"]["maker_share"] is None
    assert figures["markouts"]["5s"]["all"]["mean_bps"] is None
    assert "No order was placed" in page_of(run_dir)[0]
    assert pq.read_table(run_dir / "fills.parquet").num_rows == pq.read_table(run_dir / "orders.parquet").num_rows == 0


def test_tables_have_the_same_columns_with_and_without_rows(tmp_path: Path) -> None:
    """A table's schema depends on nothing that happened in the run."""
    full, empty = small_run().write(tmp_path / "full"), Hand()
    empty.say(0, event.TIMER)
    bare = empty.write(tmp_path / "bare", observed=False)
    write_report(full, html=False)
    write_report(bare, html=False)
    for name in FILES[:3]:
        assert pq.read_schema(full / name) == pq.read_schema(bare / name), name


def test_a_run_that_was_not_observed_has_fills_but_no_equity(tmp_path: Path) -> None:
    """Without observations the ledger is whole, what needs a mid is None, and the summary says why."""
    run_dir = small_run().write(tmp_path / "r", observed=False)
    summary = write_report(run_dir)
    figures = summary["instruments"]["venue:BTC-USD"]
    assert figures["fills"]["count"] == 2 and figures["orders"]["filled"] == 2
    assert figures["pnl"]["net"] is None and figures["pnl"]["fees"] == 2e-9
    assert figures["fills"]["captured_spread"]["mean_bps"] is None
    assert any("observations.parquet" in text for text in summary["warnings"])


def test_currencies_are_never_added(tmp_path: Path) -> None:
    """Instruments of one quote currency have one total, exact; another currency has its own."""
    hand = Hand(BTC, ETH, EUR)
    hand.book = {0: (100, 102), 1: (50, 51), 2: (100, 102)}
    hand.sample(0)
    for me in range(3):
        hand.fill(10 + me, me + 1, 1, 100 if me != 1 else 50, 2, fee=1, me=me)
    hand.sample(1000)
    run_dir = hand.write(tmp_path / "r")
    summary = write_report(run_dir)
    assert set(summary["total"]) == {"USD", "EUR"}
    exact = summary["total"]["USD"]["pnl"]["exact"]
    # 2 ticklots of 0.005 in the one, 1 of 0.025 (half a tick of 0.25, 2 lots of 0.1) in the other, fees of 1e-9 each.
    assert exact["gross"] == "0.035" and exact["net"] == "0.034999998"
    assert summary["total"]["EUR"]["instruments"] == ["venue:BTC-EUR"]
    page, payload = page_of(run_dir)
    assert re.findall(r'<section class="view" data-view="(\w+)"', page) == ["t1", "i0", "i1", "i2"]
    totals = {name: y for name, _, y in columns_of(payload, "t1-equity")}
    assert totals["equity"] == [0.0, 0.035]


@pytest.mark.parametrize("what", ["no folder", "no manifest", "no log", "cut observations", "column", "instrument"])
def test_bad_input_is_an_error_a_person_can_read(tmp_path: Path, what: str) -> None:
    """A missing or damaged file is named, and no report is left that looks like one."""
    hand = small_run()
    if what == "instrument":
        hand.say(5000, event.PLACE, instrument=4)
    run_dir = hand.write(tmp_path / "r")
    observations = run_dir / "observations.parquet"
    if what == "no folder":
        run_dir = tmp_path / "elsewhere"
    elif what == "no manifest":
        (run_dir / "manifest.json").unlink()
    elif what == "no log":
        (run_dir / "log" / "log-000000.parquet").unlink()
    elif what == "cut observations":
        observations.write_bytes(observations.read_bytes()[:-20])
    elif what == "column":
        pq.write_table(pq.read_table(observations).drop_columns(["number"]), observations)
    kind = OperatorError if what.startswith("no ") else DiskError
    with pytest.raises(kind) as raised:
        write_report(run_dir)
    assert isinstance(raised.value, PinnacleError) and str(tmp_path) in str(raised.value)
    assert not (run_dir / "summary.json").exists() and not (run_dir / "report.html").exists()


def test_importing_the_report_compiles_and_draws_nothing() -> None:
    """The report is imported without numba, plotly, pyarrow, polars or rich."""
    code = (
        "import sys, pinnacle.report.write, pinnacle.report.html, pinnacle.report.terminal\n"
        "bad = {'numba', 'plotly', 'pyarrow', 'polars', 'rich', 'pinnacle.kernels'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_observations_mean_what_the_engine_writes(tmp_path: Path) -> None:
    """The columns and codes that a report reads are those that the engine's observer writes."""
    from pinnacle.kernels import observe, state
    from pinnacle.run.observations import COLUMNS

    assert COLUMNS == source.OBSERVATION_FIELDS
    assert (observe.SAMPLE, observe.FILL, observe.MARKOUT) == (source.SAMPLE, source.FILL, source.MARKOUT)
    assert state.NO_PRICE == source.NO_PRICE and len(source.HORIZONS_NS) == observe.HORIZONS
    write_observations(tmp_path, observe.np.zeros(3, observe.OBSERVATION)[list(COLUMNS)].astype(source.OBSERVED))
    assert source.read_observations(tmp_path / "observations.parquet").size == 3
