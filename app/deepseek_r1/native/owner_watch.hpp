// Ends this process when its owner has ended, whatever its threads do.
#pragma once

#include <cstdint>

namespace streaming {

// Starts a thread that waits for the end of `pipe` (a descriptor; its other end is the owner's) and
// of the process `owner`, and then ends this process. Returns 0, or -1 where no thread was started.
// On Windows only the process is watched, elsewhere than on Windows and macOS only the pipe.
int watch_owner(int64_t pipe, int64_t owner);

}  // namespace streaming
