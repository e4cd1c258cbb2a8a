# 云监管 agent. `make help` lists what there is; README.md tells it in words.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := var/run
# Most of what the tests do is wait for real parts: three at a time keep two processors busy.
WORKERS ?= 3
PIP := -m pip --disable-pip-version-check --require-virtualenv
# setuptools has much to say of editable installations; it is shown when one fails.
INSTALL_SELF := $(BIN)/python $(PIP) install -q --no-deps --no-build-isolation -e . >$(VENV)/install.log 2>&1 \
	|| { cat $(VENV)/install.log; exit 1; }

.PHONY: help run press door status models firmware flash test check bench soak fresh lock clean
.DELETE_ON_ERROR:

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

run: $(VENV)/.run models ## the demonstration facility, until Ctrl-C (or: make run SECONDS=60)
	@$(BIN)/yunjian run --demo var $(if $(SECONDS),--seconds $(SECONDS)) $(if $(BROKER),--broker $(BROKER))

press: ## press the panic button of the simulated board
	@$(BIN)/yunjian --runtime $(RUNTIME) press

door: ## open the door of the simulated board and close it again
	@$(BIN)/yunjian --runtime $(RUNTIME) door open
	@$(BIN)/yunjian --runtime $(RUNTIME) door close

# Status 1 says that something is wrong at the facility: it is told, and no error of make.
status: ## what the running facility says of itself
	@$(BIN)/yunjian --runtime $(RUNTIME) status || [ $$? -eq 1 ]

models: ## build models/*.onnx from pinned public packages (nothing to do when they are there)
	@PYTHON="$(PYTHON)" scripts/models.sh

firmware: ## build the firmware of the board into build/firmware: for a Nano (8 inputs) and for an Uno (-6in)
	@scripts/debian-packages.sh gcc-avr avr-libc
	@$(MAKE) -s -C firmware_bridge/firmware OUT=$(CURDIR)/build/firmware
	@$(MAKE) -s -C firmware_bridge/firmware OUT=$(CURDIR)/build/firmware INPUTS=6

flash: $(VENV)/.run ## write it to a board and ask it who it is: make flash PORT=/dev/ttyACM0 [BOARD=uno|nano|nano-old]
	@$(MAKE) -s -C firmware_bridge/firmware flash
	$(if $(PORT),@$(BIN)/python scripts/board_hello.py $(PORT))

test: $(VENV)/.dev models .venv-ipycam/.made ## all tests; APT=1 installs the Debian packages that some of them need
	@scripts/debian-packages.sh mosquitto ffmpeg systemd iproute2 cryptsetup-bin e2fsprogs chromium p7zip-full qemu-system-common \
		gcc libc6-dev gcc-avr avr-libc simavr libsimavr-dev libelf-dev
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.dev ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/.dev models ## the benchmarks, as one table (one of them: make bench ONLY=button)
	@scripts/debian-packages.sh mosquitto ffmpeg qemu-system-common e2fsprogs motion \
		gcc libc6-dev gcc-avr avr-libc simavr libsimavr-dev libelf-dev
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))

soak: $(VENV)/.dev models ## longer trials: kill -9 for SECONDS (600), then two hours and a day of the panel; or: ONLY=panel
	@scripts/debian-packages.sh mosquitto qemu-system-common e2fsprogs gcc libc6-dev gcc-avr avr-libc simavr \
		libsimavr-dev libelf-dev
	@$(BIN)/python -m tests.bench.soak --seconds $(or $(SECONDS),600) --panel-seconds $(or $(PANEL_SECONDS),3600) \
		$(if $(ONLY),--only $(ONLY))

fresh: ## run the README's two commands in a bare Debian chroot (needs root and mmdebstrap)
	@scripts/fresh.sh

lock: ## pin the dependencies anew (needs uv)
	@scripts/lock.sh

clean: ## remove everything made here
	rm -rf $(VENV) .venv-models .venv-ipycam var build bench.json models/*.onnx

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; assert (3,11) <= sys.version_info < (3,14), "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.11 ..."'
	@$(PYTHON) -m venv $(VENV)

# A first installation takes half a minute to some minutes, so it says what it does.
$(VENV)/.run: requirements/run.lock pyproject.toml | $(VENV)/bin/python
	@echo "安装依赖（固定版本，校验哈希）… / installing pinned packages …"
	@$(BIN)/python $(PIP) install -q --require-hashes -r requirements/run.lock
	@$(INSTALL_SELF)
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(VENV)/bin/python
	@echo "安装开发依赖… / installing pinned packages for development …"
	@$(BIN)/python $(PIP) install -q --require-hashes -r requirements/dev.lock
	@$(INSTALL_SELF)
	@touch $@ $(VENV)/.run

# A virtual camera for the ONVIF tests; it brings its own OpenCV, which must not come near ours.
.venv-ipycam/.made: requirements/ipycam.lock
	@echo "安装测试用虚拟摄像机… / installing a virtual camera for the tests …"
	@$(PYTHON) -m venv .venv-ipycam
	@.venv-ipycam/bin/python $(PIP) install -q --require-hashes -r requirements/ipycam.lock
	@touch $@
