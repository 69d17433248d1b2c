/* Makes writes fail while a file named by OSC_TEST_FAULT exists: loaded into the node with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static int broken(void) {
  const char *fault = getenv("OSC_TEST_FAULT");
  return fault && access(fault, F_OK) == 0;
}

#define FAIL_IF_BROKEN \
  if (broken()) { errno = EIO; return -1; }

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
  static ssize_t (*next)(int, const void *, size_t, off64_t);
  if (!next) next = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
  FAIL_IF_BROKEN
  return next(file, bytes, count, at);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
  static ssize_t (*next)(int, const void *, size_t, off_t);
  if (!next) next = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
  FAIL_IF_BROKEN
  return next(file, bytes, count, at);
}

int fdatasync(int file) {
  static int (*next)(int);
  if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  FAIL_IF_BROKEN
  return next(file);
}

int fsync(int file) {
  static int (*next)(int);
  if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  FAIL_IF_BROKEN
  return next(file);
}
