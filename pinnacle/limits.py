"""Every bound of the system, in one place, each with its reason.

Reaching a bound is an event with a decision (refuse, stop, go stale), never silent growth.
"""

from __future__ import annotations

# --- numbers ------------------------------------------------------------------------------------------------------
INT64_MAX = (1 << 63) - 1
# Prices and quantities are kept below 2^40 so that price * qty of one order stays inside int64 with room for a sum:
# checked per instrument by NOTIONAL_UNITS_MAX below.
PRICE_TICKS_MAX = 1 << 40
QTY_LOTS_MAX = 1 << 52
# Cash is a running sum of price_ticks * qty_lots * units_per_ticklot; half of int64 leaves one addition of headroom,
# so that a check after each addition cannot itself wrap.
CASH_UNITS_MAX = 1 << 61

# --- the book -----------------------------------------------------------------------------------------------------
# Levels a side that the window of a price-level book spans.  2^20 ticks of 0.1 are 104,857 USD: the whole of
# BTCUSDT perpetual.  Untouched pages cost nothing.  Rows outside the window are counted and never quoted on.
BOOK_WINDOW_TICKS = 1 << 20

# --- the engine's tables ------------------------------------------------------------------------------------------
# Own orders an instrument can have at once; the slot is the low bits of the order id, so a power of two.
ORDERS_MAX = 256
# Quotes a strategy may want at once on one instrument, both sides together (a 20+20 grid takes 40).
WANTED_QUOTES_MAX = 128
# Numbers a strategy may have as parameters, and remember between wakes.
STRATEGY_PARAMS_MAX = 64
STRATEGY_MEMORY_MAX = 256
# Instruments of one run.  Each size is another compiled dtype, so a few capacities are offered instead of any number.
INSTRUMENT_CAPACITIES = (1, 2, 8)

# --- the simulated venue ------------------------------------------------------------------------------------------
# Requests and answers in flight at once per instrument: more than ORDERS_MAX places and cancels can be outstanding.
IN_FLIGHT_MAX = 1024
# Answers heard at one instant before the run is stopped: more than any burst of real ones, fewer than for ever.
ANSWERS_AT_ONCE_MAX = 1 << 16
# How long a run goes on after its market has ended: its last orders are answered, and a strategy whose orders are
# refused again and again does not keep it going for ever.
AFTER_MARKET_NS = 60_000_000_000
# Points of a recorded latency curve kept in memory (one a second over two days).
LATENCY_POINTS_MAX = 1 << 18

# Parameter sets that walk one market together.  Beyond a few hundred a lane costs no less, and their own sides no
# longer share the nearer cache.
LANES_MAX = 256

# --- the log ------------------------------------------------------------------------------------------------------
# Records of one journal frame: 64 KiB of payload keeps a torn write small and the checksum in cache.
FRAME_RECORDS_MAX = 1 << 10
# Bytes of one journal file before it is sealed and the next one begun (4 M records).
JOURNAL_BYTES_MAX = 256 << 20
# Rows of one Parquet row group: 4 MiB of records, the unit in which history is read; a run holds a few at a time.
ROW_GROUP_ROWS = 1 << 16
# Rows that may wait while messages that the venue dated earlier are still on their way to us.
REORDER_ROWS_MAX = 1 << 21

# --- the vault ----------------------------------------------------------------------------------------------------
# Memory that opening a vault must take of whoever guesses its password: scrypt with 2^17 blocks of 8 x 128 bytes.
VAULT_KDF_MEMORY_MIN = 64 << 20
# The most a vault's header may ask for: a file from elsewhere must not be able to exhaust the machine.
VAULT_KDF_MEMORY_MAX = 1 << 30
# Passes over that memory, for the same reason: some seconds.
VAULT_KDF_PASSES_MAX = 16
# A vault file, and the keys in it: five venues with some dozens of keys each.
VAULT_BYTES_MAX = 1 << 20
VAULT_KEYS_MAX = 256
# The plain text is filled up to a multiple of this, so that the file's size tells a count of keys but roughly.
VAULT_PADDING_BYTES = 1 << 12
# One secret, a password, or a file that either is read from.  A PEM of an RSA key of 4096 bits has 3,300 bytes.
SECRET_BYTES_MAX = 1 << 14
# Shorter passwords are refused when one is chosen: scrypt makes a guess dear, not few words many.
VAULT_PASSWORD_CHARS_MIN = 12
# How long a command waits for another one that is writing the same vault.
VAULT_LOCK_WAIT_S = 10

