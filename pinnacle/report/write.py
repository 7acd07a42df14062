"""The report of a run, written into its folder: three tables, a summary, and a page to look at.

It reads only the folder, so the report of a run can be made again years later, and twice with the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pinnacle.log.manifest import replacing
from pinnacle.report.ledger import make_ledger
from pinnacle.report.metrics import make_parts, summarise
from pinnacle.report.simulated import read_facts, summary_of
from pinnacle.report.source import read_run
from pinnacle.report.tables import write_tables

SUMMARY_NAME, HTML_NAME = "summary.json", "report.html"


def write_report(run_dir: str | Path, html: bool = True) -> dict[str, Any]:
    """Write fills.parquet, orders.parquet, equity.parquet, summary.json and (html) report.html into a run's folder.

    Works on any run, finished or interrupted; each file is written at once or not at all.  Returns the summary.
    Raises OperatorError where the folder is no run, DiskError where a file of it is damaged or nothing can be written.
    """
    run_dir = Path(run_dir)
    run = read_run(run_dir)
    ledger = make_ledger(run)
    parts = make_parts(run, ledger)
    summary = summarise(run, ledger, parts)
    told = read_facts(run_dir)
    if told is not None:
        summary["generated_market"] = summary_of(told)
    write_tables(run_dir, ledger, parts)
    with replacing(run_dir / SUMMARY_NAME) as sink:
        sink.write(summary_text(summary).encode())
    if html:
        from pinnacle.report.html import render

        page = render(run, parts, summary)
        with replacing(run_dir / HTML_NAME) as sink:
            for piece in page:
                sink.write(piece)
    return summary


def summary_text(summary: dict[str, Any]) -> str:
    """The summary as JSON text; a number that is not finite would be no JSON and is our own mistake."""
    return json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
