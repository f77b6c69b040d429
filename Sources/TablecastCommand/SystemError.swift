#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The operating system's own words for its error numbers.
enum SystemError {
    static func message(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }
}
