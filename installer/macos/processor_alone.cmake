# Included by CMake in llama.cpp's project, on macOS. llama-cpp-python forces Metal on, and what
# Intel's processors have off, over any option. Metal's memory would be outside of the budget.
foreach(option METAL METAL_EMBED_LIBRARY BLAS ACCELERATE)
    set(GGML_${option} OFF CACHE BOOL "" FORCE)
endforeach()
foreach(option AVX AVX2 FMA F16C)
    set(GGML_${option} ON CACHE BOOL "" FORCE)
endforeach()
