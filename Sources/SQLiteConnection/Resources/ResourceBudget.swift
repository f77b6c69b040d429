import CSQLite
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The memory and temporary files that SQLite may use on one thread for one query, in bytes.
///
/// SQLite's own limits apply to the whole process, so one greedy statement makes all others fail. A query runs on one
/// thread from beginning to end, and so does everything that SQLite allocates for it: a budget belongs to a thread, is
/// opened with ``begin(_:)`` and closed with ``end()``. Outside of a budget the thread is not limited.
///
/// `@unchecked Sendable`: everything belongs to the budget's thread except `isStarved`, which is atomic.
package final class ResourceBudget: @unchecked Sendable {
    /// The limits of one query.
    package struct Limits: Sendable, Hashable {
        /// Bytes of heap in addition to what the thread's connection keeps between queries.
        package var maxHeapBytes: Int
        /// Bytes of temporary files: data that is sorted, grouped or made distinct and does not fit into the page
        /// cache.
        package var maxTemporaryBytes: Int
        /// Bytes of temporary files of all queries together.
        package var maxTotalTemporaryBytes: Int
        /// Of each full-text search.
        package var textSearch: TextSearchLimits

        package init(
            maxHeapBytes: Int,
            maxTemporaryBytes: Int,
            maxTotalTemporaryBytes: Int,
            textSearch: TextSearchLimits = TextSearchLimits()
        ) {
            self.maxHeapBytes = maxHeapBytes
            self.maxTemporaryBytes = maxTemporaryBytes
            self.maxTotalTemporaryBytes = maxTotalTemporaryBytes
            self.textSearch = textSearch
        }

        /// Of what the process itself evaluates of a schema: the watcher, the table catalogue, the planner.
        package static let evaluation = Limits(
            maxHeapBytes: 128 << 20,
            maxTemporaryBytes: 1 << 30,
            maxTotalTemporaryBytes: 4 << 30
        )
    }

    /// Why an allocation or a write was refused.
    package enum Exhaustion: Sendable, Hashable {
        case heap
        case temporaryFiles
        case temporaryFilesOfAll
        /// ``starve()``
        case starved
        /// ``searchingText(withHeap:_:)``
        case textSearch
    }

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key) { context in
            // This is optional on one platform and not on the other.
            let context: UnsafeMutableRawPointer? = context
            if let context { Unmanaged<ResourceBudget>.fromOpaque(context).release() }
        }
        return key
    }()

    /// Bytes of temporary files of all threads.
    private static let totalTemporaryBytes = Atomic<Int>(0)

    /// Bytes of heap that the thread holds.
    private(set) var heapBytes = 0
    private var heapLimit = Int.max
    /// Those of the last ``begin(_:)``.
    private(set) var limits = Limits.evaluation
    /// Whether `heapLimit` is the one of a full-text search.
    private var isSearchingText = false
    private var temporaryBytes = 0
    private var temporaryLimit = Int.max
    private var totalTemporaryLimit = Int.max
    private let isStarved = Atomic<Bool>(false)
    /// The first refusal since ``begin(_:)``.
    package private(set) var exhaustion: Exhaustion?

    private init() {}

    /// The budget of the calling thread, created on first use; it lives as long as the thread.
    package static func ofThisThread() -> ResourceBudget {
        if let current { return current }
        let budget = ResourceBudget()
        pthread_setspecific(key, Unmanaged.passRetained(budget).toOpaque())
        return budget
    }

    @inline(__always)
    static var current: ResourceBudget? {
        pthread_getspecific(key).map { Unmanaged<ResourceBudget>.fromOpaque($0).takeUnretainedValue() }
    }

    // MARK: A query

    /// Applies the limits from now on, to what the thread allocates in addition to what it already holds.
    package func begin(_ limits: Limits) {
        exhaustion = nil
        self.limits = limits
        isStarved.store(false, ordering: .relaxed)
        heapBytes = max(heapBytes, 0)
        heapLimit =
            heapBytes.addingReportingOverflow(limits.maxHeapBytes).overflow ? .max : heapBytes + limits.maxHeapBytes
        temporaryLimit = limits.maxTemporaryBytes
        totalTemporaryLimit = limits.maxTotalTemporaryBytes
    }

    /// Lifts the limits; ``exhaustion`` stays.
    package func end() {
        heapLimit = .max
        temporaryLimit = .max
        totalTemporaryLimit = .max
        relent()
    }

    package var isBounding: Bool { heapLimit != .max }

    /// Runs `body` within the bounds, or within those that are in force already.
    func bounding<R, E>(_ limits: Limits, _ body: () throws(E) -> R) throws(E) -> R {
        guard !isBounding else { return try body() }
        begin(limits)
        defer { end() }
        return try body()
    }

    /// Runs a call of a full-text search, whose time grows with the memory that it takes, with at most `bytes` more heap.
    ///
    /// - Parameter body: returns SQLite's result code. With `SQLITE_NOMEM`, ``exhaustion`` is `.textSearch` if this limit was the
    ///   reason.
    func searchingText(withHeap bytes: Int, _ body: () -> Int32) -> Int32 {
        let limit = heapBytes + max(bytes, 0)
        guard limit < heapLimit else { return body() }
        let former = (limit: heapLimit, isSearchingText: isSearchingText, exhaustion: exhaustion)
        (heapLimit, isSearchingText, exhaustion) = (limit, true, nil)
        let code = body()
        (heapLimit, isSearchingText) = (former.limit, former.isSearchingText)
        // SQLite gets along without some allocations, such as those of its page cache.
        if code != SQLITE_NOMEM { exhaustion = former.exhaustion }
        return code
    }

    /// Makes every allocation on the budget's thread fail until ``relent()``: SQLite then ends the statement with
    /// `SQLITE_NOMEM`, even in code that does not check for interrupts, such as the compiler and the parser.
    ///
    /// Call it from any thread.
    package func starve() { isStarved.store(true, ordering: .relaxed) }

    /// Ends ``starve()``. Call it from any thread.
    package func relent() { isStarved.store(false, ordering: .relaxed) }

    // MARK: Within SQLite's callbacks

    @inline(__always)
    func mayTakeHeap(_ bytes: Int) -> Bool {
        if isStarved.load(ordering: .relaxed) {
            exhaustion = exhaustion ?? .starved
            return false
        }
        guard heapBytes < heapLimit - bytes else {
            exhaustion = exhaustion ?? (isSearchingText ? .textSearch : .heap)
            return false
        }
        return true
    }

    @inline(__always)
    func tookHeap(_ bytes: Int) { heapBytes += bytes }

    func mayTakeTemporary(_ bytes: Int) -> Bool {
        guard temporaryBytes <= temporaryLimit - bytes else {
            exhaustion = exhaustion ?? .temporaryFiles
            return false
        }
        guard Self.totalTemporaryBytes.load(ordering: .relaxed) <= totalTemporaryLimit - bytes else {
            exhaustion = exhaustion ?? .temporaryFilesOfAll
            return false
        }
        return true
    }

    func tookTemporary(_ bytes: Int) {
        temporaryBytes += bytes
        Self.totalTemporaryBytes.wrappingAdd(bytes, ordering: .relaxed)
    }
}

/// Adds a layer over SQLite's allocator that charges each allocation to the ``ResourceBudget`` of the thread, if it has
/// one.
///
/// Source: [sqlite3_mem_methods](https://sqlite.org/c3ref/mem_methods.html).
enum HeapAccounting {
    /// Whether the layer is in place. Installed before the first connection is opened; false when another part of the
    /// program used SQLite before: then memory is not counted for single queries.
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

    /// SQLite's own allocator. Written once, before the layer above it is installed, and only read afterwards.
    nonisolated(unsafe) private static var inner = sqlite3_mem_methods()

    private static func size(of bytes: UnsafeMutableRawPointer?) -> Int { Int(inner.xSize?(bytes) ?? 0) }
}