# --- import -------------------------------------------------------------------------------------------------------
# One message of a recording.  The largest real one (a REST snapshot of 1,000 levels a side) is 40 KB.
MESSAGE_BYTES_MAX = 64 << 20
# Diff messages held back while a recording's snapshot has not come yet.
BRIDGE_MESSAGES_MAX = 1 << 16

# --- more of the engine's tables ----------------------------------------------------------------------------------
# Levels outside the window that are remembered a side.  BTCUSDT spot at a tick of 0.01 has some hundreds.
BOOK_ASIDE_LEVELS = 1024
# Records the engine may write before its owner empties them into the log: one wake can cancel and place every order
# of every instrument, so room for that many is asked for before each event.
OUT_RECORDS = 1 << 14
OUT_ROOM_MIN = 4 * ORDERS_MAX * max(INSTRUMENT_CAPACITIES)
assert OUT_RECORDS >= 2 * OUT_ROOM_MIN
# Records an observer may write before its owner empties them.
OBSERVATIONS_MAX = 1 << 14
# Free rows it asks for before each moment: a sample of every instrument and a mark-out of every horizon.
OBSERVED_ROOM_MIN = 64
# Fills whose mark-outs are still open: 30 s at a thousand fills a second.
MARKOUTS_PENDING_MAX = 1 << 15
# Levels whose liquidity an own order took and the venue has not refreshed yet.
TAKEN_LEVELS_MAX = 64

# --- live feeds ---------------------------------------------------------------------------------------------------
# Prices a side, from the best on, that a feed keeps to see a crossed book.  A price that far from the best becomes the
# best only when as many levels have gone, and then only a crossing is seen later.
OWN_LEVELS_MAX = 1 << 10
# A whole book that was asked for and has not come: the largest (Coinbase BTC-USD, 5 MB) takes a second or two.
FEED_SYNC_NS_MAX = 30_000_000_000
# How much later than the freshest message of its connection a message may come before its book is of the past.
FEED_LAG_NS_MAX = 5_000_000_000
# How far our clock may be set back (by its disciplining) before what it measured is thrown away.
FEED_CLOCK_BACK_NS_MAX = 1_000_000_000

# --- order-by-order books -----------------------------------------------------------------------------------------
# Orders a book has room for at first, and at most.  Coinbase BTC-USD holds some tens of thousands; 16 M orders are
# 1.5 GB with their table, and a feed that reaches them does not say when orders leave.
L3_ORDERS_START = 1 << 16
# The same of the book that walks a recording: it doubles as it must, and a small book's table stays in the nearer
# cache, where a spacious one costs a third of the speed.
L3_WALK_ORDERS_START = 1 << 12
L3_ORDERS_MAX = 1 << 24

# --- the matching engine ------------------------------------------------------------------------------------------
# Records it may write before its owner empties them: 256 KiB, which stay in the nearer cache.
EXCHANGE_OUT_RECORDS = 1 << 12
# Free rows it asks for before each command, and before each order that a command meets.  One order met writes seven
# (two reports each, a trade, an order, a level), the end of a command eight.
EXCHANGE_ROOM_MIN = 32
# Participants of one matching engine, and their own order ids: together the key under which an order is found.
PARTICIPANTS_MAX = 1 << 20
PARTICIPANT_ORDER_ID_MAX = (1 << 40) - 1
# Rows of its fee schedule.
FEE_TIERS_MAX = 16

