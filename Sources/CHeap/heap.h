#pragma once
// Swift's module of glibc leaves malloc.h out.
#ifdef __linux__
#include <features.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

/// Gives memory that has been freed back to the system, as far as the allocator can; false where it cannot be asked to.
static inline int heap_trim(void) {
#ifdef __GLIBC__
    return malloc_trim(0);
#else
    return 0;
#endif
}
