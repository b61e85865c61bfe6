/* Preloaded into Envoy: lets its wall clock jump by as many seconds as stand in
 * the file that WSGUARD_TEST_CLOCK names, as a native long. Where a second one
 * behind it is not 0, the clock stands still at so many seconds since 1970. Its
 * other clocks go on as they do, as when NTP sets the time.
 *
 * System calls are made directly: Envoy reads the clock before the C library is
 * ready for more. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct { volatile long jump, stopped; } *set;

static void adjust(struct timespec *now) {
    if (!set) {
        const char *path = getenv("WSGUARD_TEST_CLOCK");
        if (!path) return;
        long file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
        if (file < 0) return;
        set = (void *)syscall(SYS_mmap, 0, sizeof *set, PROT_READ, MAP_SHARED, file, 0);
    }
    long stopped = set->stopped;
    now->tv_sec = stopped ? stopped : now->tv_sec + set->jump;
    if (stopped) now->tv_nsec = 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    long failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        adjust(now);
    return (int)failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
