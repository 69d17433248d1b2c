/* Loaded into a node with LD_PRELOAD: its wall clock is OSC_TEST_CLOCK_MS milliseconds ahead, and its disk is full while
   the file OSC_TEST_DISK_FULL exists. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*next)(clockid_t, struct timespec *);
  static long ahead;
  if (!next) {
    const char *text = getenv("OSC_TEST_CLOCK_MS");
    ahead = text ? atol(text) : 0;
    next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  }
  int result = next(clock, now);
  if (result == 0 && clock == CLOCK_REALTIME) {
    now->tv_sec += ahead / 1000;
    now->tv_nsec += ahead % 1000 * 1000000;
    if (now->tv_nsec >= 1000000000) { now->tv_nsec -= 1000000000; now->tv_sec++; }
    if (now->tv_nsec < 0) { now->tv_nsec += 1000000000; now->tv_sec--; }
  }
  return result;
}

static int full(void) {
  const char *file = getenv("OSC_TEST_DISK_FULL");
  return file && access(file, F_OK) == 0;
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
  static ssize_t (*next)(int, const void *, size_t, off64_t);
  if (!next) next = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
  if (full()) { errno = ENOSPC; return -1; }
  return next(file, bytes, count, at);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
  static ssize_t (*next)(int, const void *, size_t, off_t);
  if (!next) next = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
  if (full()) { errno = ENOSPC; return -1; }
  return next(file, bytes, count, at);
}