# --- the live loop ------------------------------------------------------------------------------------------------
# A timer that is later than this is left out with all that were missed: after a sleep of the machine nobody wants
# the hours' timers one after the other.
TIMER_LATE_NS_MAX = 1_000_000_000
# Orders to expire at a recovery: every slot of every instrument.
EXPIRED_MAX = ORDERS_MAX * max(INSTRUMENT_CAPACITIES)
# Rows that wait for the simulated venue at first; it grows with a burst up to REORDER_ROWS_MAX.
PENDING_ROWS_START = 1 << 14
# What a journal keeps allocated ahead of what is written: the last words of a session whose disk is full.
JOURNAL_AHEAD_BYTES = 2 << 20
# Sealed segments that wait for the background; more, and sealing is slower than the market for hours.
SEGMENTS_WAITING_MAX = 64
# How long a session that is told to stop waits for its orders to end.
STOP_S_MAX = 5.0

# --- connections --------------------------------------------------------------------------------------------------
# One message: Coinbase's whole level-2 book of BTC-USD is some 5 MB of text.
WEBSOCKET_MESSAGE_BYTES_MAX = 64 << 20
# Bytes that may wait to be sent: subscriptions and orders are short, more means that nobody reads.
WEBSOCKET_WRITE_BYTES_MAX = 1 << 20
# Seconds until a connection is open, TLS and handshake included.
HANDSHAKE_S_MAX = 10.0
# Whole answers over HTTP: Binance's exchangeInfo is some 15 MB, a Coinbase book 20 MB.
HTTP_BYTES_MAX = 128 << 20
HTTP_S_MAX = 15.0
# Back-off between attempts.  Venues ban addresses for some hundred attempts in five minutes (Binance: 300).
BACKOFF_S_MIN = 0.25
BACKOFF_S_MAX = 30.0
# Between two looks whether what a connection needs first (a key asked for by HTTP) has come.
HEADERS_AGAIN_S = 0.05
CONNECTIONS_IN_WINDOW_MAX = 60
CONNECTIONS_WINDOW_S = 300.0
# A connection that held so long has not failed when it ends.
STABLE_S = 60.0
# Ping where nothing came for so long; venues close what does not answer within a minute or more.
PING_EVERY_S = 15.0
PONG_S_MAX = 10.0
# One line of the control socket, and how long its client waits.
CONTROL_BYTES_MAX = 1 << 16
CONTROL_S_MAX = 10.0
# Bytes of a raw tape compressed at a time: a tenth of a millisecond of the loop's time.
TAPE_FRAME_BYTES = 64 << 10
# Seconds between two looks at what time alone brings: silence, pings, rotation, the disk, the clock.
TICK_S = 0.25
# --- live feeds ---------------------------------------------------------------------------------------------------
# Bytes of diff messages held while a book's snapshot is on its way: seconds of the busiest symbol are below 1 MB.
HELD_BYTES_MAX = 32 << 20
# Whole books asked for in a row without one that holds, before the connection itself is given up.
SNAPSHOT_TRIES_MAX = 8
# The longest wait between two of them: a venue's ban for asking too often is counted in minutes.
SNAPSHOT_WAIT_NS_MAX = 60_000_000_000
# Texts of prices and of quantities whose number is remembered per instrument; the memory is emptied when it is full.
NUMBER_TEXTS_MAX = 1 << 12
# Instruments of one Binance connection: three streams each stay far below the venue's 1,024, and the address that
# names them all below the 8 KB that web servers take.
BINANCE_INSTRUMENTS_MAX = 64
# Levels a side that a Kraken book has room for: the deepest subscription (1,000), around which one message may put as
# many again, and slack on either end so that what falls out moves nothing.
DEPTH_ROOM_LEVELS = 4096
# Symbols of one Kraken connection: the venue states 200 for single orders and none for levels; a hundred busy books
# are what one socket carries with room.
KRAKEN_SYMBOLS_MAX = 100
# How often a Bitstamp book, whose changes carry no sequence, is compared with the venue's own: the longest that a lost
# change can go unnoticed, at four REST calls a minute and book of the thousand a minute that the venue allows.
BITSTAMP_AUDIT_NS = 15_000_000_000
# Channels of one Bitstamp connection; the 1,025th would silently end it.
BITSTAMP_CHANNELS_MAX = 1_000

