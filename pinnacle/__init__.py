"""pinnacle: an event-sourced market-making engine for crypto venues.

One deterministic log drives the simulator, the backtester and the live runner, so that any session can be replayed
and every order it sent be proven to follow from what it heard.
"""

__version__ = "0.1.0"
