# Short names for long commands.  `make storm WORLDS=1000 SEED=1`: worlds of faults in simulated time, see tests/storm.
PYTHON ?= .venv/bin/python
WORLDS ?= 100
SEED ?= 1
JOBS ?= 2
# The venue: binance, coinbase, coinbase-advanced, gemini.
PLACE ?= binance

.PHONY: storm
storm:
	$(PYTHON) -m tests.storm --worlds $(WORLDS) --seed $(SEED) --jobs $(JOBS) --place $(PLACE)
