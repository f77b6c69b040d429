/// Names of tables and columns as SQL would want them written.
enum SQLName {
    /// As it is where that is clear, in double quotes otherwise; always fit to be printed.
    static func quoted(_ name: String) -> String {
        let isPlain = name.unicodeScalars.allSatisfy { scalar in
            scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType == .decimal
        }
        if isPlain, let first = name.unicodeScalars.first, first.properties.numericType == nil { return name }
        return "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"").printable
            + "\""
    }
}
