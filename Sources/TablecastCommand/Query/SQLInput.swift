import ArgumentParser
import WireProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The source of a command's SQL: standard input, or a file or device that an option names, `-` for standard input. It may be
/// empty.
enum SQLInput {
    static func standardInput(maxBytes: Int) throws(CommandFailure) -> String {
        try read(STDIN_FILENO, "standard input", maxBytes: maxBytes)
    }

    static func file(_ path: String, maxBytes: Int) throws(CommandFailure) -> String {
        if path == "-" { return try standardInput(maxBytes: maxBytes) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CommandFailure(.noInput, "the SQL file '\(path)' cannot be read: \(SystemError.message())")
        }
        defer { _ = close(descriptor) }
        return try read(descriptor, "the SQL file '\(path)'", maxBytes: maxBytes)
    }

    /// Reads everything up to the end, as UTF-8.
    private static func read(_ descriptor: Int32, _ name: String, maxBytes: Int) throws(CommandFailure) -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = buffer.withUnsafeMutableBytes { readBytes(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw CommandFailure(.noInput, "\(name) cannot be read: \(SystemError.message())")
            }
            if count == 0 { break }
            bytes += buffer[..<count]
            guard bytes.count <= maxBytes else {
                throw CommandFailure(.usage, "\(name) has more than \(Figures.grouped(maxBytes)) bytes of SQL")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure(.usage, "\(name) is not UTF-8")
        }
        return text
    }
}

/// `read(2)`, under a name that no method of this file has.
private func readBytes(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(descriptor, buffer, count)
}

/// A parameter on the command line: `5`, `1.5`, `NULL`, `x'00ff'`, `'5'`, or plain text; `:name=5`, `@name=5` or `$name=5`
/// for a named parameter.
struct ParameterArgument: ExpressibleByArgument, Sendable, Hashable {
    /// With its `:`, `@` or `$`; nil for a positional one.
    var name: String?
    var value: WireValue
    /// `a` of a positional `a=5`, which may be meant as `:a=5`.
    private var nameWithoutSign: String?

    init?(argument: String) {
        if let first = argument.first, ":@$".contains(first), let equals = argument.firstIndex(of: "=") {
            name = String(argument[..<equals])
            guard argument.index(after: argument.startIndex) < equals else { return nil }
            value = Self.value(argument[argument.index(after: equals)...])
        } else {
            value = Self.value(argument[...])
            let prefix = argument.prefix { $0 != "=" }
            if prefix.endIndex < argument.endIndex, prefix.first?.isLetter == true,
                prefix.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" })
            {
                nameWithoutSign = String(prefix)
            }
        }
    }

    private static func value(_ text: Substring) -> WireValue {
        if text.uppercased() == "NULL" { return .null }
        if let integer = Int64(text) { return .integer(integer) }
        let unsigned = text.first.map { "+-".contains($0) } == true ? text.dropFirst() : text
        // Not the words that Swift accepts, as infinity. Like SQLite, 1e999 is infinite.
        if let first = unsigned.first, first.isNumber || first == ".", let real = Double(text) { return .real(real) }
        if text.count >= 2, text.first == "'", text.last == "'" {
            let content = text.dropFirst().dropLast()
            return .text(content.split(separator: "''", omittingEmptySubsequences: false).joined(separator: "'"))
        }
        if let bytes = blob(text) { return .blob(bytes) }
        return .text(String(text))
    }

    private static func blob(_ text: Substring) -> [UInt8]? {
        guard text.count >= 3, text.first == "x" || text.first == "X", text.last == "'" else { return nil }
        let digits = Array(text.dropFirst())
        guard digits.first == "'", digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 1, to: digits.count - 1, by: 2) {
            guard let high = digits[index].hexDigitValue, let low = digits[index + 1].hexDigitValue else { return nil }
            bytes.append(UInt8(high * 16 + low))
        }
        return bytes
    }

    /// The parameters of a request with this SQL.
    ///
    /// - Throws: also for `a=5` where the SQL has `:a`, which would otherwise be bound as text; `'a=5'` is text.
    static func parameters(
        _ arguments: [ParameterArgument],
        of sql: String
    ) throws(ValidationError) -> QueryRequest.Parameters {
        for name in arguments.compactMap(\.nameWithoutSign) {
            guard let sign = ":@$".first(where: { Self.occurs("\($0)\(name)", in: sql) }) else { continue }
            throw ValidationError(
                "--param \(name)=…: the SQL has the parameter \(sign)\(name), so write \(sign)\(name)=…."
            )
        }
        return try parameters(arguments)
    }

    private static func occurs(_ parameter: String, in sql: String) -> Bool {
        sql.ranges(of: parameter).contains { range in
            sql[range.upperBound...].first.map { !$0.isLetter && !$0.isNumber && $0 != "_" } ?? true
        }
    }

    /// The parameters of a request.
    static func parameters(_ arguments: [ParameterArgument]) throws(ValidationError) -> QueryRequest.Parameters {
        guard !arguments.isEmpty else { return .none }
        let named = arguments.compactMap { argument in argument.name.map { ($0, argument.value) } }
        if named.isEmpty { return .positional(arguments.map(\.value)) }
        guard named.count == arguments.count else {
            throw ValidationError("--param: name all parameters (:name=value) or none.")
        }
        return .named(Dictionary(named) { _, last in last })
    }
}

/// The line of a script with an error, with a caret under the position.
struct SQLExcerpt: Sendable, Hashable {
    /// The line, printable, shortened around the position when it is long.
    var line: String
    /// Cells of the terminal before the caret.
    var caretColumn: Int
    /// From 1.
    var lineNumber: Int
    /// Whether the script has more than this line.
    var isPartOfMore: Bool

    /// - Parameter offset: In bytes of UTF-8, as SQLite counts.
    /// - Returns: nil when the offset is outside of the script.
    init?(sql: String, offset: Int, width: Int) {
        let bytes = Array(sql.utf8)
        guard offset >= 0, offset <= bytes.count else { return nil }
        let lineFeed = UInt8(ascii: "\n")
        let start = bytes[..<offset].lastIndex(of: lineFeed).map { $0 + 1 } ?? 0
        let end = bytes[offset...].firstIndex(of: lineFeed) ?? bytes.count
        lineNumber = bytes[..<start].count { $0 == lineFeed } + 1
        isPartOfMore = start > 0 || end < bytes.count
        let before = String(decoding: bytes[start..<offset], as: UTF8.self).printable
        let after = String(decoding: bytes[offset..<end], as: UTF8.self).printable
        let visible = Self.suffix(before, width: max(width / 2, 10))
        caretColumn = visible.displayWidth
        line = visible + after.truncated(toWidth: max(width - visible.displayWidth, 10))
    }

    private static func suffix(_ text: String, width: Int) -> String {
        guard text.displayWidth > width else { return text }
        return "…" + String(String(text.reversed()).prefix(width - 1).reversed())
    }

    func rendered(_ palette: Palette) -> String {
        let prefix = isPartOfMore ? "line \(lineNumber): " : "  "
        let indent = String(repeating: " ", count: prefix.count + caretColumn)
        return palette(.dim, prefix) + line + "\n" + indent + palette(.boldRed, "^")
    }
}
