# Short names for what installer/from_source.py and the bench commands do.
PYTHON ?= python3
VENV := .venv/bin
MINUTES ?= 10

.PHONY: run check test test-all test-processors campaign shots translations bundle smoke release windows clean

run:            ## open the window, installing what is missing
	@$(PYTHON) installer/from_source.py run

check:          ## lint, types, layers and the pure tests: a minute
	@$(PYTHON) installer/from_source.py check

test:           ## the checks, and the tests of what a change can break: 8 minutes on two cores
	@$(PYTHON) installer/from_source.py test

test-all:       ## the tests that `make test` leaves out: 15 minutes more
	@$(PYTHON) installer/from_source.py test-all

test-processors: ## engine, kernels and bills with llama.cpp compiled for other processors: an hour
	@$(PYTHON) installer/from_source.py setup && $(PYTHON) installer/processors.py

campaign:       ## hunt for inputs that break a promise, for MINUTES; the seed is printed
	$(VENV)/python bench/campaign/campaign.py --minutes $(MINUTES)

translations:   ## collect texts, then compile the catalogues
	$(VENV)/python installer/translations.py

shots:          ## today's pictures for the README
	$(VENV)/python bench/take_screenshots.py

bundle:         ## dist/r1desk: the application with everything it needs
	@$(PYTHON) installer/bundle/make.py

smoke:          ## start the bundle and ask it something
	@$(PYTHON) installer/bundle/smoke.py dist/r1desk

release:        ## dist/release: the wheels, this system's packages, their checksums and a page that lists them
	@$(PYTHON) installer/release.py

windows:        ## a test build for Windows, made and tried on Linux under Wine
	@$(PYTHON) installer/windows/under_wine.py

clean:
	rm -rf .venv build dist
