import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A position in the stream of committed transactions: `"<epoch>:<sequence>"` on the wire.
///
/// Positions of one epoch are ordered by their sequence. Positions of different epochs are not comparable: what
/// happened between them is unknown.
public struct Position: Sendable, Hashable {
    /// The longest epoch, so that a position can be a line of an event stream or part of an address.
    public static let maxEpochBytes = 64

    /// Identifies an unbroken run of transactions: letters, digits, `-` and `_`. At most 15 bytes avoid an allocation.
    public let epoch: String
    /// The number of committed transactions of the epoch; zero before the first.
    public let sequence: UInt64

    /// Precondition: `epoch` consists of 1 to 64 letters, digits, `-` and `_` of ASCII.
    public init(epoch: String, sequence: UInt64) {
        precondition(Self.isEpoch(epoch), "an epoch is 1 to 64 letters, digits, - and _, found \"\(epoch)\"")
        self.init(valid: epoch, sequence: sequence)
    }

    /// Parses `"<epoch>:<sequence>"`; the error names what is wrong.
    public init(parsing text: String) throws(ProtocolError) {
        func failure(_ reason: String) -> ProtocolError {
            ProtocolError(.invalidMessage, "expected a position \"<epoch>:<number>\", found \(quoted(text)): \(reason)")
        }
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { throw failure("there is no colon") }
        let epoch = String(text[..<colon])
        let digits = text[text.index(after: colon)...]
        guard Self.isEpoch(epoch) else { throw failure("the epoch is not 1 to 64 letters, digits, - and _") }
        guard digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let sequence = UInt64(digits)
        else {
            throw failure("what follows the colon is not a number of at most 64 bits")
        }
        self.init(valid: epoch, sequence: sequence)
    }

    private init(valid epoch: String, sequence: UInt64) {
        self.epoch = epoch
        self.sequence = sequence
    }

    /// The position of the next transaction.
    public var next: Position { advanced(by: 1) }

    public func advanced(by count: UInt64) -> Position { Position(valid: epoch, sequence: sequence + count) }

    /// The position of another transaction of the same epoch.
    package func at(_ sequence: UInt64) -> Position { Position(valid: epoch, sequence: sequence) }

    /// Whether this position comes before `other`; nil when their epochs differ.
    public func isBefore(_ other: Position) -> Bool? {
        epoch == other.epoch ? sequence < other.sequence : nil
    }

    private static func isEpoch(_ text: String) -> Bool {
        (1...maxEpochBytes).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
                default: false
                }
            }
    }
}

extension Position: CustomStringConvertible {
    public var description: String { "\(epoch):\(sequence)" }
}

extension Position: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        do {
            try self.init(parsing: container.decode(String.self))
        } catch let error as ProtocolError {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: error.message)
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A client's text in an error message: quoted, and shortened so that it cannot fill a log.
package func quoted(_ text: String) -> String {
    let shown = text.unicodeScalars.prefix(60)
    let ellipsis = shown.endIndex < text.unicodeScalars.endIndex ? "…" : ""
    return "\"\(String(String.UnicodeScalarView(shown)))\(ellipsis)\""
}

/// Generates the `id` of messages: a random prefix of the process and a counter, in base 36.
///
/// Thread-safe. An id has at most 15 bytes for the first 10^14 messages, which a `String` keeps without an allocation.
package enum MessageID {
    private static let prefixLength = 6
    private static let alphabet: StaticString = "0123456789abcdefghijklmnopqrstuvwxyz"
    private static let counter = Atomic<UInt64>(0)

    private static let prefix: [UInt8] = (0..<prefixLength).map { _ in digit(UInt64.random(in: 0..<36)) }

    package static func next() -> String {
        var rest = counter.wrappingAdd(1, ordering: .relaxed).newValue
        // 13 digits of base 36 hold every UInt64.
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 13) { digits in
            var first = digits.count
            repeat {
                first -= 1
                digits[first] = digit(rest % 36)
                rest /= 36
            } while rest > 0
            let count = digits.count - first
            return String(unsafeUninitializedCapacity: prefixLength + count) { text in
                _ = text.update(fromContentsOf: prefix)
                _ = text[prefixLength...].update(fromContentsOf: digits[first...])
                return prefixLength + count
            }
        }
    }

    private static func digit(_ value: UInt64) -> UInt8 { alphabet.utf8Start[Int(value)] }
}

/// The wall clock in the unit of the protocol's timestamps.
public enum UnixTime {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public static var milliseconds: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}

extension Duration {
    /// Whole milliseconds, the unit of the protocol's durations, rounded down.
    package var milliseconds: Int64 {
        components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
    }
}
