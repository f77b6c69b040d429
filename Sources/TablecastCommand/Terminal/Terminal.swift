#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One of the process's output streams: whether a person looks at it, and how wide it is.
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

    /// The number of columns; 80 where the terminal does not say. Asked anew each time: windows are resized.
    var columnCount: Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Writes all of the text at once.
    ///
    /// Returns false when nobody reads any more, as after `| head`: time to stop.
    @discardableResult
    func write(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    @discardableResult
    func writeLine(_ text: String) -> Bool { write(text + "\n") }

    private func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
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
                    // Someone else's O_NONBLOCK on a shared terminal: wait until it takes more.
                    var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&request, 1, 1000)
                    continue
                }
                return false
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return true
    }
}
