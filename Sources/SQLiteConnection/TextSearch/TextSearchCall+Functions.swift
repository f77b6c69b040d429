import CSQLite

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

// Each as FTS5 documents it: sqlite.org/fts5.html#the_highlight_function and the two sections around it.

extension TextSearchCall {
    private func requireArguments(_ count: Int, of function: String) throws(TextSearchFailure) {
        guard valueCount == count else {
            throw TextSearchFailure(code: SQLITE_ERROR, message: "wrong number of arguments to function \(function)()")
        }
    }

    // MARK: highlight(table, column, open, close)

    mutating func highlight() throws(TextSearchFailure) {
        try requireArguments(3, of: "highlight")
        let column = integer(0)
        let text: UnsafeRawBufferPointer
        do throws(TextSearchFailure) {
            guard let found = try columnText(column) else { return }
            text = found
        } catch {
            guard error.code == SQLITE_RANGE else { throw error }
            return csqlite_result_text_transient(context, "", 0)
        }
        let matches = try PhraseMatches(&self)
        var output = MarkedText(
            self,
            text,
            MatchedRanges(matches, column: column),
            open: self.text(1),
            close: self.text(2)
        )
        try forEachToken(of: text) { start, end throws(TextSearchFailure) in try output.token(start, end) }
        try output.appendRest()
        output.setResult(context)
    }

    // MARK: snippet(table, column, open, close, ellipsis, tokens)

    /// The part of the row with the best score that was found so far.
    private struct Best {
        var column: Int
        var start = 0
        var score = 0
        /// Tokens of the column; 0 while it is not known.
        var tokenCount = 0
    }

    mutating func snippet() throws(TextSearchFailure) {
        try requireArguments(5, of: "snippet")
        let wanted = integer(0)
        let tokenCount = integer(4)
        let matches = try PhraseMatches(&self)
        var best = Best(column: max(wanted, 0))
        for column in 0..<columnCount where wanted < 0 || wanted == column {
            try findBest(matches, column: column, tokenCount, &best)
        }
        let found = try columnText(best.column)
        let columnSize = best.tokenCount > 0 ? best.tokenCount : try self.tokenCount(column: best.column)
        guard let text = found else { return }
        let end = best.start + tokenCount
        var output = MarkedText(
            self,
            text,
            MatchedRanges(matches, column: best.column),
            open: self.text(1),
            close: self.text(2),
            window: (best.start, end - 1)
        )
        let ellipsis = self.text(3)
        if best.start > 0 { try output.append(ellipsis) }
        output.skipRanges(before: best.start)
        try forEachToken(of: text) { start, end throws(TextSearchFailure) in try output.token(start, end) }
        if end >= columnSize { try output.appendRest() } else { try output.append(ellipsis) }
        output.setResult(context)
    }

    /// Compares every part that begins at a match, or at the beginning of the sentence that a match is in.
    private mutating func findBest(
        _ matches: PhraseMatches,
        column: Int,
        _ tokenCount: Int,
        _ best: inout Best
    ) throws(TextSearchFailure) {
        let text = try columnText(column)
        let sentences = try sentenceStarts(in: text ?? UnsafeRawBufferPointer(start: nil, count: 0))
        let columnSize = try self.tokenCount(column: column)
        let range = matches.range(of: column)
        let all = matches.all
        var fromMatch = ScoreWindow(matches, range, phraseCount: phraseCount)
        var fromSentence = fromMatch
        var sentence = 0
        for index in range {
            try step()
            let offset = Int(all[index].offset)
            guard offset <= columnSize else { throw TextSearchFailure(code: SQLITE_CORRUPT) }
            let score = fromMatch.score(from: offset, tokenCount)
            if score > best.score {
                let length = fromMatch.lastEnd - offset
                let start = max(min(offset - (tokenCount - length) / 2, columnSize - tokenCount), 0)
                best = Best(column: column, start: start, score: score, tokenCount: columnSize)
            }
            guard !sentences.isEmpty, columnSize > tokenCount else { continue }
            while sentence + 1 < sentences.count, sentences[sentence + 1] <= offset { sentence += 1 }
            let start = sentences[sentence]
            guard start < offset else { continue }
            let sentenceScore = fromSentence.score(from: start, tokenCount) + (start == 0 ? 120 : 100)
            if sentenceScore > best.score {
                best = Best(column: column, start: start, score: sentenceScore, tokenCount: columnSize)
            }
        }
    }

