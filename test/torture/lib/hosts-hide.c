/* Preloaded by the `hosts` case: dlsym(3) denies the function of libuv that HIDE names, as in a host
 * without it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#if defined(__aarch64__)
#define FIRST "GLIBC_2.17"
#else
#define FIRST "GLIBC_2.2.5"
#endif

void *dlsym(void *restrict handle, const char *restrict name) {
  static void *(*real)(void *, const char *);
  const char *hidden = getenv("HIDE");
  if (hidden && strcmp(name, hidden) == 0) return NULL;
  if (!real) {
    real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    if (!real) real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", FIRST);
  }
  return real(handle, name);
}
