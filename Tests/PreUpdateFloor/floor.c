#define SQLITE_ENABLE_PREUPDATE_HOOK 1
#include "floor.h"

#include <sqlite3.h>
#include <string.h>

static uint64_t sum;
static preupdate_floor_kind installed = PREUPDATE_FLOOR_NONE;

uint64_t preupdate_floor_sum(void) { return sum; }

static void empty(
    void *context, sqlite3 *db, int operation, const char *database, const char *table, sqlite3_int64 old,
    sqlite3_int64 new) {}

static void key(
    void *context, sqlite3 *db, int operation, const char *database, const char *table, sqlite3_int64 old,
    sqlite3_int64 new) {
    sum += (uint64_t)old ^ (uint64_t)new;
}

static void add(sqlite3_value *value) {
    switch (sqlite3_value_type(value)) {
        case SQLITE_INTEGER: sum += (uint64_t)sqlite3_value_int64(value); break;
        case SQLITE_FLOAT: sum += (uint64_t)sqlite3_value_double(value); break;
        case SQLITE_TEXT: sum += sqlite3_value_text(value)[0] + (uint64_t)sqlite3_value_bytes(value); break;
        case SQLITE_BLOB:
            sum += ((const uint8_t *)sqlite3_value_blob(value))[0] + (uint64_t)sqlite3_value_bytes(value);
            break;
        default: break;
    }
}

static void read_columns(sqlite3 *db, int operation, int first, int end) {
    sqlite3_value *value = 0;
    for (int column = first; column < end; column++) {
        if (operation != SQLITE_INSERT && sqlite3_preupdate_old(db, column, &value) == SQLITE_OK) add(value);
        if (operation != SQLITE_DELETE && sqlite3_preupdate_new(db, column, &value) == SQLITE_OK) add(value);
    }
}

static void column(
    void *context, sqlite3 *db, int operation, const char *database, const char *table, sqlite3_int64 old,
    sqlite3_int64 new) {
    read_columns(db, operation, 1, 2);
}

static void values(
    void *context, sqlite3 *db, int operation, const char *database, const char *table, sqlite3_int64 old,
    sqlite3_int64 new) {
    read_columns(db, operation, 0, sqlite3_preupdate_count(db));
}

static int opened(sqlite3 *db, const char **message, const struct sqlite3_api_routines *routines) {
    switch (installed) {
        case PREUPDATE_FLOOR_NONE: break;
        case PREUPDATE_FLOOR_EMPTY: sqlite3_preupdate_hook(db, empty, 0); break;
        case PREUPDATE_FLOOR_KEY: sqlite3_preupdate_hook(db, key, 0); break;
        case PREUPDATE_FLOOR_COLUMN: sqlite3_preupdate_hook(db, column, 0); break;
        case PREUPDATE_FLOOR_VALUES: sqlite3_preupdate_hook(db, values, 0); break;
    }
    return SQLITE_OK;
}

void preupdate_floor_install(preupdate_floor_kind kind) {
    installed = kind;
    // The handle stays where it is: SQLite itself hands it to an extension of every connection.
    sqlite3_auto_extension((void (*)(void))opened);
}
