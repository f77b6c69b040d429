#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A thread of the operating system's. Queries block for as long as they like, which is forbidden on an event loop and on
/// the threads of Swift's cooperative pool.
enum ServiceThread {
    /// SQLite's parser and its expression walkers recurse; some systems give secondary threads only 512 kB.
    private static let stackBytes = 8 << 20

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a detached thread; false when the system refuses one more.
    static func start(_ run: @escaping @Sendable () -> Void) -> Bool {
        let body = Unmanaged.passRetained(Body(run))
        let isStarted = create(body.toOpaque())
        if !isStarted { body.release() }
        return isStarted
    }

    private static func create(_ context: UnsafeMutableRawPointer) -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, stackBytes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        #if canImport(Darwin)
            var thread: pthread_t?
            let code = pthread_create(&thread, &attributes, { ServiceThread.enter($0) }, context)
        #else
            var thread = pthread_t()
            let code = pthread_create(&thread, &attributes, { ServiceThread.enter($0) }, context)
        #endif
        pthread_attr_destroy(&attributes)
        return code == 0
    }

    private static func enter(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context else { return nil }
        Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
        return nil
    }
}
