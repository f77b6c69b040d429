package import SQLiteConnection

/// The values for a request's parameters; the descriptions of errors name parameters and never show values.
///
/// Source: [Parameters](https://sqlite.org/lang_expr.html#varparam).
package enum QueryParameters: Sendable {
    case none
    /// The first value is for `?` or `?1`, and so on. A script's statements take them one after the other, each as many as
    /// it has.
    case positional([SQLiteValue])
    /// Names with or without their prefix `:`, `@` or `$`; `"1"` or `"?1"` for `?1`. All statements of a script share them.
    case named([(name: String, value: SQLiteValue)])
}
