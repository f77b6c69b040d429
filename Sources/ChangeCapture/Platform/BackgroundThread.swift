#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A thread of our own, for work that blocks and so must not run on Swift's cooperative pool.
package final class BackgroundThread: Sendable {
    private static let stackByteCount = 4 << 20

    private let handle: Joinable

    /// Starts at once. Fails only when the system has no thread to give.
    package init(name: String, _ body: @escaping @Sendable () -> Void) throws(WatchError) {
        let context = Unmanaged.passRetained(Start(name: name, body: body)).toOpaque()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, Self.stackByteCount)
        defer { pthread_attr_destroy(&attributes) }
        #if canImport(Glibc)
            var thread = pthread_t()
            let code = pthread_create(&thread, &attributes, { Start.run($0) }, context)
            let started: pthread_t? = thread
        #else
            var started: pthread_t?
            let code = pthread_create(&started, &attributes, { Start.run($0) }, context)
        #endif
        guard code == 0, let started else {
            Unmanaged<Start>.fromOpaque(context).release()
            throw WatchError.noThread(code: code)
        }
        handle = Joinable(thread: started)
    }

    /// Waits until the body has returned. Must be called exactly once, from another thread.
    package func join() { pthread_join(handle.thread, nil) }

    /// On Darwin a thread is a pointer, which Swift does not know to be safe to pass on.
    private struct Joinable: @unchecked Sendable {
        // Only ever given to pthread_join, once.
        let thread: pthread_t
    }

    private final class Start {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }

        static func run(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
            guard let context else { return nil }
            let start = Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
            #if canImport(Darwin)
                // Glibc's module leaves the function out.
                pthread_setname_np(start.name)
            #endif
            start.body()
            return nil
        }
    }
}
