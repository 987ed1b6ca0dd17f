"""What must not wait for Python's lock, in C++: the ring that weights pass through, llama.cpp's
callback in front of it, and the loop that writes plain text. `library` has the functions; what they
do is told in the headers here.
"""
