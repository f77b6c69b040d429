#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The environment variables that say how output should look.
struct Environment: Sendable {
    /// `NO_COLOR`: no colours where it is set to anything but the empty string ([no-color.org](https://no-color.org)).
    var noColor: String?
    /// `TERM`: `dumb` means a terminal that knows no escape sequences.
    var term: String?

    static var process: Environment {
        Environment(noColor: variable("NO_COLOR"), term: variable("TERM"))
    }

    func palette(isInteractive: Bool) -> Palette {
        Palette(hasColors: isInteractive && (noColor ?? "").isEmpty && term != "dumb")
    }

    /// Nil where it is not set, or to nothing.
    static func value(_ name: String) -> String? { secret(name) }

    /// The same of what must not be printed.
    static func secret(_ name: String) -> String? { variable(name).flatMap { $0.isEmpty ? nil : $0 } }

    /// Whether it is set to nothing.
    static func isEmpty(_ name: String) -> Bool { variable(name)?.isEmpty ?? false }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}
