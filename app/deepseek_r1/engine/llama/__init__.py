"""llama.cpp, through the low-level module of llama-cpp-python alone."""
