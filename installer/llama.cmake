# A toolchain file of CMake, for llama.cpp alone.

set(LLAMA_BUILD_COMMON OFF)  # what its own programs share takes half of the time

# Without a compiler of the system: clang of the package `ziglang`, which is one program.
if(DEFINED ENV{R1DESK_ZIG})
    file(TO_CMAKE_PATH "$ENV{R1DESK_ZIG}" zig)
    set(CMAKE_C_COMPILER "${zig}" cc)
    set(CMAKE_CXX_COMPILER "${zig}" c++)
    set(CMAKE_AR "${zig}" CACHE FILEPATH "")
    set(CMAKE_RANLIB "${zig}" CACHE FILEPATH "")
    foreach(language C CXX)
        set(CMAKE_${language}_FLAGS_INIT "-include \"${CMAKE_CURRENT_LIST_DIR}/yielding_pause.h\"")
        set(CMAKE_${language}_ARCHIVE_CREATE "<CMAKE_AR> ar qc <TARGET> <OBJECTS>")
        set(CMAKE_${language}_ARCHIVE_APPEND "<CMAKE_AR> ar q <TARGET> <OBJECTS>")
        set(CMAKE_${language}_ARCHIVE_FINISH "<CMAKE_RANLIB> ranlib <TARGET>")
    endforeach()
    set(GGML_OPENMP OFF CACHE BOOL "")  # it has no library for it
endif()
