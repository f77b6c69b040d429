import ArgumentParser
import Tablecast
import WireProtocol

/// A number of bytes on the command line: `65536`, `64k`, `16M`, `1G`, with units that are powers of 1,024.
struct ByteCountArgument: ExpressibleByArgument, Sendable, Hashable {
    var bytes: Int

    init(_ bytes: Int) { self.bytes = bytes }

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits) else { return nil }
        let unit: Int
        switch argument[digits.endIndex...].lowercased() {
        case "", "b": unit = 1
        case "k", "kb", "kib": unit = 1 << 10
        case "m", "mb", "mib": unit = 1 << 20
        case "g", "gb", "gib": unit = 1 << 30
        default: return nil
        }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow, bytes > 0 else { return nil }
        self.bytes = bytes
    }

    var defaultValueDescription: String {
        for (unit, name) in [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "k")] where bytes >= unit && bytes % unit == 0 {
            return "\(bytes / unit)\(name)"
        }
        return "\(bytes)"
    }
}

/// A duration on the command line: `30s`, `500ms`, `20us`, `5m`, `1h`, `7d`, or a plain number of seconds; at most ``max``.
struct DurationArgument: ExpressibleByArgument, Sendable, Hashable {
    static let max = LimitSetting.maxTime

    var duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits), number.isFinite, number >= 0 else { return nil }
        let seconds: Double
        switch argument[digits.endIndex...] {
        case "us": seconds = number / 1_000_000
        case "ms": seconds = number / 1000
        case "", "s": seconds = number
        case "m": seconds = number * 60
        case "h": seconds = number * 3600
        case "d": seconds = number * 86_400
        default: return nil
        }
        // Compared as numbers: a Duration of too many seconds would trap.
        guard seconds <= Self.max / .seconds(1) else { return nil }
        duration = .seconds(seconds)
    }

    var defaultValueDescription: String {
        let (seconds, attoseconds) = duration.components
        guard attoseconds == 0 else {
            let microseconds = duration / .microseconds(1)
            return microseconds < 1_000 ? "\(Int(microseconds))us" : "\(duration.milliseconds)ms"
        }
        if seconds > 86_400, seconds % 86_400 == 0 { return "\(seconds / 86_400)d" }
        return seconds >= 3_600 && seconds % 3_600 == 0 ? "\(seconds / 3_600)h" : "\(seconds)s"
    }
}
