# Short names for long commands.  `make storm WORLDS=1000 SEED=1`: worlds of faults in simulated time, see tests/storm.
PYTHON ?= .venv/bin/python
WORLDS ?= 100
SEED ?= 1
JOBS ?= $(shell nproc)
# The venue: all, binance, bitstamp, coinbase, coinbase-advanced, gemini, kraken.
PLACE ?= all

.PHONY: storm
storm:
	$(PYTHON) -m tests.storm --worlds $(WORLDS) --seed $(SEED) --jobs $(JOBS) --place $(PLACE)
