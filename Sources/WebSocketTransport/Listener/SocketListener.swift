package import NIOCore
import NIOPosix
import Synchronization

/// Listens on an address and creates NIO channels for accepted connections.
///
/// NIO's own server channel closes itself, and with it the server, on any unexpected error of accept(2), and accepts
/// without a limit. Here a thread accepts: it survives every error that the manual page documents as temporary, limits
/// the number of open sockets by leaving further connections in the system's queue, and does not let other programs
/// inherit them.
///
/// Thread-safe.
package final class SocketListener: Sendable {
    /// Sets up a connection, on its event loop, before anything is read from it.
    package typealias Configure = @Sendable (any NIOCore.Channel) -> EventLoopFuture<Void>

    /// The system's queue of connections that are not accepted yet.
    private static let backlog: CInt = 1_024
    /// Connections whose first bytes the event loop has not read yet. Further ones wait: in a burst, the limit of
    /// pending connections would otherwise close some whose request has arrived and is not read.
    private static let maxFresh = 64

    private struct State {
        var openCount = 0
        var freshCount = 0
        var isStopped = false
        var waitsForRoom = false
    }

    private let socket: ListeningSocket
    private let maxOpen: Int
    private let allowsHalfClosure: Bool
    private let group: any EventLoopGroup
    private let report: @Sendable (String) -> Void
    private let configure: Configure
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let state = Mutex(State())

    /// The address, with the port that the system chose.
    package var localAddress: SocketAddress { socket.localAddress }

    /// Listens; connections are accepted from ``start(onEnd:)`` on.
    ///
    /// - Parameters:
    ///   - maxOpen: Sockets that are open at the same time; further connections wait to be accepted.
    ///   - allowsHalfClosure: Whether a client that has closed its sending half is still connected.
    ///   - report: Called with a sentence about errors of accept(2) that concern the operator; at a limited rate.
    /// - Throws: `SocketAddressError.UnknownHost`, or `IOError` with the system's error for the address.
    package init(
        host: String,
        port: Int,
        maxOpen: Int,
        allowsHalfClosure: Bool,
        group: any EventLoopGroup,
        report: @escaping @Sendable (String) -> Void,
        configure: @escaping Configure
    ) throws {
        socket = try ListeningSocket(.makeAddressResolvingHost(host, port: port), backlog: Self.backlog)
        self.maxOpen = max(maxOpen, 1)
        self.configure = configure
        self.report = report
        self.group = group
        self.allowsHalfClosure = allowsHalfClosure
    }

    /// Starts accepting. Call it once.
    ///
    /// - Parameter onEnd: Called once, on the thread: with nil after ``stop()``, or with the error that broke the socket.
    package func start(onEnd: @escaping @Sendable (IOError?) -> Void) {
        thread.start()
        thread.submit { _ in
            let error = self.acceptUntilStopped()
            self.socket.close()
            self.thread.shutdownGracefully { _ in }
            onEnd(error)
        }
    }

    /// Stops accepting, and frees the address; open connections continue.
    package func stop() {
        state.withLock { $0.isStopped = true }
        socket.wake()
    }

    // MARK: The thread

    private func acceptUntilStopped() -> IOError? {
        var pacing = AcceptPacing()
        while true {
            let (isStopped, hasRoom) = state.withLock { state in
                state.waitsForRoom = state.openCount >= maxOpen || state.freshCount >= Self.maxFresh
                return (state.isStopped, !state.waitsForRoom)
            }
            if isStopped { return nil }
            guard hasRoom else {
                socket.wait(awaitsConnections: false, nil)
                continue
            }
            switch socket.accept() {
            case .success(let descriptor):
                pacing.accepted()
                adopt(descriptor)
            case .failure(let error):
                let (step, count) = pacing.failed(errno: error.code, at: .now)
                let failure = IOError(errnoCode: error.code, reason: "accept")
                if count > 0 { report("connections that could not be accepted: \(count), the last with \(failure)") }
                switch step {
                case .proceed: break
                case .wait: socket.wait(awaitsConnections: true, nil)
                case .pause(let time): socket.wait(awaitsConnections: false, time)
                case .end: return failure
                }
            }
        }
    }

    private func adopt(_ descriptor: CInt) {
        state.withLock { state in
            state.openCount += 1
            state.freshCount += 1
        }
        let place = Place(self)
        let configure = configure
        ClientBootstrap(group: group)
            .channelOption(.allowRemoteHalfClosure, value: allowsHalfClosure)
            .channelInitializer { channel in
                channel.closeFuture.whenComplete { _ in place.release() }
                return configure(channel)
            }
            .withConnectedSocket(descriptor)
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    // The timer fires after the event loop has checked its sockets.
                    channel.eventLoop.scheduleTask(in: .milliseconds(1)) { place.settle() }
                case .failure:
                    // The peer has already disconnected, or the connection was refused in its setup.
                    place.release()
                }
            }
    }

    /// A slot for one open socket.
    private final class Place: Sendable {
        private let listener: SocketListener
        private let isSettled = Atomic(false)
        private let isReleased = Atomic(false)

        init(_ listener: SocketListener) { self.listener = listener }

        func settle() {
            guard !isSettled.exchange(true, ordering: .relaxed) else { return }
            listener.makeRoom { $0.freshCount -= 1 }
        }

        func release() {
            settle()
            guard !isReleased.exchange(true, ordering: .relaxed) else { return }
            listener.makeRoom { $0.openCount -= 1 }
        }
    }

    private func makeRoom(_ change: (inout State) -> Void) {
        let wakes = state.withLock { state in
            change(&state)
            return state.waitsForRoom
        }
        if wakes { socket.wake() }
    }
}
