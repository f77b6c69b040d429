import ChangeCapture
import SQLiteConnection
import Synchronization

/// A row rule's SQL: one expression over the columns of one table and over claims, checked as far as that is possible
/// without the table.
///
/// Its value must depend on nothing else, because it is evaluated in several places: on changed rows, in snapshots, in
/// queries.
package struct RuleExpression: Sendable {
    package let sql: String
    /// The names of its parameters, without the colon.
    package let parameters: Set<String>

    /// - Throws: a refusal that says what is wrong and where.
    package init(_ sql: String, maxBytes: Int) throws(LiveRefusal) {
        try RowFilterTable.checkText(sql, subject: "rule", maxBytes: maxBytes)
        self.sql = sql
        let tokens = SQLLexer.tokens(sql)
        var parameters: Set<String> = []
        for (index, token) in tokens.enumerated() {
            let next = index + 1 < tokens.count ? tokens[index + 1] : nil
            switch token.kind {
            case .parameter:
                guard let name = Self.name(of: token) else {
                    throw LiveRefusal(
                        .sqlError,
                        "\(token.text) names no claim; write a claim as :name",
                        offset: token.range.lowerBound
                    )
                }
                parameters.insert(name)
            case .quotedName where sql.utf8[token.start(in: sql)] == UInt8(ascii: "\""):
                throw LiveRefusal(
                    .sqlError,
                    "write the name \(token.text) as [\(token.text)]: SQLite takes a name in double quotes as a text "
                        + "if there is no such column",
                    offset: token.range.lowerBound
                )
            case .word, .quotedName:
                try Self.check(token, next)
            default: break
            }
        }
        self.parameters = parameters
        try Self.checkSyntax(sql)
    }

    /// Compiles the expression without its table: SQLite reports an error of the syntax before it misses the columns.
    private static func checkSyntax(_ sql: String) throws(LiveRefusal) {
        let error = compiler.withLock { connection in connection.flatMap { problem(with: sql, on: $0) } }
        guard let error, !error.message.hasPrefix("no such column") else { return }
        var refusal = LiveRefusal(error)
        if let offset = error.offset.map({ max(0, $0 - Self.head.utf8.count) }) {
            refusal.offset = min(offset, sql.utf8.count)
            // The parenthesis that SQLite names is not the rule's.
            if offset >= sql.utf8.count { refusal.reason = "the rule is incomplete" }
        }
        throw refusal
    }

    private static let head = "SELECT 1 WHERE (\n"

    private static func problem(with sql: String, on connection: Connection) -> SQLiteError? {
        do throws(SQLiteError) {
            _ = try KeptStatement(head + sql + "\n)", on: connection)
            return nil
        } catch {
            return error
        }
    }

    /// Nil if SQLite has no memory for it: then the table's own connection reports errors.
    private static let compiler = Mutex(try? Connection(path: ":memory:", mode: .readWriteCreate))

    private static func check(_ token: SQLToken, _ next: SQLToken?) throws(LiveRefusal) {
        let isCall = next?.kind == .symbol && next?.text == "("
        if token.kind == .word, token.text == "IN", !isCall {
            throw LiveRefusal(.notLive, "a rule cannot read a table: IN needs a list", offset: token.range.lowerBound)
        }
        guard isCall else { return }
        let name = SQLName(token.text).caseFolded.string
        guard let functions = Self.functions else {
            throw LiveRefusal(.unavailable, "the functions of SQLite are not known")
        }
        if functions.isVolatile(name) {
            throw LiveRefusal(
                .notLive,
                "\(name)() gives another value each time; a rule cannot use it",
                offset: token.range.lowerBound
            )
        }
    }

    /// Nil if SQLite cannot list them: then no function is accepted.
    private static let functions: FunctionCatalog? = try? FunctionCatalog(
        Connection(path: ":memory:", mode: .readWriteCreate)
    )

    private static func name(of token: SQLToken) -> String? {
        let bytes = token.text.utf8
        guard bytes.first == UInt8(ascii: ":"), bytes.count > 1, bytes.count <= 65 else { return nil }
        let isName = bytes.dropFirst().allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        return isName ? String(token.text.dropFirst()) : nil
    }

    /// The expression with each parameter replaced, for a view, which cannot have any.
    package func sql(replacing replacement: (_ parameter: String) -> String) -> String {
        let bytes = Array(sql.utf8)
        var result: [UInt8] = []
        var position = 0
        for token in SQLLexer.tokens(sql) {
            guard token.kind == .parameter, let name = Self.name(of: token) else { continue }
            result += bytes[position..<token.range.lowerBound]
            result += Array(replacement(name).utf8)
            position = token.range.upperBound
        }
        result += bytes[position...]
        return String(decoding: result, as: UTF8.self)
    }
}

extension SQLToken {
    fileprivate func start(in sql: String) -> String.Index {
        sql.utf8.index(sql.startIndex, offsetBy: range.lowerBound)
    }
}
