// What Swift cannot import from sqlite3.h directly: functions behind an #if, variadic functions, casts
// hidden in macros, and symbols that a library built with other options does not have.
#pragma once

#define SQLITE_ENABLE_PREUPDATE_HOOK 1
#include <sqlite3.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

// glibc declares it only under _GNU_SOURCE; it exists on every platform.
static inline const void *csqlite_find_bytes(const void *bytes, size_t count, const void *needle, size_t needle_count) {
    extern void *memmem(const void *, size_t, const void *, size_t);
    return memmem(bytes, count, needle, needle_count);
}

// A library built without SQLITE_ENABLE_PREUPDATE_HOOK lacks these symbols. Weak references let the program
// start and report it, instead of failing in the dynamic linker.
#pragma weak sqlite3_preupdate_hook
#pragma weak sqlite3_preupdate_old
#pragma weak sqlite3_preupdate_new
#pragma weak sqlite3_preupdate_count
#pragma weak sqlite3_preupdate_depth
#pragma weak sqlite3_preupdate_blobwrite
// Since 3.38.
#pragma weak sqlite3_error_offset
// Since 3.40.
#pragma weak sqlite3_value_encoding

static inline int csqlite_has_preupdate_hook(void) {
    return sqlite3_preupdate_hook != 0 && sqlite3_preupdate_old != 0 && sqlite3_preupdate_new != 0;
}

static inline int csqlite_error_offset(sqlite3 *db) {
    return sqlite3_error_offset != 0 ? sqlite3_error_offset(db) : -1;
}

// -1 when the library does not report it.
static inline int csqlite_preupdate_blobwrite(sqlite3 *db) {
    return sqlite3_preupdate_blobwrite != 0 ? sqlite3_preupdate_blobwrite(db) : -1;
}

// Whether a value of type TEXT is stored as UTF-8; 0 when the library does not report it.
static inline int csqlite_value_is_utf8(sqlite3_value *value) {
    return sqlite3_value_encoding != 0 && sqlite3_value_encoding(value) == SQLITE_UTF8;
}

// sqlite3_db_config is variadic; every boolean option has this signature. Returns the result code.
static inline int csqlite_db_config_flag(sqlite3 *db, int option, int value, int *out) {
    return sqlite3_db_config(db, option, value, out);
}

// sqlite3_config is variadic too. Both fail with SQLITE_MISUSE once the library is initialized.
static inline int csqlite_config_get_malloc(sqlite3_mem_methods *methods) {
    return sqlite3_config(SQLITE_CONFIG_GETMALLOC, methods);
}
static inline int csqlite_config_malloc(const sqlite3_mem_methods *methods) {
    return sqlite3_config(SQLITE_CONFIG_MALLOC, methods);
}

// SQLITE_TRANSIENT is a cast that Swift does not import.
static inline int csqlite_bind_text_transient(sqlite3_stmt *statement, int index, const char *bytes, uint64_t count) {
    return sqlite3_bind_text64(statement, index, bytes, count, SQLITE_TRANSIENT, SQLITE_UTF8);
}
static inline int csqlite_bind_blob_transient(sqlite3_stmt *statement, int index, const void *bytes, uint64_t count) {
    return sqlite3_bind_blob64(statement, index, bytes, count, SQLITE_TRANSIENT);
}

static inline void csqlite_result_blob_transient(sqlite3_context *context, const void *bytes, uint64_t count) {
    sqlite3_result_blob64(context, bytes, count, SQLITE_TRANSIENT);
}
static inline void csqlite_result_text_transient(sqlite3_context *context, const void *bytes, uint64_t count) {
    sqlite3_result_text64(context, count > 0 ? (const char *)bytes : "", count, SQLITE_TRANSIENT, SQLITE_UTF8);
}

// A copy of a message in SQLite's memory. sqlite3_mprintf is variadic.
static inline char *csqlite_copy_message(const char *message) { return sqlite3_mprintf("%s", message); }

// The wal-index is shared memory that other processes write while this one reads, so its words are loaded atomically,
// one by one. Source: https://sqlite.org/walformat.html#the_wal_index_file_format
//
// Copies the header; 0 when its two copies differ, because a writer is between them or died there. SQLite writes
// the second copy first, so the first is read first.
static inline int csqlite_wal_index_header(const void *index, uint32_t words[12]) {
    const uint32_t *shared = (const uint32_t *)index;
    uint32_t second[12];
    for (int i = 0; i < 12; i++) words[i] = __atomic_load_n(&shared[i], __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (int i = 0; i < 12; i++) second[i] = __atomic_load_n(&shared[12 + i], __ATOMIC_RELAXED);
    return memcmp(words, second, sizeof second) == 0;
}

static inline uint32_t csqlite_wal_index_word(const void *index, int position) {
    return __atomic_load_n((const uint32_t *)index + position, __ATOMIC_ACQUIRE);
}

// The interface of FTS5 on a connection; null if the library has none. Source: sqlite.org/fts5.html#extending_fts5
static inline fts5_api *csqlite_fts5_api(sqlite3 *db) {
    fts5_api *api = 0;
    sqlite3_stmt *statement = 0;
    if (sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &statement, 0) == SQLITE_OK) {
        sqlite3_bind_pointer(statement, 1, &api, "fts5_api_ptr", 0);
        sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return api;
}

// fcntl(2) that retries a failed unlock for five seconds. SQLite ignores the failure, and the process would keep the lock: no other
// connection can take it until its holder unlocks again.
static inline int csqlite_fcntl(int file, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int result = fcntl(file, command, argument);
    if (command != F_SETLK || ((struct flock *)argument)->l_type != F_UNLCK) return result;
    for (int attempt = 0; result == -1 && errno != EBADF && attempt < 500; attempt++) {
        if (attempt > 0) usleep(10000);
        result = fcntl(file, command, argument);
    }
    return result;
}

// Installs csqlite_fcntl in SQLite's unix VFS. Returns the result code.
static inline int csqlite_retry_unlocks(void) {
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    if (vfs == 0 || vfs->iVersion < 3 || vfs->xSetSystemCall == 0) return SQLITE_NOTFOUND;
    return vfs->xSetSystemCall(vfs, "fcntl", (sqlite3_syscall_ptr)csqlite_fcntl);
}

// A file of this package's VFS: SQLite's part first, as required, then the data of the callbacks.
typedef struct csqlite_file {
    sqlite3_file base;
    void *context;
} csqlite_file;
