import NIOCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The descriptors of an accepting thread: the socket, and a pipe that wakes the thread. Programs that this process
/// starts do not inherit them.
final class ListeningSocket: Sendable {
    let localAddress: SocketAddress
    private let descriptor: CInt
    private let wakeReader: CInt
    private let wakeWriter: CInt
    private let isClosed = Atomic(false)

    /// Listens on the address.
    ///
    /// - Throws: `IOError`, as NIO's own bootstrap does.
    init(_ address: SocketAddress, backlog: CInt) throws {
        #if canImport(Glibc)
            let kind = CInt(SOCK_STREAM.rawValue)
        #else
            let kind = SOCK_STREAM
        #endif
        let descriptor = try Self.check(socket(CInt(address.protocol.rawValue), kind, 0), "socket")
        do {
            try Self.prepare(descriptor)
            var one: CInt = 1
            try Self.check(
                setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<CInt>.size)),
                "setsockopt"
            )
            try Self.check(address.withSockAddr { bind(descriptor, $0, socklen_t($1)) }, "bind")
            try Self.check(listen(descriptor, backlog), "listen")
            localAddress = try Self.localAddress(of: descriptor, like: address)
            var ends: [CInt] = [-1, -1]
            try Self.check(pipe(&ends), "pipe")
            for end in ends { try Self.prepare(end) }
            (wakeReader, wakeWriter) = (ends[0], ends[1])
        } catch {
            Self.close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    deinit {
        close()
        Self.close(wakeReader)
        Self.close(wakeWriter)
    }

    /// Frees the address: the last call of the accepting thread. ``wake()`` may still be called.
    func close() {
        if !isClosed.exchange(true, ordering: .relaxed) { Self.close(descriptor) }
    }

    /// Takes the next connection from the queue; does not block.
    ///
    /// - Returns: its descriptor, which the caller must close, or the error number.
    func accept() -> Result<CInt, ErrorNumber> {
        while true {
            let accepted = Self.accept(descriptor)
            if accepted >= 0 {
                // On failure the descriptor is inherited, which is harmless.
                _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
                return .success(accepted)
            }
            if errno != EINTR { return .failure(ErrorNumber(code: errno)) }
        }
    }

    struct ErrorNumber: Error { var code: CInt }

    /// Sleeps until a connection waits, unless `awaitsConnections` is false, or ``wake()`` is called, or the timeout
    /// expires.
    func wait(awaitsConnections: Bool, _ limit: Duration?) {
        var awaited = [pollfd(fd: wakeReader, events: Int16(POLLIN), revents: 0)]
        if awaitsConnections { awaited.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)) }
        let milliseconds = limit.map {
            CInt(clamping: $0 / .milliseconds(1) > 60_000 ? 60_000 : Int64($0 / .milliseconds(1)))
        }
        // An error, such as EINTR, is an early wake-up, which every caller handles.
        _ = poll(&awaited, nfds_t(awaited.count), milliseconds ?? -1)
        var bytes: (UInt64, UInt64) = (0, 0)
        while withUnsafeMutableBytes(of: &bytes, { read(wakeReader, $0.baseAddress, $0.count) }) > 0 {}
    }

    /// Ends ``wait(awaitsConnections:_:)``. Call it from any thread.
    func wake() {
        var byte: UInt8 = 1
        // A full pipe wakes the thread too.
        _ = write(wakeWriter, &byte, 1)
    }

    private static func close(_ descriptor: CInt) {
        #if canImport(Glibc)
            _ = Glibc.close(descriptor)
        #elseif canImport(Musl)
            _ = Musl.close(descriptor)
        #else
            _ = Darwin.close(descriptor)
        #endif
    }

    private static func accept(_ descriptor: CInt) -> CInt {
        #if canImport(Glibc)
            Glibc.accept(descriptor, nil, nil)
        #elseif canImport(Musl)
            Musl.accept(descriptor, nil, nil)
        #else
            Darwin.accept(descriptor, nil, nil)
        #endif
    }

    /// Makes the descriptor non-blocking, and not inherited.
    private static func prepare(_ descriptor: CInt) throws {
        try check(fcntl(descriptor, F_SETFD, FD_CLOEXEC), "fcntl")
        try check(fcntl(descriptor, F_SETFL, O_NONBLOCK), "fcntl")
    }

    private static func localAddress(of descriptor: CInt, like address: SocketAddress) throws -> SocketAddress {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        try check(
            withUnsafeMutableBytes(of: &storage) { bytes in
                guard let address = bytes.baseAddress else { return -1 }
                return getsockname(descriptor, address.assumingMemoryBound(to: sockaddr.self), &size)
            },
            "getsockname"
        )
        let port = withUnsafeBytes(of: storage) { bytes in
            // Both address families have the port at the same offset.
            UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        }
        var local = address
        local.port = Int(port)
        return local
    }

    @discardableResult
    private static func check(_ result: CInt, _ function: StaticString) throws -> CInt {
        guard result >= 0 else { throw IOError(errnoCode: errno, reason: "\(function)") }
        return result
    }
}

/// The meaning of an error of accept(2) for the listening socket: as its manual page says, an error of the connection
/// that was about to be accepted does not affect later ones, and a lack of memory or descriptors is temporary.
enum AcceptOutcome: Hashable {
    /// No connection waits.
    case none
    /// That connection was lost; the next may be waiting.
    case lost
    /// The system lacks a resource: wait before the next attempt.
    case exhausted
    /// The socket does not listen any more.
    case broken

    init(errno code: CInt) {
        switch code {
        case EAGAIN, EWOULDBLOCK: self = .none
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: self = .exhausted
        case EBADF, EINVAL, ENOTSOCK, EFAULT: self = .broken
        // ECONNABORTED, EPERM of a firewall, EPROTO, ENETDOWN, EHOSTUNREACH, EOPNOTSUPP, ETIMEDOUT and any other error
        // of the network.
        default: self = .lost
        }
    }
}

/// Decides the next action of an accepting thread. A value without sockets.
struct AcceptPacing {
    /// The pause after the system lacked a resource.
    static let pause = Duration.milliseconds(100)
    /// Consecutive errors after which the thread pauses anyway: not every error that is documented as temporary is.
    static let maxLostInARow = 64
    /// The minimum time between two reports of errors.
    static let reportInterval = Duration.seconds(10)

    enum Step: Hashable {
        /// Accept another connection now.
        case proceed
        /// Wait for a connection.
        case wait
        case pause(Duration)
        case end
    }

    private var lostInARow = 0
    private var unreported = 0
    private var nextReport: ContinuousClock.Instant?

    mutating func accepted() { lostInARow = 0 }

    /// - Returns: the action, and the number of errors to report to the operator now; 0 for none.
    mutating func failed(errno code: CInt, at now: ContinuousClock.Instant) -> (step: Step, report: Int) {
        let outcome = AcceptOutcome(errno: code)
        guard outcome != .none else {
            lostInARow = 0
            return (.wait, 0)
        }
        lostInARow += 1
        unreported += 1
        var report = 0
        if outcome == .broken || nextReport.map({ $0 <= now }) ?? true {
            report = unreported
            unreported = 0
            nextReport = now + Self.reportInterval
        }
        switch outcome {
        case .none: return (.wait, report)
        case .broken: return (.end, report)
        case .lost where lostInARow <= Self.maxLostInARow: return (.proceed, report)
        case .lost, .exhausted:
            lostInARow = 0
            return (.pause(Self.pause), report)
        }
    }
}
