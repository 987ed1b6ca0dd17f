"""How many threads compute."""
