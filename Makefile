# Everything a person runs here. Each target is a line or two; the work is in tools/ and tests/.
PYTHON ?= python3
BIN := .venv/bin
SECONDS ?= 60
ROUNDS ?= 100
SEEDS ?= 100000
PACKETS ?= 2000000
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo)

.PHONY: install demo classroom test interop interop-table sim ordeal check check-rust fuzz flood bench bench-quick bench-book pin clean

install:  ## .venv and the Debian packages that are missing
	@PYTHON=$(PYTHON) tools/install

demo: install  ## two hosts, one tunnel, and what eve sees; then the classroom, with root's rights
	@$(BIN)/hushwire lab demo && $(BIN)/hushwire lab classroom --if-possible

classroom: install  ## how not to do it: eBPF, p = 23, XOR; eve reads, and then no more
	@$(AS_ROOT) $(BIN)/hushwire lab classroom

test: install  ## everything, on real network namespaces
	@tools/strongswan && $(BIN)/python -m compileall -q src tests  # thousands of programs start
	$(BIN)/pytest -n 4 --dist loadgroup --interop-table=check tests

interop: install  ## the newest strongSwan, with ML-KEM: 16 MB from Debian, unpacked beside
	@tools/strongswan-newest
	$(BIN)/pytest -n 2 --interop-table=check tests/interop/post_quantum

interop-table: install  ## docs/interop.md, by the tests with real peers
	@tools/strongswan
	$(BIN)/pytest -n 2 --interop-table=write tests/interop

sim: install  ## SEEDS lives of two hosts, with loss, rekeys, deletes, moves: in the end both agree
	$(BIN)/python -m tests.sim.pairs --seeds $(SEEDS)

ordeal: install  ## ROUNDS times killed, restarted, flapped, routed astray; eve may read nothing
	HUSHWIRE_ORDEAL_ROUNDS=$(ROUNDS) $(BIN)/pytest -s tests/netns/test_ordeal.py

check: install check-rust  ## lint, types, import contract
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

check-rust: install  ## rustfmt and clippy
	tools/check-rust

fuzz: install  ## hostile octets into every parser, and inside SK with the true keys: SECONDS in all; SECONDS for each part in Rust
	$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS)
	tools/fuzz-native $(SECONDS)

.PHONY: differential soak soak-ike restarts sanitize

differential: install  ## PACKETS random packets: the native engine does what the Python one does
	$(AS_ROOT) $(BIN)/python -m tests.differential.run --packets $(PACKETS)

soak soak-ike: SECONDS = 600
soak: install  ## SECONDS of traffic as fast as it goes, new keys every 2: nothing lost, memory flat
	$(AS_ROOT) $(BIN)/python -m tests.soak.run --seconds $(SECONDS)

soak-ike: install  ## the same of two `hushwire run`, which renew their keys by IKEv2 every 5
	$(AS_ROOT) $(BIN)/python -m tests.soak.ike --seconds $(SECONDS)

restarts: install  ## either side killed and started again, 20 times each: when traffic is back
	@tools/strongswan
	$(BIN)/python -m bench.measure.restarting

sanitize: install  ## the tests of rust/core under AddressSanitizer
	tools/sanitize

flood: install  ## spoofed IKE_SA_INIT, honest clients and traffic at once: what is left of each
	$(BIN)/python -m bench.flood.run

bench: install  ## every engine, WireGuard, OpenVPN, strongSwan, the bare wire: tables, a picture
	@tools/peers
	$(BIN)/python -m bench.run

bench-quick: install  ## the least of it, in about two minutes
	@tools/peers
	$(BIN)/python -m bench.run --rounds 2 --seconds 1 --measure one small

bench-book: bench  ## and then docs/ and README.md say what came out
	$(BIN)/python -m bench.show --publish

pin:  ## newest versions into requirements.txt
	@tools/pin

clean:
	rm -rf .venv rust/target src/hushwire/_core*.so src/hushwire/_core_missing.txt build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
