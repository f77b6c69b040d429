#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// An operating-system thread for blocking work, which is forbidden on an event loop and on the threads of Swift's
/// cooperative pool.
package final class NamedThread: Sendable {
    /// SQLite's parser and its expression walkers recurse, and some systems give secondary threads only 512 kB.
    private static let stackBytes = 8 << 20
    /// The length that Linux keeps of a name (`TASK_COMM_LEN` without the terminator).
    private static let maxNameBytes = 15

    private let handle: Handle

    /// How the system prefers a thread when there are fewer processors than threads that can run.
    package enum Priority: Sendable {
        case normal
        /// For long computations on whose end no message of the feed waits.
        case low
    }

    /// The niceness of ``Priority/low``: about a third of the share of a normal thread; a thread that wakes up preempts it.
    ///
    /// Source: `sched(7)`, "The nice value".
    private static let lowNiceness: Int32 = 5

    /// Starts the thread at once.
    ///
    /// - Parameters:
    ///   - name: for debuggers, `top -H` and `/proc`; Linux keeps 15 bytes of it.
    ///   - body: runs on the new thread.
    /// - Throws: ``StartError`` when the system refuses to start another thread.
    package init(
        name: String,
        priority: Priority = .normal,
        _ body: @escaping @Sendable () -> Void
    ) throws(StartError) {
        let context = Unmanaged.passRetained(Start(name: name, priority: priority, body: body))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, Self.stackBytes)
        defer { pthread_attr_destroy(&attributes) }
        #if canImport(Darwin)
            var started: pthread_t?
            let code = pthread_create(&started, &attributes, { Start.run($0) }, context.toOpaque())
        #else
            var thread = pthread_t()
            let code = pthread_create(&thread, &attributes, { Start.run($0) }, context.toOpaque())
            let started: pthread_t? = thread
        #endif
        guard code == 0, let started else {
            context.release()
            throw StartError(errno: code)
        }
        handle = Handle(thread: started)
    }

    /// Starts a thread that nothing joins.
    ///
    /// - Throws: `SQLITE_NOMEM` when the system refuses to start another thread.
    package static func start(name: String, _ body: @escaping @Sendable () -> Void) throws(SQLiteError) {
        do { try NamedThread(name: name, body).detach() } catch {
            throw SQLiteError(code: .outOfMemory, message: "the system refuses to start another thread")
        }
    }

    /// Waits until the body has returned. Call either this or ``detach()``, exactly once, from another thread.
    package func join() { pthread_join(handle.thread, nil) }

    /// Lets the thread end without being joined.
    package func detach() { pthread_detach(handle.thread) }

    /// The system refused to start a thread.
    package struct StartError: Error {
        package let errno: Int32
    }

    /// `@unchecked Sendable`: on Darwin a thread is a pointer; it is passed only to `pthread_join` or `pthread_detach`,
    /// once.
    private struct Handle: @unchecked Sendable {
        let thread: pthread_t
    }

    private final class Start {
        let name: String
        let priority: Priority
        let body: @Sendable () -> Void

        init(name: String, priority: Priority, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.priority = priority
            self.body = body
        }

        static func run(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
            guard let context else { return nil }
            let start = Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
            NamedThread.nameCurrentThread(start.name)
            if start.priority == .low { NamedThread.lowerPriorityOfCurrentThread() }
            start.body()
            return nil
        }
    }

    private static func lowerPriorityOfCurrentThread() {
        #if canImport(Darwin)
            pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0)
        #else
            // On Linux the niceness belongs to the thread, see setpriority(2). With the usual one the thread works as well.
            #if canImport(Glibc)
                let process = __priority_which_t(PRIO_PROCESS.rawValue)
            #else
                let process = PRIO_PROCESS
            #endif
            _ = setpriority(process, 0, getpriority(process, 0) + lowNiceness)
        #endif
    }

    private static func nameCurrentThread(_ name: String) {
        #if canImport(Darwin)
            pthread_setname_np(name)
        #else
            // Glibc's Swift module lacks `pthread_setname_np`. The thread works without a name as well.
            let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
            guard file >= 0 else { return }
            defer { close(file) }
            _ = Array(name.utf8.prefix(maxNameBytes)).withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
        #endif
    }
}
