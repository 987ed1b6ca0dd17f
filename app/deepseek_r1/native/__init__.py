"""C++ code for what must not wait for Python's lock.

It holds the prefetch ring that weights pass through, llama.cpp's eval callback in front of it, and
the decode loop for plain text. `native_library` binds the functions; the headers document them.
"""
