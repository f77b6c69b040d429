#pragma once
// Swift's module of glibc leaves malloc.h out.
#ifdef __linux__
#include <features.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

/// Returns freed memory to the system, as far as the allocator can; false when it has no function for that.
static inline int heap_trim(void) {
#ifdef __GLIBC__
    return malloc_trim(0);
#else
    return 0;
#endif
}
