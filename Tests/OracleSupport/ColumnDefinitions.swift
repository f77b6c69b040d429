/// Definitions of columns for `ALTER TABLE … ADD COLUMN`: every way to spell a constant default, and odd types.
package enum ColumnDefinitions {
    package static let withDefault: [String] =
        [
            #""active""#, "'active'", "[active]", "`active`", "active", "TRUE", "FALSE", "true", "NULL", "(NULL)", "1",
            "-1",
            "+1", "- 1", "(-(-1))", "1.0", "-0.0", "1.50", "1e3", "1e18", "1e400", "-1e400", "0x10", "(0x10)", "-0x10",
            "9223372036854775807", "9223372036854775808", "-9223372036854775808", "x'00ff'", "x''", "''", "'it''s'",
            "' 5 '", "'1.50'", "('5')", "(CAST('7' AS INTEGER))", "(CAST(1 AS TEXT))", "'\u{e9}\u{1f600}'",
        ].flatMap { spelling in
            ["", "TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB"].map { "\($0) DEFAULT \(spelling)" }
        } + [
            #""weird type (" DEFAULT 'x'"#, #""a) STRICT --" DEFAULT "y""#, #""INT" NOT NULL DEFAULT "5""#,
            "VARCHAR(10) NOT NULL DEFAULT 1.5", "DOUBLE PRECISION DEFAULT 3", "FLOATING POINT DEFAULT 3.0",
            "DEFAULT 5 COLLATE NOCASE", "TEXT COLLATE NOCASE NOT NULL DEFAULT bare_word",
        ]

    /// Generated columns over another one, by its quoted name.
    package static func generated(_ base: String) -> [String] {
        [
            "AS (\(base) || 'x')", "REAL AS (\(base))", "TEXT AS (upper(\(base)))", "AS (typeof(\(base)))",
            "AS (CASE WHEN json_valid(\(base)) THEN json_extract(\(base), '$.a') END)",
            "INTEGER AS (CASE WHEN json_valid(\(base)) THEN \(base) ->> '$' END)", "BLOB AS (hex(\(base)))",
        ]
    }
}
