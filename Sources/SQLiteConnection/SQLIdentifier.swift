extension String {
    /// The name as an identifier of SQL, in double quotes.
    ///
    /// A quote and a combining mark after it are one `Character`, and for SQLite still a quote: so the scalars decide.
    ///
    /// Source: [SQLite Keywords](https://sqlite.org/lang_keywords.html).
    package var quotedAsIdentifier: String {
        var result = "\""
        for scalar in unicodeScalars {
            result.unicodeScalars.append(scalar)
            if scalar == "\"" { result.unicodeScalars.append(scalar) }
        }
        result.append("\"")
        return result
    }
}
