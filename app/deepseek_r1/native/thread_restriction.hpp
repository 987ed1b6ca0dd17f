// Puts a Landlock ruleset in force for every thread of this process.
#pragma once

#include <cstdint>

namespace streaming {

// `ruleset` is its descriptor. The system restricts the calling thread alone, so each thread is
// interrupted by a signal in which it restricts itself. Returns 0 or an errno: ETIMEDOUT where a
// thread blocks the signal, ENOSYS on other systems. After an error some threads are restricted.
int restrict_threads(int64_t ruleset);

}  // namespace streaming
