import CSQLite

/// A text with marks around what matches, as it is written from token to token: what `highlight` and `snippet` return.
///
/// In SQLite's memory, with its limit for a value.
struct MarkedText: ~Copyable {
    private let output: OpaquePointer?
    private let text: UnsafeRawBufferPointer
    private let marks: (open: UnsafeRawBufferPointer?, close: UnsafeRawBufferPointer?)
    /// The first and the last token to take: all, where the last is 0.
    private let window: (first: Int, last: Int)
    private var ranges: MatchedRanges
    private var position = 0
    /// Bytes of the text that are written, or left out.
    private var offset = 0

    init(
        _ call: borrowing TextSearchCall,
        _ text: UnsafeRawBufferPointer,
        _ ranges: MatchedRanges,
        open: UnsafeRawBufferPointer?,
        close: UnsafeRawBufferPointer?,
        window: (first: Int, last: Int) = (0, 0)
    ) {
        output = sqlite3_str_new(sqlite3_context_db_handle(call.context))
        self.text = text
        self.ranges = ranges
        self.window = window
        marks = (open, close)
    }

    deinit { sqlite3_free(sqlite3_str_finish(output)) }

    /// Up to the first zero byte, as FTS5 writes it.
    func append(_ part: UnsafeRawBufferPointer?) throws(TextSearchFailure) {
        guard let part, let start = part.baseAddress else { return }
        let count = strnlen(start.assumingMemoryBound(to: CChar.self), part.count)
        sqlite3_str_append(output, start.assumingMemoryBound(to: CChar.self), Int32(clamping: count))
        let code = sqlite3_str_errcode(output)
        guard code == SQLITE_OK else { throw TextSearchFailure(code: code) }
    }

    /// All that is left where `end` is written already, which tokens that overlap make possible: as FTS5 of SQLite 3.40 does.
    private mutating func appendText(upTo end: Int) throws(TextSearchFailure) {
        let last = end < offset ? text.count : min(end, text.count)
        try append(UnsafeRawBufferPointer(rebasing: text[min(offset, last)..<last]))
        offset = end
    }

    mutating func appendRest() throws(TextSearchFailure) { try appendText(upTo: text.count) }

    mutating func skipRanges(before token: Int) {
        while let range = ranges.current, range.first < token { ranges.advance() }
    }

    /// Takes the next token, which lies between two bytes of the text.
    mutating func token(_ start: Int, _ end: Int) throws(TextSearchFailure) {
        let token = position
        position += 1
        if window.last > 0 {
            guard token >= window.first, token <= window.last else { return }
            if window.first > 0, token == window.first { offset = start }
        }
        if token == ranges.current?.first {
            try appendText(upTo: start)
            try append(marks.open)
        }
        if let range = ranges.current, token == range.last {
            if window.last != 0, range.first < window.first { try append(marks.open) }
            try appendText(upTo: end)
            try append(marks.close)
            ranges.advance()
        }
        if window.last > 0, token == window.last {
            try appendText(upTo: end)
            if let range = ranges.current, token >= range.first, token < range.last { try append(marks.close) }
        }
    }

    func setResult(_ context: OpaquePointer) {
        guard let text = sqlite3_str_value(output) else { return csqlite_result_text_transient(context, "", 0) }
        csqlite_result_text_transient(context, text, UInt64(sqlite3_str_length(output)))
    }
}
