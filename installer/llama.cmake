# A toolchain file of CMake, for llama.cpp alone.

set(LLAMA_BUILD_COMMON OFF)  # what its own programs share takes half of the time

# Its checks name their files: not where those lay on this machine.
set(flags "-ffile-prefix-map=\"${CMAKE_SOURCE_DIR}\"=llama")

# Without a compiler of the system: clang of the package `ziglang`, which is one program.
if(DEFINED ENV{R1DESK_ZIG})
    file(TO_CMAKE_PATH "$ENV{R1DESK_ZIG}" zig)
    set(CMAKE_C_COMPILER "${zig}" cc)
    set(CMAKE_CXX_COMPILER "${zig}" c++)
    set(CMAKE_AR "${zig}" CACHE FILEPATH "")
    set(CMAKE_RANLIB "${zig}" CACHE FILEPATH "")
    set(CMAKE_USER_MAKE_RULES_OVERRIDE "${CMAKE_CURRENT_LIST_DIR}/archives.cmake")
    string(APPEND flags " -include \"${CMAKE_CURRENT_LIST_DIR}/yielding_pause.h\"")
    if(DEFINED ENV{R1DESK_FOR_WINDOWS})  # on another system
        set(CMAKE_SYSTEM_NAME Windows)
        set(CMAKE_SYSTEM_PROCESSOR AMD64)
        string(APPEND flags " -target x86_64-windows-gnu")
    endif()
    if(CMAKE_HOST_WIN32 OR DEFINED ENV{R1DESK_FOR_WINDOWS})
        string(APPEND flags " -include \"${CMAKE_CURRENT_LIST_DIR}/dll_exports.h\"")
    endif()
    set(GGML_OPENMP OFF CACHE BOOL "")  # it has no library for it
endif()
set(CMAKE_C_FLAGS_INIT "${flags}")
set(CMAKE_CXX_FLAGS_INIT "${flags}")
