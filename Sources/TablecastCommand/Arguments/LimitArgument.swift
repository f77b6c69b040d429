import ArgumentParser
import Tablecast

/// One limit of `serve` by its name: `query.maxRows=10000`, `hub.maxQueuedBytes=16M`, `query.statementTime=1m`.
struct LimitArgument: Sendable {
    /// The text for a limit that does not apply.
    static let none = "none"

    private enum Value {
        case number(Int)
        case duration(Duration)
        case none
    }

    let setting: LimitSetting
    private let value: Value

    /// - Throws: `ValidationError` for an unknown name, and for a value that is malformed or out of range.
    init(_ text: String) throws {
        guard let equals = text.firstIndex(of: "=") else {
            throw ValidationError("'\(text)': expected name=value, such as query.maxRows=10000.")
        }
        try self.init(String(text[..<equals]), String(text[text.index(after: equals)...]))
    }

    /// - Parameter option: the option for messages, if it is not `--limit`.
    init(_ name: String, _ text: String, option: String? = nil) throws {
        guard let setting = LimitSetting.named(name) else { throw Self.unknown(name) }
        self.setting = setting
        guard let value = Self.value(of: text, setting.field) else {
            throw ValidationError("\(option ?? name) must be \(setting.expectation), not '\(text)'.")
        }
        self.value = value
    }

    func set(in limits: inout Limits) {
        switch (setting.field, value) {
        case (.count(let path, _), .number(let number)), (.bytes(let path, _), .number(let number)):
            limits[keyPath: path] = number
        case (.count(let path, _), .none), (.bytes(let path, _), .none): limits[keyPath: path] = .max
        case (.optionalCount(let path, _), .number(let number)): limits[keyPath: path] = number
        case (.optionalCount(let path, _), .none): limits[keyPath: path] = nil
        case (.duration(let path, _), .duration(let duration)): limits[keyPath: path] = duration
        case (.optionalDuration(let path, _), .duration(let duration)): limits[keyPath: path] = duration
        case (.optionalDuration(let path, _), .none): limits[keyPath: path] = nil
        case (.duration, .number), (.duration, .none), (.optionalDuration, .number), (.count, .duration),
            (.bytes, .duration), (.optionalCount, .duration):
            preconditionFailure("value(of:_:) returned a value of another type for \(setting.name)")
        }
    }

    /// Nil for a malformed value or one that is out of range.
    private static func value(of text: String, _ field: LimitSetting.Field) -> Value? {
        switch field {
        case .count(_, let range):
            if text == none, range.upperBound == .max { return Value.none }
            return Int(text).flatMap { range.contains($0) ? .number($0) : nil }
        case .optionalCount(_, let range):
            if text == none { return Value.none }
            return Int(text).flatMap { range.contains($0) ? .number($0) : nil }
        case .bytes(_, let range):
            if text == none, range.upperBound == .max { return Value.none }
            let bytes = text == "0" ? 0 : ByteCountArgument(argument: text)?.bytes
            return bytes.flatMap { range.contains($0) ? .number($0) : nil }
        case .duration(_, let range):
            return DurationArgument(argument: text).flatMap {
                range.contains($0.duration) ? .duration($0.duration) : nil
            }
        case .optionalDuration(_, let range):
            if text == none { return Value.none }
            return DurationArgument(argument: text).flatMap {
                range.contains($0.duration) ? .duration($0.duration) : nil
            }
        }
    }

    private static func unknown(_ name: String) -> ValidationError {
        let owner = name.split(separator: ".").first.map { "\($0)." } ?? ""
        let related = LimitSetting.all.map(\.name).filter { $0.hasPrefix(owner) }
        guard !owner.isEmpty, !related.isEmpty else {
            let owners = Set(LimitSetting.all.compactMap { $0.name.split(separator: ".").first }).sorted()
            return ValidationError(
                "there is no limit '\(name)'; a name begins with \(owners.joined(separator: ", ")), such as query.maxRows."
            )
        }
        return ValidationError("there is no limit '\(name)'; expected \(related.joined(separator: ", ")).")
    }
}

extension LimitSetting {
    /// The value in these limits, as the command line and the documentation write it.
    func text(in limits: Limits) -> String {
        switch field {
        case .count(let path, _): Self.text(limits[keyPath: path]) { "\($0)" }
        case .optionalCount(let path, _): limits[keyPath: path].map { "\($0)" } ?? LimitArgument.none
        case .bytes(let path, _): Self.text(limits[keyPath: path]) { ByteCountArgument($0).defaultValueDescription }
        case .duration(let path, _): DurationArgument(limits[keyPath: path]).defaultValueDescription
        case .optionalDuration(let path, _):
            limits[keyPath: path].map { DurationArgument($0).defaultValueDescription } ?? LimitArgument.none
        }
    }

    private static func text(_ number: Int, _ text: (Int) -> String) -> String {
        number == .max ? LimitArgument.none : text(number)
    }

    /// What a value has to be, for messages.
    var expectation: String {
        switch field {
        case .count(_, let range):
            range.upperBound == .max
                ? "a number of at least \(range.lowerBound), or none" : "\(range.lowerBound) to \(range.upperBound)"
        case .optionalCount(_, let range):
            range.upperBound == .max
                ? "a number of at least \(range.lowerBound), or none"
                : "\(range.lowerBound) to \(range.upperBound), or none"
        case .bytes(_, let range):
            range.upperBound == .max
                ? "a number of bytes such as 64k, 16M of at least \(Self.bytes(range.lowerBound)), or none"
                : "\(Self.bytes(range.lowerBound)) to \(Self.bytes(range.upperBound)) bytes"
        case .duration(_, let range): Self.expectation(range)
        case .optionalDuration(_, let range): Self.expectation(range) + ", or none"
        }
    }

    private static func expectation(_ range: ClosedRange<Duration>) -> String {
        "a duration such as 500ms, 30s, 5m, of \(time(range.lowerBound)) to \(time(range.upperBound))"
    }

    private static func bytes(_ count: Int) -> String { ByteCountArgument(count).defaultValueDescription }
    private static func time(_ duration: Duration) -> String { DurationArgument(duration).defaultValueDescription }
}