# --- the local exchange -------------------------------------------------------------------------------------------
# Accounts of one local exchange; the background's participants come after them.
HOUSE_ACCOUNTS_MAX = 1024
# Ids of the accounts' orders begin here, above what background flow can reach in years, and below the limit of a
# participant's own ids with room for as many.
HOUSE_ORDER_ID_FIRST = 1 << 36
# Finished orders and executions of an account that can still be asked for, and public trades of an instrument.
HOUSE_ENDED_ORDERS_MAX = 10_000
HOUSE_FILLS_MAX = 10_000
HOUSE_TRADES_MAX = 10_000
# Minutes of prices an instrument's statistics remember: a day, and what a chart of 1,000 bars wants.
HOUSE_MINUTES_MAX = 1_500
assert HOUSE_ORDER_ID_FIRST < PARTICIPANT_ORDER_ID_MAX // 2
# Clients that a rate limit tells apart in one window.
WINDOW_KEYS_MAX = 10_000
# Streams or channels that one websocket of the local exchange may ask for; the venues' own limits are about this.
SESSION_STREAMS_MAX = 1024
# Levels that wait for the next message of a depth stream: what changes in a second, and more than any book here has.
DEPTH_PENDING_MAX = 1 << 17

# --- sockets of the local exchange --------------------------------------------------------------------------------
# Connections at once; each costs some tens of kilobytes.
CLIENTS_MAX = 512
# What may wait for a client that does not read: some seconds of a busy feed, and with all clients 4 GB at worst.
SEND_BUFFER_BYTES_MAX = 8 << 20
# One message or request body of a client; venues take less.
SOCKET_MESSAGE_BYTES_MAX = 1 << 20
REQUEST_BODY_BYTES_MAX = 1 << 20
# Bytes of the files of a tape that is served; it is held in memory.
TAPE_BYTES_MAX = 512 << 20

# --- generated markets --------------------------------------------------------------------------------------------
# Buckets of distance from the other side's best, and the farthest distance in ticks: models/events.py makes 45 up to
# 2,048.  What rests farther waits there until the market comes back.
FLOW_BUCKETS_MAX = 64
FLOW_DISTANCE_MAX = 4096
# Kinds of self-exciting orders, and how many memories of different length they may have.
FLOW_KINDS = 6
FLOW_DECAYS_MAX = 4
# Quantiles of sizes: a tail of one in a thousand is still drawn.
FLOW_SIZES = 1024
# Levels on the wrong side of the value that are looked at; what lies behind them is withdrawn when they are gone.
FLOW_STALE_LEVELS = 256
# Rows of the market on their way to the engine, a power of two: a second of feed latency at 60,000 rows a second.
FEED_ROWS_MAX = 1 << 16
# Levels a side that the engine is shown when it joins a market.
FEED_SNAPSHOT_LEVELS = 8192
# How long a simulation may be, s: a week.
SIMULATED_SECONDS_MAX = 7 * 86_400

