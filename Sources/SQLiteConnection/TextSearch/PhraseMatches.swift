import CSQLite

/// Where the phrases of a full-text query are in one row, in the order of their places, and of phrases at the same place.
///
/// In SQLite's memory, which is charged to the query.
final class PhraseMatches {
    struct Match {
        var column: Int32
        var offset: Int32
        var phrase: Int32
        /// Tokens.
        var size: Int32

        /// The token behind it.
        var end: Int { Int(offset) + Int(size) }

        fileprivate static func < (first: Match, second: Match) -> Bool {
            (first.column, first.offset, first.phrase) < (second.column, second.offset, second.phrase)
        }
    }

    private var memory: UnsafeMutablePointer<Match>?
    private var capacity = 0
    private(set) var count = 0

    init(_ call: inout TextSearchCall) throws(TextSearchFailure) {
        let phraseCount = call.phraseCount
        for phrase in 0..<phraseCount {
            try call.step()
            let size = Int32(clamping: call.phraseSize(phrase))
            try call.forEachMatch(of: phrase) { column, offset throws(TextSearchFailure) in
                try append(Match(column: column, offset: offset, phrase: Int32(phrase), size: size))
            }
        }
        if phraseCount > 1 { try sort(&call) }
    }

    deinit { sqlite3_free(memory) }

    private func append(_ match: Match) throws(TextSearchFailure) {
        if count == capacity {
            let wanted = max(capacity * 2, 64)
            guard let grown = sqlite3_realloc64(memory, UInt64(wanted * MemoryLayout<Match>.stride)) else {
                throw TextSearchFailure(code: SQLITE_NOMEM)
            }
            memory = grown.assumingMemoryBound(to: Match.self)
            capacity = wanted
        }
        memory?.advanced(by: count).initialize(to: match)
        count += 1
    }

    /// The matches of each phrase are in order, so this merges runs.
    private func sort(_ call: inout TextSearchCall) throws(TextSearchFailure) {
        var matches = UnsafeMutableBufferPointer(start: memory, count: count)
        do {
            try matches.sort { first, second in
                try call.step()
                return first < second
            }
        } catch let failure as TextSearchFailure {
            throw failure
        } catch {
            throw TextSearchFailure(code: SQLITE_ERROR)
        }
    }

    var all: UnsafeBufferPointer<Match> { UnsafeBufferPointer(start: memory, count: count) }

    /// The matches of one column.
    func range(of column: Int) -> Range<Int> {
        let matches = all
        func first(_ isBehind: (Match) -> Bool) -> Int {
            var (low, high) = (0, matches.count)
            while low < high {
                let middle = (low + high) / 2
                if isBehind(matches[middle]) { high = middle } else { low = middle + 1 }
            }
            return low
        }
        let start = first { Int($0.column) >= column }
        return start..<max(start, first { Int($0.column) > column })
    }
}

/// The matches of one column, those that overlap taken together, as `highlight` marks them.
struct MatchedRanges {
    private let matches: PhraseMatches
    private var next: Int
    private let end: Int
    /// The first and the last token of the current range; nil behind the last one.
    private(set) var current: (first: Int, last: Int)?

    init(_ matches: PhraseMatches, column: Int) {
        let range = matches.range(of: column)
        self.matches = matches
        next = range.lowerBound
        end = range.upperBound
        advance()
    }

    mutating func advance() {
        current = nil
        let all = matches.all
        while next < end {
            let match = all[next]
            let (first, last) = (Int(match.offset), match.end - 1)
            if let range = current {
                guard first <= range.last else { return }
                if last > range.last { current = (range.first, last) }
            } else {
                current = (first, last)
            }
            next += 1
        }
    }
}
