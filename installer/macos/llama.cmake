# A toolchain file of CMake, for llama.cpp on macOS.
#
# On another system clang of `ziglang` compiles it: R1DESK_FOR is clang's name of the system,
# R1DESK_PROCESSOR CMake's of the processor, R1DESK_CPU the oldest one that there is.

include("${CMAKE_CURRENT_LIST_DIR}/../llama.cmake")
set(CMAKE_PROJECT_llama.cpp_INCLUDE "${CMAKE_CURRENT_LIST_DIR}/processor_alone.cmake")
if(DEFINED ENV{R1DESK_FOR})
    set(CMAKE_SYSTEM_NAME Darwin)
    set(CMAKE_SYSTEM_PROCESSOR "$ENV{R1DESK_PROCESSOR}")
    set(CMAKE_OSX_SYSROOT "" CACHE STRING "")
    set(CMAKE_OSX_ARCHITECTURES "$ENV{R1DESK_PROCESSOR}" CACHE STRING "")  # else this machine's
    set(CMAKE_OSX_DEPLOYMENT_TARGET "" CACHE STRING "")
    # Libraries are linked with the path that they are installed with: nothing here could change it.
    set(CMAKE_INSTALL_NAME_TOOL "/bin/true" CACHE FILEPATH "")
    set(CMAKE_BUILD_WITH_INSTALL_RPATH ON CACHE BOOL "")
    set(CMAKE_SHARED_LINKER_FLAGS_INIT "-s")  # what a debugger reads names the folder of the build
    foreach(language C CXX)
        string(APPEND CMAKE_${language}_FLAGS_INIT
            " -target $ENV{R1DESK_FOR} -mcpu=$ENV{R1DESK_CPU}")
    endforeach()
endif()
