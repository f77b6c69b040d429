import Testing

@testable import ChangeCapture

@Suite struct FrameIndexTests {
    @Test func `a page is found in its newest frame up to a commit`() {
        var index = FrameIndex()
        for page: UInt32 in [3, 5, 3, 7, 3] { index.append(page: page) }
        #expect(index.nextFrame == 6)
        #expect(index.frame(of: 3, upTo: 5) == 5)
        #expect(index.frame(of: 3, upTo: 4) == 3)
        #expect(index.frame(of: 3, upTo: 2) == 1)
        #expect(index.frame(of: 7, upTo: 3) == nil)
        #expect(index.frame(of: 100, upTo: 5) == nil)
    }

    @Test func `after a restart of the log nothing of it is left`() {
        var index = FrameIndex()
        for page: UInt32 in [3, 5] { index.append(page: page) }
        index.removeAll(next: 1)
        #expect(index.frame(of: 3, upTo: 9) == nil)
        index.append(page: 5)
        #expect(index.frame(of: 5, upTo: 1) == 1)
    }

    @Test func `frames that are in the database file are not indexed`() {
        var index = FrameIndex()
        index.removeAll(next: 11)
        index.append(page: 3)
        #expect(index.frame(of: 3, upTo: 10) == nil)
        #expect(index.frame(of: 3, upTo: 11) == 11)
    }

    @Test func `a page that is lent is not recycled, and others are read again`() {
        let cache = PageCache(pageSize: 512, maxBytes: 0)
        var reads = 0
        func read(_ key: UInt64, _ body: (UnsafeRawBufferPointer) -> Void = { _ in }) {
            cache.withPage(
                key,
                fill: { buffer in
                    reads += 1
                    buffer.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: key))
                },
                body: body
            )
        }
        read(1) { page in
            for key: UInt64 in 2..<200 { read(key) }
            #expect(page.allSatisfy { $0 == 1 })
        }
        #expect(reads == 199)
        read(199)
        #expect(reads == 199)
        read(1) { page in #expect(page[0] == 1) }
        cache.removeAll()
        let before = reads
        read(199)
        #expect(reads == before + 1)
    }
}
