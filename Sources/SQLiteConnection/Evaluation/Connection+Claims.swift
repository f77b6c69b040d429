import CSQLite

extension Connection {
    /// Registers a function of one argument, a claim's name, that returns its value; NULL for an unknown one.
    ///
    /// Deterministic and innocuous, so that a view can use it. A later call replaces the function.
    /// Source: [sqlite3_create_function](https://sqlite.org/c3ref/create_function.html).
    package func registerClaims(_ claims: [String: SQLiteValue], as name: String) throws(SQLiteError) {
        let box = Unmanaged.passRetained(Claims(claims))
        // SQLite releases the box also when the call fails.
        try check(
            sqlite3_create_function_v2(
                handle,
                name,
                1,
                SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                box.toOpaque(),
                { context, _, arguments in
                    guard let context, let argument = arguments?[0], let box = sqlite3_user_data(context) else {
                        return
                    }
                    Unmanaged<Claims>.fromOpaque(box).takeUnretainedValue().write(argument, to: context)
                },
                nil,
                nil,
                { box in if let box { Unmanaged<Claims>.fromOpaque(box).release() } }
            )
        )
    }
}

/// The values of the function. Belongs to the connection's thread.
private final class Claims {
    private let values: [String: SQLiteValue]

    init(_ values: [String: SQLiteValue]) { self.values = values }

    func write(_ argument: OpaquePointer, to context: OpaquePointer) {
        guard let text = sqlite3_value_text(argument) else { return }
        switch values[String(cString: text)] {
        case nil, .null: sqlite3_result_null(context)
        case .integer(let value): sqlite3_result_int64(context, value)
        case .real(let value): sqlite3_result_double(context, value)
        case .text(let text):
            let bytes = Array(text.utf8)
            bytes.withUnsafeBytes { csqlite_result_text_transient(context, $0.baseAddress, UInt64($0.count)) }
        case .malformedText(let bytes):
            bytes.withUnsafeBytes { csqlite_result_text_transient(context, $0.baseAddress, UInt64($0.count)) }
        case .blob(let bytes):
            bytes.withUnsafeBytes { csqlite_result_blob_transient(context, $0.baseAddress, UInt64($0.count)) }
        }
    }
}
