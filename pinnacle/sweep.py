"""A sweep: the same backtest over every day and traded instrument of a config, each an ordinary run, and one table.

One day proves nothing; the same program over many days and symbols, spread over workers, says whether a result holds.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from pinnacle.config import InstrumentConfig
from pinnacle.engine.strategy import Strategy
from pinnacle.errors import DiskError, EngineStopped, HistoryError, OperatorError, PinnacleError
from pinnacle.history.catalog import find
from pinnacle.log.manifest import MANIFEST_NAME, file_sha256, read_manifest
from pinnacle.log.segment import segment_info
from pinnacle.report.sweep import SWEEP_JSON, SWEEP_PARQUET, Row, figures_of, write_sweep
from pinnacle.report.write import HTML_NAME, SUMMARY_NAME, write_report
from pinnacle.resources import find_file, shipped
from pinnacle.run.backtest import Backtest, make_run_folder
from pinnacle.run.feeds import Feed
from pinnacle.run.prepare import prepare_backtest
from pinnacle.run.workers import open_workers