# --- real orders --------------------------------------------------------------------------------------------------
# How long an answer to an order is waited for before its outcome counts as unknown; venues answer within a second.
ANSWER_NS_MAX = 3_000_000_000
# Questions about one order of unknown outcome, and the first wait between two; it doubles up to a few seconds.  After
# them trading stops for good, and a person has to look.
ORDER_ASKED_MAX = 64
ORDER_ASK_NS = 250_000_000
ORDER_ASK_NS_MAX = 4_000_000_000
# How long an order may wait for the budget before it is given up unsent: what was wanted then is wanted no more.
UNSENT_NS_MAX = 500_000_000
# Trade ids and ended orders of an account that are remembered; a fill that comes later than that is asked about.
FILL_IDS_MAX = 1 << 16
ENDED_ORDERS_MAX = 1 << 12
# Time between two comparisons with the venue's account while nothing is wrong.
RECONCILE_NS = 30_000_000_000
# Refusals in a window of time after which trading stops for good.  Orders that would cross are not among them.
REFUSALS_MAX = 50
REFUSALS_NS = 10_000_000_000
# How long trading waits after the venue said that it is too much, halted, or that funds are missing.
HOLD_NS = 2_000_000_000
# How often what still rests after a kill is cancelled again.
KILL_AGAIN_NS = 1_000_000_000
# After which a venue's dead-man's switch cancels everything if it does not hear of us; Kraken recommends a minute.
DEAD_MAN_NS = 60_000_000_000
# Fills asked for at a time, the most that venues give.
FILLS_PAGE = 1_000
# Orders of an account that a private stream remembers, to read events that name an order by its number alone: open ones
# are a few hundred at most, the rest are ended ones that a late event may still name.
PRIVATE_ORDERS_MAX = 1 << 12
# Private REST calls of Kraken that wait for the one before, whose nonce must arrive first.
KRAKEN_CALLS_MAX = 256
# Pages of fifty own trades that one question about Kraken's fills looks through: what its REST counter allows at once.
KRAKEN_FILL_PAGES_MAX = 6
# Pages of a thousand own transactions that one question about Bitstamp's fills looks through.
BITSTAMP_FILL_PAGES_MAX = 8
# Pages of fills that one question may take; who traded more while nobody listened is told what is missing.
FILL_PAGES_MAX = 20
# Signed requests that wait for the one before them, at a venue whose nonces must arrive in order.
REST_WAITING_MAX = 256
# Writes of one connection that a delay on demand holds back; beyond them the connection is cut.
DELAYED_WRITES_MAX = 10_000
# Executions of one symbol that aggregated trades are remembered of.
AGGREGATED_TRADES_MAX = 10_000
# What a tape at full speed sends ahead of its reader: enough to keep it busy between two steps, far below the bound at
# which a reader is cut.
TAPE_AHEAD_BYTES = 1 << 20
assert 4 * TAPE_AHEAD_BYTES <= SEND_BUFFER_BYTES_MAX
# One step of the local exchange's market: after a pause of the process (a debugger, a stopped machine) what was missed
# comes in steps of this, so that none holds more than a moment's records.
EXCHANGE_STEP_NS = 100_000_000
# How long a session waits for the ends of its real orders: until an order of unknown outcome is proven not to be there.
REAL_STOP_S_MAX = 15.0
# How long it then waits to hear that dead-man's switches are off; one that is not ends orders that are not ours.
LEAVE_S_MAX = 2.0
# How long `pinnacle cancel-all` tries until the venue shows no order.
CANCEL_ALL_S_MAX = 60.0
# How long `pinnacle flatten` tries unless it is told otherwise, and the most it may be told.
FLATTEN_S = 60.0
FLATTEN_S_MAX = 86_400.0
# Between two of its orders where no engine paces them: a book that has nobody at the price is not asked at full speed.
FLATTEN_PACE_S = 0.2
# Refusals that no waiting mends (funds, filters) after which it gives up.
FLATTEN_REFUSALS_MAX = 3
# How long the watchdog waits for a session's answer before it takes it for dead, unless it is told otherwise.
WATCHDOG_AFTER_S = 10.0
# How long `pinnacle keys test --online` waits for what a venue says of a key: a connection, its token and one question.
KEY_TEST_S_MAX = 20.0
# How far ahead of the time nonces may run where another machine has used greater ones of the same key: no clock that
# anybody trades by is further off than a day.
NONCE_AHEAD_NS_MAX = 86_400_000_000_000
# How often a process tries for the lock of a key's nonces before it goes on without: another one holds it for some
# microseconds, and one that was stopped while it did must not stop this one.
NONCE_LOCK_TRIES = 50
# Lines a minute about one kind of thing that a venue says; a refusal of every order would fill the disk.
TROUBLES_MAX = 5
TROUBLE_NS = 60_000_000_000
# Orders that a power cut may take from the log: more than any venue takes in the seconds that are not on the disk yet.
ORDERS_LOST_MAX = 1 << 16
