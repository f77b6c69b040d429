#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One of the process's output streams: whether it is a terminal, and how wide it is.
struct Terminal: Sendable {
    private let descriptor: Int32
    /// Whether the stream is a terminal rather than a pipe or a file.
    let isInteractive: Bool
    let palette: Palette

    static let output = Terminal(descriptor: STDOUT_FILENO, environment: Environment.process)
    static let error = Terminal(descriptor: STDERR_FILENO, environment: Environment.process)

    private init(descriptor: Int32, environment: Environment) {
        self.descriptor = descriptor
        isInteractive = isatty(descriptor) == 1
        palette = environment.palette(isInteractive: isInteractive)
    }

    /// The number of columns; 80 when the terminal does not report it. Determined again each time, because windows are
    /// resized.
    var columnCount: Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Writes results, the whole text at once.
    ///
    /// - Returns: false when the reader has disconnected, as after `| head`: stop, without an error.
    /// - Throws: when the text cannot be written for another reason, such as a full disk: the output is incomplete.
    func write(_ text: String) throws(CommandFailure) -> Bool {
        let error = writeAll(text)
        switch error {
        case 0: return true
        case EPIPE: return false
        default: throw CommandFailure(.ioError, "the output cannot be written: \(SystemError.message(error))")
        }
    }

    func writeLine(_ text: String) throws(CommandFailure) -> Bool { try write(text + "\n") }

    /// Writes notices to stderr. A failure is ignored: there is no other place to report it.
    func note(_ text: String) { _ = writeAll(text + "\n") }

    /// Replaces the content of the last line.
    func redraw(_ text: String) { _ = writeAll("\r\u{1B}[2K" + text) }

    /// - Returns: `errno`, or 0 when everything is written.
    private func writeAll(_ text: String) -> Int32 {
        var text = text
        return text.withUTF8 { writeAll(UnsafeRawBufferPointer($0)) }
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        var rest = bytes
        while !rest.isEmpty {
            #if canImport(Glibc)
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
            #else
                let count = Darwin.write(descriptor, rest.baseAddress, rest.count)
            #endif
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN {
                    // Another process set O_NONBLOCK on a shared terminal: wait until it takes more.
                    var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&request, 1, 1000)
                    continue
                }
                return errno
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return 0
    }
}

/// The environment variables that affect the output.
struct Environment: Sendable {
    /// `NO_COLOR`: no colours when it is set to anything except the empty string
    /// ([no-color.org](https://no-color.org)).
    var noColor: String?
    /// `TERM`: `dumb` means a terminal without escape sequences.
    var term: String?

    static var process: Environment {
        Environment(noColor: variable("NO_COLOR"), term: variable("TERM"))
    }

    func palette(isInteractive: Bool) -> Palette {
        Palette(hasColors: isInteractive && (noColor ?? "").isEmpty && term != "dumb")
    }

    /// Nil when it is unset or empty.
    static func value(_ name: String) -> String? { secret(name) }

    /// The same for a value that must not be printed.
    static func secret(_ name: String) -> String? { variable(name).flatMap { $0.isEmpty ? nil : $0 } }

    /// Whether it is set to the empty string.
    static func isEmpty(_ name: String) -> Bool { variable(name)?.isEmpty ?? false }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}
