// Included before all of llama.cpp where it is compiled without OpenMP. Its threads then turn in a
// loop until the last one has done its part, and where another program has that one's core they turn
// until its time is over. After some microseconds they let others run.
#if defined(__x86_64__)
#include <immintrin.h>
#if defined(_WIN32)
#ifdef __cplusplus
extern "C"  // as in Windows' own header, which some files include
#endif
__declspec(dllimport) int __stdcall SwitchToThread(void);
#define let_others_run SwitchToThread
#else
#include <sched.h>
#define let_others_run sched_yield
#endif
static inline void yielding_pause(void) {
    static __thread unsigned turns;
    _mm_pause();
    if (++turns % 512 == 0)
        let_others_run();
}
#define _mm_pause yielding_pause
#endif
