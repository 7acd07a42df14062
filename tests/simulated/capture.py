"""The background's commands one by one, so that others can obey them: a plain engine, a refit, a naive count."""

from __future__ import annotations

import numpy as np

from pinnacle.event import EVENT
from pinnacle.kernels.background import obey
from pinnacle.kernels.jit import jit
from pinnacle.kernels.simulate import others_act, others_next
from pinnacle.run.market import GeneratedMarket


@jit
def _capture(flow, exchange, participants, orders, table, rows, letters, commands):  # type: ignore[no-untyped-def]
    count = 0
    while count < commands.size:
        now = flow["next_ns"]
        if others_act(flow, exchange, orders, table, rows):
            commands[count] = flow["command"]
            count += 1
            while not obey(flow, exchange, participants, orders, table, letters):
                letters["count"] = 0
            letters["count"] = 0
        others_next(flow, exchange, now, rows)
    return count


def captured(market: GeneratedMarket, count: int) -> np.ndarray:
    """EVENT[count]: the next commands of a generated market's background, which are obeyed too."""
    commands = np.zeros(count, EVENT)
    _capture(market.flow[0], *market.exchange.args, market.rows, market.exchange.out[0], commands)
    commands["aux"] = 1
    return commands
