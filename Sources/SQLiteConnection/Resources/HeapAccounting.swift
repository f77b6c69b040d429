import CSQLite

/// Puts a layer over SQLite's allocator that charges each allocation to the ``ResourceBudget`` of the thread, if it has one.
///
/// Source: [sqlite3_mem_methods](https://sqlite.org/c3ref/mem_methods.html).
enum HeapAccounting {
    /// Whether the layer is in place. Installed before the first connection is opened; false where another part of the
    /// program has used SQLite before, which then counts nothing for a single query.
    static let isInstalled: Bool = {
        var methods = sqlite3_mem_methods()
        guard csqlite_config_get_malloc(&methods) == SQLITE_OK else { return false }
        inner = methods
        methods.xMalloc = { size in
            guard let allocate = inner.xMalloc else { return nil }
            guard let budget = ResourceBudget.current else { return allocate(size) }
            guard budget.mayTakeHeap(Int(size)), let bytes = allocate(size) else { return nil }
            budget.tookHeap(HeapAccounting.size(of: bytes))
            return bytes
        }
        methods.xRealloc = { old, size in
            guard let reallocate = inner.xRealloc else { return nil }
            guard let budget = ResourceBudget.current else { return reallocate(old, size) }
            let before = HeapAccounting.size(of: old)
            guard budget.mayTakeHeap(max(Int(size) - before, 0)), let bytes = reallocate(old, size) else { return nil }
            budget.tookHeap(HeapAccounting.size(of: bytes) - before)
            return bytes
        }
        methods.xFree = { bytes in
            if let budget = ResourceBudget.current { budget.tookHeap(-HeapAccounting.size(of: bytes)) }
            inner.xFree?(bytes)
        }
        return csqlite_config_malloc(&methods) == SQLITE_OK
    }()

    /// SQLite's own allocator. Written once, before the layer above it is installed, and only read from then on.
    nonisolated(unsafe) private static var inner = sqlite3_mem_methods()

    private static func size(of bytes: UnsafeMutableRawPointer?) -> Int { Int(inner.xSize?(bytes) ?? 0) }
}
