/// One limit as an operator sets it and as the documentation shows it: its name, its range, and the effect of
/// exceeding it.
package struct LimitSetting: Sendable {
    package typealias Path<Value> = any (WritableKeyPath<Limits, Value> & Sendable)

    /// The field of ``Limits`` with its type.
    package enum Field: Sendable {
        /// `Int.max` is none, where the range reaches it.
        case count(Path<Int>, ClosedRange<Int>)
        /// `Int.max` is none, where the range reaches it.
        case bytes(Path<Int>, ClosedRange<Int>)
        case optionalCount(Path<Int?>, ClosedRange<Int>)
        case duration(Path<Duration>, ClosedRange<Duration>)
        case optionalDuration(Path<Duration?>, ClosedRange<Duration>)
    }

    /// The path of the field below ``Limits``, such as `query.maxRows`.
    package let name: String
    /// What the limit concerns, and what happens beyond it.
    package let effect: String
    package let field: Field

    init(_ name: String, _ field: Field, _ effect: String) {
        self.name = name
        self.field = field
        self.effect = effect
    }

    package static let all: [LimitSetting] = [
        clients, connection, hub, history, query, evaluation, textSearch, live, capture, transaction, state, snapshot,
        http,
    ].flatMap(\.self)

    /// The setting of this name.
    package static func named(_ name: String) -> LimitSetting? { all.first { $0.name == name } }
}

// Settings by the type of their field.
extension LimitSetting {
    static let anyCount = 1...1_000_000_000
    static let anyBytes = 1...1 << 40
    static let anyTime = Duration.microseconds(1)...maxTime
    /// 365 days: more than any useful value, and far below the limit of clocks in nanoseconds.
    package static let maxTime = Duration.seconds(365 * 86_400)

    static func count(
        _ name: String,
        _ path: Path<Int>,
        _ effect: String,
        in range: ClosedRange<Int> = anyCount
    ) -> LimitSetting {
        LimitSetting(name, .count(path, range), effect)
    }

    static func bytes(
        _ name: String,
        _ path: Path<Int>,
        _ effect: String,
        in range: ClosedRange<Int> = anyBytes
    ) -> LimitSetting {
        LimitSetting(name, .bytes(path, range), effect)
    }

    static func optionalCount(
        _ name: String,
        _ path: Path<Int?>,
        _ effect: String,
        in range: ClosedRange<Int> = anyCount
    ) -> LimitSetting {
        LimitSetting(name, .optionalCount(path, range), effect)
    }

    static func duration(
        _ name: String,
        _ path: Path<Duration>,
        _ effect: String,
        in range: ClosedRange<Duration> = anyTime
    ) -> LimitSetting {
        LimitSetting(name, .duration(path, range), effect)
    }

    static func optionalDuration(
        _ name: String,
        _ path: Path<Duration?>,
        _ effect: String,
        in range: ClosedRange<Duration> = anyTime
    ) -> LimitSetting {
        LimitSetting(name, .optionalDuration(path, range), effect)
    }
}
