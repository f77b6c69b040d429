/// Pages that were read lately, in a bounded number of buffers that are used again.
///
/// A page that is lent to a caller is never recycled. Not `Sendable`: one thread at a time.
final class PageCache {
    private struct Slot {
        var key: UInt64
        var buffer: UnsafeMutableRawPointer
        var loans = 0
        /// Used since the clock's hand passed it.
        var wasUsed = true
    }

    private let pageSize: Int
    private let capacity: Int
    private var slots: [Slot] = []
    private var slotOfKey: [UInt64: Int] = [:]
    private var hand = 0

    /// - Parameter maxBytes: the bound for all buffers together; at least sixteen pages are kept.
    init(pageSize: Int, maxBytes: Int) {
        self.pageSize = pageSize
        capacity = max(16, maxBytes / pageSize)
    }

    deinit {
        for slot in slots { slot.buffer.deallocate() }
    }

    /// Lends the page of `key` to `body`; `fill` reads it when it is not here.
    @inline(__always)
    func withPage<Result, Failure>(
        _ key: UInt64,
        fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void,
        body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let index: Int
        if let found = slotOfKey[key] {
            index = found
        } else {
            index = takeSlot()
            try fill(UnsafeMutableRawBufferPointer(start: slots[index].buffer, count: pageSize))
            slots[index].key = key
            slotOfKey[key] = index
        }
        slots[index].wasUsed = true
        slots[index].loans += 1
        defer { slots[index].loans -= 1 }
        return try body(UnsafeRawBufferPointer(start: slots[index].buffer, count: pageSize))
    }

    /// Forgets every page; none may be lent.
    func removeAll() {
        slotOfKey.removeAll(keepingCapacity: true)
        for index in slots.indices {
            slots[index].key = 0
            slots[index].wasUsed = false
        }
    }

    /// A slot without a key, by the clock algorithm; grows past the capacity only when everything is lent.
    private func takeSlot() -> Int {
        if slots.count >= capacity {
            for _ in 0..<2 * slots.count {
                hand = hand + 1 < slots.count ? hand + 1 : 0
                guard slots[hand].loans == 0 else { continue }
                guard !slots[hand].wasUsed else {
                    slots[hand].wasUsed = false
                    continue
                }
                if slots[hand].key != 0 { slotOfKey[slots[hand].key] = nil }
                slots[hand].key = 0
                return hand
            }
        }
        slots.append(Slot(key: 0, buffer: .allocate(byteCount: pageSize, alignment: 16)))
        return slots.count - 1
    }
}
