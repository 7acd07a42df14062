"""`pinnacle data`: list, check and import."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import pinnacle, ran, refused


def test_list_names_every_day(catalog: Path) -> None:
    """A line a day file; without a catalog the bundled sample's; --json the same as JSON."""
    lines = ran("data", "list", catalog).out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["venue", "symbol", "day"], ["binance", "BTCUSDT", "2024-08-08"], ["binance-usdm", "BTCUSDT", "2024-08-08"],
    ]  # fmt: skip
    days = ran("data", "list", "--json").json
    assert [(day["venue"], day["day"], day["tick"]) for day in days] == [
        ("binance", "2024-08-08", "0.01"), ("binance", "2024-08-09", "0.01"),
        ("binance-usdm", "2024-08-08", "0.1"), ("binance-usdm", "2024-08-09", "0.1"),
    ]  # fmt: skip


def test_check_reports_and_decides_the_exit_code(tmp_path: Path, catalog: Path) -> None:
    """`data check` describes a catalog or one day file, exit 0; a damaged file is an error of one line."""
    said = ran("data", "check", catalog)
    assert said.out.count("nothing wrong was found") == 2
    day = next(catalog.glob("binance/*/*.parquet"))
    assert len(pinnacle("data", "check", day, "--json").json) == 1
    bad = tmp_path / day.name
    bad.write_bytes(day.read_bytes()[:-1])
    assert str(bad) in refused(pinnacle("data", "check", bad))


def test_import_makes_a_catalog_that_runs(tmp_path: Path, recordings: Path) -> None:
    """A raw recording becomes day files once, a second import of it is refused, and a backtest runs on them."""
    raw = recordings / "binance" / "usdm_btcusdt_20240718.gz"
    words = ["data", "import", raw, "--catalog", tmp_path / "catalog", "--quiet"]
    steps = ["--venue", "binance-usdm", "--symbol", "BTCUSDT", "--tick", "0.1", "--lot", "0.001"]
    assert "--tick" in refused(pinnacle(*words))
    assert "tick 1000" in refused(pinnacle(*words, *steps[:5], "1000", *steps[6:]))
    assert not list((tmp_path / "catalog").rglob("*.parquet"))
    assert ran(*words, *steps).out == ""
    assert refused(pinnacle(*words, *steps))
    assert ran(*words, *steps, "--replace").out == ""
    days = ran("data", "list", tmp_path / "catalog", "--json").json
    assert {day["venue"] for day in days} == {"binance-usdm"} and sum(int(day["rows"]) for day in days) > 1000
    ran("backtest", "reference", "--data", tmp_path / "catalog", "--out", tmp_path / "run", "--no-report", "--quiet")


def test_an_instrument_in_part_is_refused(tmp_path: Path) -> None:
    """Tick without lot, or steps that are no decimals, are refused by the option's name."""
    raw = tmp_path / "raw.gz"
    raw.write_bytes(b"")
    assert "--venue" in refused(pinnacle("data", "import", raw, "--tick", "1"))
    whole = ["--venue", "v", "--symbol", "s", "--tick", "one", "--lot", "1"]
    assert "--tick" in refused(pinnacle("data", "import", raw, *whole))
