# The front door. Everything else is done by meson, ninja and the scripts.
BUILD ?= build
MESON ?= $(firstword $(wildcard /usr/bin/meson) meson)

.PHONY: all setup run test stress bench lint sanitize ports install clean
.DEFAULT_GOAL := all

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

# Installs what is missing, asks nothing, does nothing when all is there.
setup:
	scripts/setup.sh

$(BUILD)/build.ninja: | setup
	$(MESON) setup $(BUILD)

# A crawl to look at: `make run`, or `make run URL=https://...`.
run: all
	BUILD=$(BUILD) scripts/run-demo.sh $(URL)

test: all
	scripts/setup.sh --test
	scripts/test.sh $(BUILD)

# The full counts of the stress and fault tests, with every fault site armed.
stress: setup
	scripts/setup.sh --stress
	scripts/test.sh --stress build-stress

bench: all
	scripts/setup.sh --bench
	scripts/bench.sh $(BUILD)

lint: all
	scripts/lint/run.sh $(BUILD)

sanitize: all
	scripts/sanitize.sh $(BUILD)

install: all
	$(MESON) install -C $(BUILD)

# The core on the guard pages, the switches and the processor that this machine would not choose.
ports: all
	scripts/setup.sh --ports
	scripts/ports.sh $(BUILD)

clean:
	rm -rf $(BUILD) build-asan build-clang build-tsan build-stress build-ucontext build-aarch64
