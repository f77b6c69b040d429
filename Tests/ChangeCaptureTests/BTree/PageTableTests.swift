import RandomSupport
import Testing

@testable import ChangeCapture

@Suite struct PageTableTests {
    @Test func `it holds what an array indexed by page would hold`() {
        var random = SeededGenerator(seed: 11)
        var table = PageTable()
        var model: [UInt32: UInt32] = [:]
        for step in 0..<40_000 {
            // Dense at the beginning, sparse up to the largest number that a page can have.
            let page = random.chance(70) ? UInt32(random.below(5_000)) : UInt32(random.below(1 << 31))
            let value = random.chance(30) ? 0 : UInt32(step)
            table[page] = value
            model[page] = value == 0 ? nil : value
        }
        for (page, value) in model { #expect(table[page] == value) }
        for _ in 0..<1_000 {
            let page = UInt32(random.below(5_000))
            #expect(table[page] == model[page] ?? 0)
        }
        var listed: [UInt32: UInt32] = [:]
        table.forEach { page, value in listed[page] = value }
        #expect(listed == model)
    }

    @Test func `a cycle is detected wherever it begins, and a chain without one has none`() {
        for (tail, length) in [(0, 1), (0, 2), (1, 1), (5, 3), (100, 77), (3, 1_000)] {
            var cycle = CycleGuard(from: 1)
            var steps = 0
            while steps < 10_000 {
                steps += 1
                let index = steps < tail ? steps : tail + (steps - tail) % length
                if cycle.isRepeated(UInt32(index + 1)) { break }
            }
            #expect(steps <= 3 * (tail + length) + 2)
        }
        var cycle = CycleGuard(from: 1)
        #expect(!(2...10_000).contains { cycle.isRepeated($0) })
    }
}
