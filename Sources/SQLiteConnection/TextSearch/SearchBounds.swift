/// The limits of full-text searches by FTS5, FTS3 and FTS4, which keep the longest call of a module within about a second.
///
/// A module evaluates one row in one call, which nothing can interrupt. Its time grows with the positions at which the terms are
/// in the row, and for some operations with their number times the number of phrases. It keeps all positions of a row in
/// memory, a byte or more for each, so a limit of the memory also limits the time, for any row and any tokenizer.
public struct TextSearchLimits: Sendable, Hashable {
    /// Bytes of the right side of `MATCH`. Compiling it takes time with the square of its length. 32 KiB.
    public var maxMatchBytes = 32 << 10
    /// Phrases of one `NEAR`. 32.
    public var maxNearPhrases = 32
    /// Bytes of the positions of one row in FTS5, up to 8 nanoseconds each; with `NEAR` of more than two phrases, each of which
    /// adds 4 nanoseconds, proportionally fewer. 128 MiB.
    public var maxFTS5PositionBytes = 128 << 20
    /// Bytes of the positions that FTS3 and FTS4 have in memory, up to 15 nanoseconds each: those of one row, and for some
    /// searches those of all rows. 64 MiB.
    public var maxFTS3PositionBytes = 64 << 20
    /// Bytes of memory that `snippet`, `offsets` or `matchinfo` of FTS3 and FTS4 may need in one call. The result has its own
    /// limit, the one of any value. 32 MiB.
    public var maxFunctionBytes = 32 << 20
    /// Steps of one call of these functions, of 5 to 10 nanoseconds. 134,217,728.
    public var maxFunctionSteps = 128 << 20
    /// Letters in the second argument of `matchinfo`, each of which is computed again when it is repeated. There are nine. 16.
    public var maxMatchinfoLetters = 16

    public init() {}
}

/// What one full-text search asks for, as far as ``TextSearchLimits`` limit it.
package struct SearchBounds: Sendable, Hashable {
    enum Module: Sendable, Hashable {
        case fts5
        /// FTS3 and FTS4 are one module.
        case fts3
    }

    /// Why an expression is refused: the text of the error.
    struct Refusal: Error, Hashable {
        let message: String
        let isSize: Bool
    }

    /// The largest number of phrases of one NEAR; 1 where there is none.
    private(set) var nearPhraseCount = 1
    /// Not less than half of the number of terms, even where a tokenizer separates letters.
    private(set) var termCount = 0
    let limits: TextSearchLimits
    private let module: Module

    init(_ module: Module, _ limits: TextSearchLimits = TextSearchLimits()) {
        self.module = module
        self.limits = limits
    }

    /// Steps that a function of FTS3 takes for each position of a term in the row.
    ///
    /// - Parameter snippetTokens: the length of what `snippet` returns; nil for the other functions. It looks at as many tokens
    ///   at each position, once for each of up to four parts.
    static func functionSteps(termCount: Int, snippetTokens: Int?) -> Int {
        guard let snippetTokens else { return max(termCount, 1) }
        let passes = [1, 1, 3, 6, 10][min(termCount, 4)]
        return max(passes * min(snippetTokens, 64) / 2, termCount, 1)
    }

    /// Bytes of memory that the search may take.
    var maxPositionBytes: Int {
        switch module {
        case .fts5: limits.maxFTS5PositionBytes / max(nearPhraseCount, 2) * 2
        case .fts3: limits.maxFTS3PositionBytes
        }
    }

    /// Adds an argument of the search.
    mutating func add(_ expression: UnsafeRawBufferPointer) throws(Refusal) {
        guard expression.count <= limits.maxMatchBytes else {
            throw Refusal(
                message: "the full-text search has \(expression.count) bytes; MATCH may have \(limits.maxMatchBytes)",
                isSize: true
            )
        }
        var scan = Scan(expression)
        while let token = scan.next() {
            guard case .word(let word, let isQuoted) = token else { continue }
            termCount += (word.count + 3) / 4
            guard !isQuoted, word.elementsEqual("NEAR".utf8) else { continue }
            nearPhraseCount = max(nearPhraseCount, module == .fts5 ? scan.phrasesInParentheses() : nearPhraseCount + 1)
        }
        guard nearPhraseCount <= limits.maxNearPhrases else {
            throw Refusal(
                message:
                    "NEAR has \(nearPhraseCount) phrases; in one full-text search it may have \(limits.maxNearPhrases)",
                isSize: false
            )
        }
    }
}

/// The words of an expression, as far as all modules agree: FTS5 calls them strings and barewords.
///
/// Source: [FTS5 query syntax](https://sqlite.org/fts5.html#full_text_query_syntax).
private struct Scan {
    enum Token {
        case word(Slice<UnsafeRawBufferPointer>, isQuoted: Bool)
        case other(UInt8)
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func next() -> Token? {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
        guard position < bytes.count else { return nil }
        let start = position
        if bytes[start] == UInt8(ascii: "\"") {
            position += 1
            while position < bytes.count, bytes[position] != UInt8(ascii: "\"") { position += 1 }
            let end = position
            position = min(position + 1, bytes.count)
            return .word(bytes[start + 1..<end], isQuoted: true)
        }
        guard Self.isWord(bytes[start]) else {
            position += 1
            return .other(bytes[start])
        }
        while position < bytes.count, Self.isWord(bytes[position]) { position += 1 }
        return .word(bytes[start..<position], isQuoted: false)
    }

    /// The phrases between the parentheses that follow NEAR, up to the comma before the distance; 1 where none follow. The
    /// scan stays where it is.
    func phrasesInParentheses() -> Int {
        var scan = self
        guard case .other(UInt8(ascii: "(")) = scan.next() else { return 1 }
        var count = 0
        while let token = scan.next() {
            switch token {
            case .word: count += 1
            case .other(UInt8(ascii: "+")): count -= 1
            case .other(UInt8(ascii: ")")), .other(UInt8(ascii: ",")): return max(count, 1)
            case .other: break
            }
        }
        return max(count, 1)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x1A, 0x80...: true
        default: false
        }
    }
}
