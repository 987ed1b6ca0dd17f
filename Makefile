# Short names for what installer/from_source.py and the bench commands do.
PYTHON ?= python3
VENV := .venv/bin

.PHONY: run test check shots translations bundle smoke clean

run:            ## open the window, installing what is missing
	@$(PYTHON) installer/from_source.py run

test:           ## every check and test
	@$(PYTHON) installer/from_source.py test

translations:   ## collect texts, then compile the catalogues
	$(VENV)/python installer/translations.py

shots:          ## today's pictures for the README
	$(VENV)/python tests/take_screenshots.py

bundle:         ## dist/r1desk: the application with everything it needs
	@$(PYTHON) installer/bundle/make.py

smoke:          ## start the bundle and ask it something
	@$(PYTHON) installer/bundle/smoke.py dist/r1desk

clean:
	rm -rf .venv build dist
