/// A line of comma-separated values after [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180), ended by a line feed alone, as
/// the tools of Unix expect.
enum CSVLine {
    /// A nil field is NULL: nothing at all between the commas, where an empty text is a pair of quotes.
    static func encode(_ fields: [String?]) -> String {
        fields.map { $0.map(quoted) ?? "" }.joined(separator: ",") + "\n"
    }

    private static func quoted(_ field: String) -> String {
        let needsQuotes = field.utf8.contains { byte in
            byte == UInt8(ascii: ",") || byte == UInt8(ascii: "\"") || byte == 0x0A || byte == 0x0D
        }
        guard needsQuotes || field.isEmpty || field.first == " " || field.last == " " else { return field }
        var result = "\""
        // By scalars: a carriage return and a line feed are one character to Swift, as are a quote and an accent after it.
        for scalar in field.unicodeScalars {
            if scalar == "\"" { result += "\"" }
            result.unicodeScalars.append(scalar)
        }
        return result + "\""
    }
}
