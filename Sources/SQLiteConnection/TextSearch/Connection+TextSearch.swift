import CSQLite

extension Connection {
    /// Puts functions that can be interrupted in the place of FTS5's `highlight`, `snippet` and `bm25`, with exactly its
    /// results as of SQLite 3.40: later versions mark matches that overlap, as with the tokenizer trigram, in another way. Does
    /// nothing where the library has no FTS5.
    ///
    /// FTS5's own `snippet` takes time with the square of the matches of a row (8 seconds for 16,384), `highlight` with their
    /// number times the length of the text, and all three with their number times the phrases of the query; none looks at a
    /// deadline. These take time linear in each, and ask the progress handler about every millisecond.
    ///
    /// Source: [Extending FTS5](https://sqlite.org/fts5.html#custom_auxiliary_functions).
    func replaceTextSearchFunctions() throws(SQLiteError) {
        guard let api = csqlite_fts5_api(handle) else { return }
        try register("highlight", api) { api, row, context, count, values in
            TextSearchCall(api, row, context, count, values)?.run { call throws(TextSearchFailure) in
                try call.highlight()
            }
        }
        try register("snippet", api) { api, row, context, count, values in
            TextSearchCall(api, row, context, count, values)?.run { call throws(TextSearchFailure) in try call.snippet()
            }
        }
        try register("bm25", api) { api, row, context, count, values in
            TextSearchCall(api, row, context, count, values)?.run { call throws(TextSearchFailure) in try call.rank() }
        }
    }

    private func register(
        _ name: String,
        _ api: UnsafeMutablePointer<fts5_api>,
        _ function: fts5_extension_function
    ) throws(SQLiteError) {
        try check(api.pointee.xCreateFunction?(api, name, hooks.context, function, nil) ?? SQLITE_ERROR)
    }
}
