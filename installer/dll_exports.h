// Included before all of llama.cpp where clang compiles it for Windows. Its linker exports the run time's
// own `atexit` from each DLL, and then refuses to link the next DLL, which has one as well.
__asm__(".section .drectve,\"yni\"\n.ascii \" -exclude-symbols:atexit\"\n.text");
