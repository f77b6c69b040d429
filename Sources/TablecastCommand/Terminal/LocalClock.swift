#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The time zone of the person at the terminal.
enum LocalClock {
    /// What to add to UTC at that moment.
    static func utcOffset(atUnixMilliseconds milliseconds: Int64) -> Duration {
        var time = time_t(milliseconds / 1000)
        var parts = tm()
        guard localtime_r(&time, &parts) != nil else { return .zero }
        return .seconds(Int64(parts.tm_gmtoff))
    }
}
