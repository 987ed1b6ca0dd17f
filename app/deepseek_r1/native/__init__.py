"""What must not wait for Python's lock, in C++: the ring that weights pass through, and llama.cpp's
callback in front of it. `library` has the functions; what they do is told in the headers here.
"""