    /// The tokens that begin a sentence: the first one, and each behind a full stop or a colon and white space.
    private mutating func sentenceStarts(in text: UnsafeRawBufferPointer) throws(TextSearchFailure) -> [Int] {
        var starts: [Int] = []
        var position = 0
        // The last byte before `looked` that is no white space.
        var (looked, solid) = (0, -1)
        try forEachToken(of: text) { start, _ throws(TextSearchFailure) in
            defer { position += 1 }
            guard position > 0 else { return starts.append(0) }
            if start < looked { (looked, solid) = (0, -1) }
            while looked < start {
                if ![0x20, 0x09, 0x0A, 0x0D].contains(text[looked]) { solid = looked }
                looked += 1
            }
            if solid >= 0, solid != start - 1, text[solid] == UInt8(ascii: ".") || text[solid] == UInt8(ascii: ":") {
                starts.append(position)
            }
        }
        return starts
    }

    // MARK: bm25(table, weight…)

    mutating func rank() throws(TextSearchFailure) {
        let phraseCount = phraseCount
        if keptNumbers == nil { try keep(statistics(phraseCount)) }
        // The average number of tokens of a row, and for each phrase how much it says.
        guard let numbers = keptNumbers else { throw TextSearchFailure(code: SQLITE_NOMEM) }
        let (k, b) = (1.2, 0.75)
        let size = Double(try tokenCount(column: -1))
        var score = 0.0
        for phrase in 0..<phraseCount {
            try step()
            var frequency = 0.0
            // Outside of the closure: it may not use what it is called on.
            let (values, weightCount) = (self, valueCount)
            try forEachMatch(of: phrase) { column, _ in
                frequency += Int(column) < weightCount ? values.double(Int(column)) : 1
            }
            score += numbers[1 + phrase] * ((frequency * (k + 1)) / (frequency + k * (1 - b + b * size / numbers[0])))
        }
        sqlite3_result_double(context, -1 * score)
    }

    private mutating func statistics(_ phraseCount: Int) throws(TextSearchFailure) -> [Double] {
        let rows = try rowCount()
        var numbers = [Double(try totalTokenCount()) / Double(rows)]
        for phrase in 0..<phraseCount {
            let hits = try matchingRowCount(of: phrase)
            let frequency = log((Double(rows - hits) + 0.5) / (Double(hits) + 0.5))
            numbers.append(frequency <= 0 ? 1e-6 : frequency)
        }
        return numbers
    }
}

/// The score of a part of a column as it moves ahead: 1,000 for each phrase that is in it, and 1 for each further match.
private struct ScoreWindow {
    private let matches: PhraseMatches
    private let end: Int
    private var window: Range<Int>
    private var counts: [Int32]
    private var distinct = 0

    init(_ matches: PhraseMatches, _ range: Range<Int>, phraseCount: Int) {
        self.matches = matches
        end = range.upperBound
        window = range.lowerBound..<range.lowerBound
        counts = Array(repeating: 0, count: range.isEmpty ? 0 : phraseCount)
    }

    /// The token behind the last match in it.
    var lastEnd: Int { window.isEmpty ? 0 : matches.all[window.upperBound - 1].end }

    /// - Parameter start: not before the one of the last call.
    mutating func score(from start: Int, _ tokenCount: Int) -> Int {
        let all = matches.all
        var (first, last) = (window.lowerBound, window.upperBound)
        while last < end, Int(all[last].offset) < start + tokenCount {
            let phrase = Int(all[last].phrase)
            if counts[phrase] == 0 { distinct += 1 }
            counts[phrase] += 1
            last += 1
        }
        while first < last, Int(all[first].offset) < start {
            let phrase = Int(all[first].phrase)
            counts[phrase] -= 1
            if counts[phrase] == 0 { distinct -= 1 }
            first += 1
        }
        window = first..<last
        return window.count + 999 * distinct
    }
}
