// The least that a pre-update hook costs: hooks in C that keep nothing, next to which the capture is measured.
#pragma once

#include <stdint.h>

typedef enum {
    PREUPDATE_FLOOR_NONE,
    // Returns at once: what SQLite itself does for a connection that has a hook.
    PREUPDATE_FLOOR_EMPTY,
    // Looks at the rowids, which are arguments.
    PREUPDATE_FLOOR_KEY,
    // Reads the second column, old and new: the least that tells whether an UPDATE of it changed anything.
    PREUPDATE_FLOOR_COLUMN,
    // Reads every column once, old and new.
    PREUPDATE_FLOOR_VALUES,
} preupdate_floor_kind;

// Every connection that is opened from here on has a hook of that kind. Not for use by several threads at once.
void preupdate_floor_install(preupdate_floor_kind kind);

// What the hooks read, added up: so that no compiler leaves the reading out.
uint64_t preupdate_floor_sum(void);
