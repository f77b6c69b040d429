#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

extension CommandFailure {
    /// An address could not be listened on.
    static func binding(host: String, port: Int, errno code: Int32) -> CommandFailure {
        switch code {
        case EADDRINUSE:
            CommandFailure(
                .unavailable,
                "port \(port) of \(host) is in use",
                advice: "Another server may be running. Choose a port with --port, or 0 for any that is free."
            )
        case EACCES:
            CommandFailure(
                .noPermission,
                "port \(port) of \(host) may not be used by this user",
                advice: "Ports below 1024 are for root. Choose another with --port."
            )
        case EADDRNOTAVAIL:
            CommandFailure(.osError, "\(host) is not an address of this machine", advice: "Choose one with --host.")
        default:
            CommandFailure(.osError, "\(host):\(port) cannot be listened on: \(SystemError.message(code))")
        }
    }
}
