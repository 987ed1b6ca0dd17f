#include "thread_restriction.hpp"

#include <cerrno>

#ifdef __linux__
#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstring>
#include <set>
#include <vector>
#endif

namespace streaming {

#ifdef __linux__
namespace {

constexpr long RESTRICT_SELF = 446;  // landlock_restrict_self, the same number on every processor
constexpr int WAITING = -1;
constexpr int POLLS = 20000;
constexpr long POLL_NS = 100000;  // 2 s in all

std::atomic<int> ruleset_descriptor;
std::atomic<int> outcome;  // of the thread that was signalled last: WAITING, 0 or an errno

int restrict_this_thread() {
    return syscall(RESTRICT_SELF, ruleset_descriptor.load(), 0) == 0 ? 0 : errno;
}

// Only calls that may be made in a signal handler.
void on_signal(int) {
    const int kept = errno;
    outcome.store(restrict_this_thread());
    errno = kept;
}

std::vector<pid_t> thread_ids() {
    std::vector<pid_t> ids;
    DIR *const folder = opendir("/proc/self/task");
    if (folder == nullptr) return ids;
    while (const dirent *const entry = readdir(folder)) {
        const char *const name = entry->d_name;
        pid_t id = 0;  // it stays for "." and ".."; not by `atoi`, as in layer_outputs.cpp
        std::from_chars(name, name + std::strlen(name), id);
        if (id != 0) ids.push_back(id);
    }
    closedir(folder);
    return ids;
}

int restrict_other_thread(pid_t thread) {
    outcome.store(WAITING);
    if (syscall(SYS_tgkill, getpid(), thread, SIGRTMAX - 1) != 0) {
        return errno == ESRCH ? 0 : errno;  // it has ended
    }
    for (int poll = 0; poll < POLLS; ++poll) {
        if (const int found = outcome.load(); found != WAITING) return found;
        const timespec pause{0, POLL_NS};
        nanosleep(&pause, nullptr);
        if (syscall(SYS_tgkill, getpid(), thread, 0) != 0) return 0;  // it has ended since
    }
    return ETIMEDOUT;
}

int restrict_each() {
    const pid_t own = static_cast<pid_t>(syscall(SYS_gettid));
    if (const int failed = restrict_this_thread()) return failed;
    std::set<pid_t> done{own};
    // A thread that one of them starts meanwhile is found by the next reading of the list.
    for (bool found = true; found;) {
        const auto threads = thread_ids();
        if (threads.empty()) return ENOENT;
        found = false;
        for (const pid_t thread : threads) {
            if (!done.insert(thread).second) continue;
            found = true;
            if (const int failed = restrict_other_thread(thread)) return failed;
        }
    }
    return 0;
}

}  // namespace

int restrict_threads(int64_t ruleset) {
    ruleset_descriptor.store(static_cast<int>(ruleset));
    struct sigaction handler = {}, before = {};
    handler.sa_handler = on_signal;
    handler.sa_flags = SA_RESTART;
    sigfillset(&handler.sa_mask);
    if (sigaction(SIGRTMAX - 1, &handler, &before) != 0) return errno;
    const int failed = restrict_each();
    if (failed != ETIMEDOUT) sigaction(SIGRTMAX - 1, &before, nullptr);
    return failed;
}

#else

int restrict_threads(int64_t) { return ENOSYS; }

#endif

}  // namespace streaming
