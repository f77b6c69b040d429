import ChangeCapture

/// The numbers that SQLite gives to the parameters of a statement, so that parts of its text can be used in another order.
///
/// Source: [Parameters](https://sqlite.org/lang_expr.html#varparam).
struct ParameterNumbers {
    /// The number of each parameter, in the order of the text.
    private var numbers: [(range: Range<Int>, number: Int)] = []
    /// The highest number.
    private(set) var count = 0

    init(_ tokens: [SQLToken]) {
        var named: [SQLName: Int] = [:]
        for token in tokens where token.kind == .parameter {
            let number: Int
            if token.text == "?" {
                number = count + 1
            } else if token.text.hasPrefix("?"), let given = Int(token.text.dropFirst()) {
                number = given
            } else {
                let name = SQLName(token.text)
                number = named[name] ?? count + 1
                named[name] = number
            }
            count = max(count, number)
            numbers.append((token.range, number))
        }
    }

    /// The number of the parameter at a place of the text, in UTF-8 bytes.
    func number(at offset: Int) -> Int? { numbers.first { $0.range.lowerBound == offset }?.number }

    /// A part of the text with each parameter written as `?1`, `?2` …
    ///
    /// - Parameter offset: the number of parameters that precede it.
    func renumber(_ sql: String, _ range: Range<Int>, offset: Int = 0) -> String {
        let bytes = Array(sql.utf8)
        var result: [UInt8] = []
        var position = range.lowerBound
        for (place, number) in numbers
        where place.lowerBound >= range.lowerBound && place.upperBound <= range.upperBound {
            result += bytes[position..<place.lowerBound]
            result += Array("?\(offset + number)".utf8)
            position = place.upperBound
        }
        result += bytes[position..<max(position, range.upperBound)]
        return String(decoding: result, as: UTF8.self)
    }
}
