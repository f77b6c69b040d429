import CSQLite
import Synchronization

/// `snippet`, `offsets` and `matchinfo` of FTS3 and FTS4, refused where one call would take too long.
///
/// Their time grows with the square of the number of terms, times the matches of one of them in a row. What they compute is
/// not changed.
///
/// Source: [Auxiliary Functions](https://sqlite.org/fts3.html#snippet).
enum TextSearchFunction {
    /// The library's own functions: the same for all connections, so that a second write changes nothing.
    private static let originals = Mutex<[String: TextSearchModules.Function]>([:])

    /// The function to call instead; nil for one that needs no limit.
    static func replace(_ name: String, _ original: TextSearchModules.Function) -> TextSearchModules.Function? {
        let replacement: TextSearchModules.Function
        switch name.lowercased() {
        case "snippet": replacement = { TextSearchFunction.call("snippet", $0, $1, $2) }
        case "offsets": replacement = { TextSearchFunction.call("offsets", $0, $1, $2) }
        case "matchinfo": replacement = { TextSearchFunction.call("matchinfo", $0, $1, $2) }
        default: return nil
        }
        originals.withLock { $0[name.lowercased()] = original }
        return replacement
    }

    private static func call(
        _ name: String,
        _ context: OpaquePointer?,
        _ count: Int32,
        _ values: TextSearchModules.Values?
    ) {
        guard let context, let original = originals.withLock({ $0[name] }) else { return }
        guard let budget = ResourceBudget.current, budget.isBounding, count > 0,
            let pointer = sqlite3_value_pointer(values?[0], "fts3cursor")
        else { return original(context, count, values) }
        let limits = budget.limits.textSearch
        if name == "matchinfo", count > 1, sqlite3_value_bytes(values?[1]) > limits.maxMatchinfoLetters {
            return fail(context, "matchinfo(): expected at most \(limits.maxMatchinfoLetters) letters")
        }
        // A cursor begins with SQLite's part of it.
        let cursor = pointer.assumingMemoryBound(to: sqlite3_vtab_cursor.self)
        let tokenCount = name == "snippet" ? count > 5 ? abs(Int(sqlite3_value_int(values?[5]))) : 15 : nil
        guard isShort(cursor, snippetTokens: tokenCount, budget, on: sqlite3_context_db_handle(context)) else {
            return fail(
                context,
                "\(name)(): the row has too many matches for the number of terms of the search; use fewer terms, or shorter rows"
            )
        }
        _ = budget.searchingText(withHeap: limits.maxFunctionBytes) {
            original(context, count, values)
            // The function has set its error. A refused allocation that it did not need makes the reason wrong only if the query
            // then fails for another one.
            return budget.exhaustion == .textSearch ? SQLITE_NOMEM : SQLITE_OK
        }
    }

    private static func fail(_ context: OpaquePointer, _ message: String) {
        sqlite3_result_error(context, message, -1)
    }

    /// Whether a call for the row of a cursor ends within the time that one may take.
    private static func isShort(
        _ cursor: TextSearchModules.Cursor,
        snippetTokens: Int?,
        _ budget: ResourceBudget,
        on connection: OpaquePointer?
    ) -> Bool {
        guard let (termCount, heldBytes) = TextSearchModules.size(of: cursor, budget) else { return true }
        let steps = SearchBounds.functionSteps(termCount: termCount, snippetTokens: snippetTokens)
        let maxPositions = budget.limits.textSearch.maxFunctionSteps / steps
        // A position takes a byte or more, and in the row's text two or more.
        if heldBytes <= maxPositions { return true }
        guard let rowBytes = TextSearchModules.rowBytes(at: cursor, on: connection) else { return false }
        return (rowBytes / 2 + 1).multipliedReportingOverflow(by: max(termCount, 1)).partialValue <= maxPositions
    }
}
