#include "owner_watch.hpp"

#include <system_error>
#include <thread>

#ifdef _WIN32
#include <windows.h>
#else
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#endif
#ifdef __APPLE__
#include <sys/event.h>
#endif

namespace streaming {
namespace {

#ifdef _WIN32

int start(int64_t, int64_t owner) {
    const HANDLE process = OpenProcess(SYNCHRONIZE, FALSE, static_cast<DWORD>(owner));
    if (process == nullptr) return -1;
    std::thread([process] {
        WaitForSingleObject(process, INFINITE);
        TerminateProcess(GetCurrentProcess(), 0);
    }).detach();
    return 0;
}

#else

// Python's own reader sees the end of the pipe too, and ends the process in order; this is for an
// interpreter that does not get to it.
constexpr unsigned GRACE_S = 1;

int start(int64_t pipe, [[maybe_unused]] int64_t owner) {
    std::thread([pipe] {
        pollfd watched{static_cast<int>(pipe), 0, 0};  // no events: only the end is reported
        for (;;) {
            const int count = poll(&watched, 1, -1);
            if (count < 0 && errno != EINTR) return;
            if (count > 0) break;
        }
        sleep(GRACE_S);
        _exit(0);
    }).detach();
#ifdef __APPLE__
    std::thread([owner] {
        const int queue = kqueue();
        struct kevent change, event;
        EV_SET(&change, owner, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, nullptr);
        const bool gone = kevent(queue, &change, 1, nullptr, 0, nullptr) < 0 && errno == ESRCH;
        while (!gone && kevent(queue, nullptr, 0, &event, 1, nullptr) < 0 && errno == EINTR) {
        }
        sleep(GRACE_S);
        _exit(0);
    }).detach();
#endif
    return 0;
}

#endif

}  // namespace

int watch_owner(int64_t pipe, int64_t owner) {
    try {
        return start(pipe, owner);
    } catch (const std::system_error &) {  // no thread to be had
        return -1;
    }
}

}  // namespace streaming
