import RandomSupport
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// Hook events in, one net change set out: without SQLite or I/O.
@Suite struct TransactionLogTests {
    private static let rows: [Int64: [Int64]] = [1: [1, 10, 10], 2: [2, 20, 20], 3: [3, 30, 30]]

    @Test func `several changes of one row are one`() throws {
        let model = ModelTransaction(Self.rows)
        model.statement { $0.update(1, 11, 10) }
        model.statement { $0.update(1, 12, 10) }
        model.statement { $0.insert(7, 1, 1) }
        model.statement { $0.update(7, 2, 2) }
        #expect(
            try model.changeSet().lines == ["t: update @1 (1, 10, 10) → (1, 12, 10)", "t: insert @7 → (7, 2, 2)"]
        )
    }

    @Test(arguments: CaptureLevel.allCases)
    func `what comes back to what it was is no change`(level: CaptureLevel) throws {
        let model = ModelTransaction(Self.rows, level: level)
        model.statement { $0.insert(7, 1, 1) }
        model.statement { $0.delete(7) }
        model.statement { $0.update(1, 11, 10) }
        model.statement { $0.update(1, 10, 10) }
        model.statement { $0.delete(2) }
        model.statement { $0.insert(2, 20, 20) }
        model.statement { $0.update(3, 30, 30) }
        #expect(try model.changeSet().isEmpty)
    }

    @Test func `a row that moves to another identity is a delete and an insert`() throws {
        let model = ModelTransaction(Self.rows)
        model.statement { $0.update(1, to: 9, 10, 10) }
        #expect(try model.changeSet().lines == ["t: delete @1 (1, 10, 10)", "t: insert @9 → (9, 10, 10)"])
    }

    @Test(arguments: CaptureLevel.allCases)
    func `rows that swap their identities are updated where they differ`(level: CaptureLevel) throws {
        let model = ModelTransaction([1: [1, 5, 5], 2: [2, 5, 5], 3: [3, 6, 6]], level: level)
        model.statement {
            $0.update(1, to: 99, 5, 5)
            $0.update(3, to: 1, 6, 6)
            $0.update(99, to: 3, 5, 5)
        }
        let rows = try #require(model.changeSet().events.first)
        guard case .rows(let changes) = rows else { return }
        #expect((changes.inserted, changes.updated, changes.deleted) == (0, 2, 0))
    }

    @Test func `a rollback to a savepoint undoes what came after it`() throws {
        let model = ModelTransaction(Self.rows)
        model.statement { $0.update(1, 11, 11) }
        model.savepoint("s")
        model.statement { $0.update(1, 12, 12) }
        model.statement { $0.delete(2) }
        model.statement { $0.insert(7, 7, 7) }
        model.rollBack(to: "s")
        #expect(try model.changeSet().lines == ["t: update @1 (1, 10, 10) → (1, 11, 11)"])
    }

    @Test func `savepoints of one name are distinguished by their nesting`() throws {
        let model = ModelTransaction(Self.rows)
        model.savepoint("s")
        model.statement { $0.update(1, 11, 11) }
        model.savepoint("s")
        model.statement { $0.update(2, 21, 21) }
        model.savepoint("s")
        model.statement { $0.update(3, 31, 31) }
        model.rollBack(to: "s")
        model.release("s")
        model.rollBack(to: "s")
        #expect(try model.changeSet().lines == ["t: update @1 (1, 10, 10) → (1, 11, 11)"])
    }

    @Test func `what is undone can be done again`() throws {
        let model = ModelTransaction(Self.rows)
        model.savepoint("s")
        model.statement { $0.delete(1) }
        model.rollBack(to: "s")
        model.statement { $0.update(1, 11, 10) }
        model.statement { $0.insert(8, 8, 8) }
        model.rollBack(to: "s")
        model.statement { $0.insert(8, 9, 9) }
        model.release("s")
        #expect(try model.changeSet().lines == ["t: insert @8 → (8, 9, 9)"])
    }

    @Test func `a released savepoint keeps what came after it`() throws {
        let model = ModelTransaction(Self.rows)
        model.savepoint("s")
        model.statement { $0.delete(1) }
        model.release("s")
        #expect(try model.changeSet().lines == ["t: delete @1 (1, 10, 10)"])
    }

    @Test(arguments: CaptureLevel.allCases)
    func `a statement that was undone by its error leaves nothing`(level: CaptureLevel) throws {
        let model = ModelTransaction(Self.rows, level: level)
        model.statement { $0.update(1, 11, 11) }
        model.statement(.abort) {
            $0.update(1, 12, 12)
            $0.update(2, 22, 22)
            $0.delete(3)
            $0.insert(7, 7, 7)
        }
        let expected = level == .counts ? model.expectedCounts : ["t: update @1"]
        #expect(try model.changeSet().lines.map { $0.prefix(12) } == expected.map { $0.prefix(12) })
    }

    @Test func `a statement that failed and kept its rows has changed them`() throws {
        let model = ModelTransaction(Self.rows)
        model.statement(.fail) {
            $0.delete(3)
            $0.insert(7, 7, 7)
        }
        #expect(try model.changeSet().lines == ["t: delete @3 (3, 30, 30)", "t: insert @7 → (7, 7, 7)"])
    }

    // MARK: A statement that is its transaction

    @Test(arguments: [CaptureLevel.counts, .keys])
    func `a single UPDATE is compared by the columns that it sets`(level: CaptureLevel) throws {
        let model = ModelTransaction(Self.rows, level: level)
        model.statement(isAlone: true, traits: .updating("a")) {
            $0.update(1, 11, 10)
            $0.update(2, 20, 20)
            $0.update(3, 31, 30)
            $0.update(3, 30, 30)
        }
        #expect(try model.changeSet().lines == (level == .counts ? ["t: +0 ~1 -0"] : ["t: update @1"]))
    }

    @Test func `a single statement that can bring rows back keeps their content`() throws {
        let model = ModelTransaction(Self.rows, level: .counts)
        model.statement(isAlone: true, traits: .updating("id")) {
            $0.update(1, to: 9, 10, 10)
            $0.update(9, to: 1, 10, 10)
            $0.delete(2)
        }
        #expect(try model.changeSet().lines == ["t: +0 ~0 -1"])
    }

    @Test func `a statement that was not the only one after all is not guessed`() throws {
        let model = ModelTransaction(Self.rows, level: .counts)
        model.statement(isAlone: true, traits: .updating("a")) { $0.update(1, 11, 10) }
        model.statement { $0.update(1, 10, 10) }
        #expect(try model.changeSet().lines == ["t: changed"])
    }

    // MARK: Limits

    @Test func `past the bytes the keys stay, past the rows the counts`() throws {
        var limits = CaptureLimits(maxRows: 50, maxValueBytes: 100)
        let keys = ModelTransaction(limits: limits)
        keys.statement { for id in 1...40 { $0.insert(Int64(id), 1, 1) } }
        #expect(try keys.changeSet().lines == (1...40).map { "t: insert @\($0)" })

        limits.maxRows = 5
        let counts = ModelTransaction(Self.rows, limits: limits)
        counts.statement { for id in 10...29 { $0.insert(Int64(id), 1, 1) } }
        counts.statement { $0.delete(10) }
        counts.statement { $0.delete(1) }
        counts.statement { $0.update(2, 21, 21) }
        #expect(try counts.changeSet().lines == ["t: +19 ~1 -1 omitted"])
    }

    @Test func `beyond the row limit a rollback to a savepoint reports that the table changed`() throws {
        let model = ModelTransaction(limits: CaptureLimits(maxRows: 5))
        model.savepoint("s")
        model.statement { for id in 1...20 { $0.insert(Int64(id), 1, 1) } }
        model.rollBack(to: "s")
        #expect(try model.changeSet().lines == ["t: changed"])
    }

    // MARK: At random

    @Test(arguments: 1...400)
    func `random transactions come to the difference of the contents`(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let level = random.pick(CaptureLevel.allCases)
        let initial = (1...8).map { (Int64($0), [Int64($0), Int64(random.below(3)), Int64(random.below(3))]) }
        let model = ModelTransaction(Dictionary(uniqueKeysWithValues: initial), level: level)
        for _ in 0..<random.below(30) {
            switch random.below(10) {
            case 0: model.savepoint(random.pick(["s", "S2"]))
            case 1: if let name = model.savepointNames.randomElement(using: &random) { model.rollBack(to: name) }
            case 2: if let name = model.savepointNames.randomElement(using: &random) { model.release(name) }
            default:
                let end = random.pick([.done, .done, .done, .abort, .fail] as [ModelTransaction.End])
                model.statement(end) { model in
                    for _ in 0...random.below(4) { Self.change(model, &random) }
                }
            }
        }
        let lines = try model.changeSet().lines
        switch level {
        case .values: #expect(lines == model.expected.sortedAs(lines), "seed \(seed)")
        case .keys:
            let expected = model.expected.map { $0.split(separator: " ").prefix(3).joined(separator: " ") }
            #expect(lines == expected.sortedAs(lines), "seed \(seed)")
        case .counts: #expect(lines == model.expectedCounts, "seed \(seed)")
        }
    }

    private static func change(_ model: ModelTransaction, _ random: inout SeededGenerator) {
        let id = Int64(random.below(12))
        let (a, b) = (Int64(random.below(3)), Int64(random.below(3)))
        switch random.below(4) {
        case 0: if model.rows[id] == nil { model.insert(id, a, b) }
        case 1: model.delete(id)
        case 2: model.update(id, a, b)
        default:
            let new = Int64(random.below(12))
            if model.rows[new] == nil { model.update(id, to: new, a, b) }
        }
    }
}

extension StatementTraits {
    fileprivate static func updating(_ column: String) -> StatementTraits {
        StatementTraits(updatedColumns: [SQLName("t"): [SQLName(column)]])
    }
}

extension [String] {
    /// The same lines in the order of others, where these are the same: rows come in the order in which they were touched.
    fileprivate func sortedAs(_ others: [String]) -> [String] { sorted() == others.sorted() ? others : self }
}
