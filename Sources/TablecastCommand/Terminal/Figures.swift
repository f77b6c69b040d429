import WireProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Formats numbers for display.
enum Figures {
    /// `1234567` as `1,234,567`.
    static func grouped(_ number: Int) -> String {
        let digits = String(number.magnitude)
        var result = ""
        for (index, digit) in digits.enumerated() {
            if index > 0 && (digits.count - index) % 3 == 0 { result.append(",") }
            result.append(digit)
        }
        return number < 0 ? "-" + result : result
    }

    /// `1 row`, `1,200 rows`.
    static func counted(_ number: Int, _ noun: String) -> String {
        "\(grouped(number)) \(noun)\(number == 1 ? "" : "s")"
    }

    /// `850 ms`, `3.2 s`, `2:05`, `1:01:05`.
    static func seconds(_ duration: Duration) -> String {
        let milliseconds = duration.milliseconds
        let seconds = milliseconds / 1000
        if milliseconds < 1000 { return "\(milliseconds) ms" }
        if seconds < 60 { return "\(seconds).\(milliseconds % 1000 / 100) s" }
        let clock = "\(padded(seconds / 60 % 60)):\(padded(seconds % 60))"
        if seconds < 3600 { return "\(seconds / 60):\(padded(seconds % 60))" }
        return "\(seconds / 3600):\(clock)"
    }

    /// At least two digits.
    static func padded(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// The time of day, to the millisecond: `14:02:11.042`.
    static func clock(unixMilliseconds: Int64, utcOffset: Duration) -> String {
        let day: Int64 = 86_400_000
        let local = unixMilliseconds + utcOffset.components.seconds * 1000
        let sinceMidnight = ((local % day) + day) % day
        let milliseconds = sinceMidnight % 1000
        let seconds = sinceMidnight / 1000
        let clock = "\(padded(seconds / 3600)):\(padded(seconds / 60 % 60)):\(padded(seconds % 60))"
        return clock + (milliseconds < 100 ? ".0" : ".") + padded(milliseconds)
    }
}

/// The time zone of the user.
enum LocalClock {
    /// The offset from UTC at a given time.
    static func utcOffset(atUnixMilliseconds milliseconds: Int64) -> Duration {
        var time = time_t(milliseconds / 1000)
        var parts = tm()
        guard localtime_r(&time, &parts) != nil else { return .zero }
        return .seconds(Int64(parts.tm_gmtoff))
    }
}
