import ArgumentParser
import WireProtocol

/// A duration on the command line: `30s`, `500ms`, `5m`, `1h`, or a plain number of seconds.
struct DurationArgument: ExpressibleByArgument, Sendable, Hashable {
    var duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        // A day is beyond any sense here, and far below what a Duration holds.
        guard let number = Double(digits), number.isFinite, number >= 0 else { return nil }
        let seconds: Double
        switch argument[digits.endIndex...] {
        case "ms": seconds = number / 1000
        case "", "s": seconds = number
        case "m": seconds = number * 60
        case "h": seconds = number * 3600
        default: return nil
        }
        guard seconds <= 86_400 else { return nil }
        duration = .seconds(seconds)
    }

    var defaultValueDescription: String {
        let (seconds, attoseconds) = duration.components
        return attoseconds == 0 ? "\(seconds)s" : "\(duration.milliseconds)ms"
    }
}
