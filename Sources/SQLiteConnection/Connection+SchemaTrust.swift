extension Connection {
    /// Keeps functions and virtual tables with side effects out of reach of the schema's triggers, views and generated
    /// columns, as far as this library can without refusing what schemas are documented to do.
    ///
    /// SQLite 3.40 counts FTS5 and the operator `->>` among the unsafe: with `trusted_schema` off, the usual triggers that
    /// keep a full-text index would fail. There it stays on, and only an authorizer stands between a schema and a function.
    ///
    /// Source: [PRAGMA trusted_schema](https://sqlite.org/pragma.html#pragma_trusted_schema).
    package func distrustSchema() throws(SQLiteError) {
        try configure(.trustedSchema, !Library.hasInnocuousTextSearch)
    }
}

extension Library {
    /// Whether a view of a schema that is not trusted may use FTS5 and `->>`; found out by trying.
    static let hasInnocuousTextSearch: Bool = {
        do {
            let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
            try connection.configure(.trustedSchema, false)
            try connection.execute(
                """
                CREATE VIRTUAL TABLE f USING fts5 (x);
                CREATE VIEW v AS SELECT x, '{}' ->> '$.x' FROM f;
                SELECT * FROM v;
                """
            )
            return true
        } catch {
            return false
        }
    }()
}
