import ServiceLifecycle
import Tablecast

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reports the state of the process to systemd, for units of `Type=notify`. Without a service manager it does nothing.
///
/// Source: [sd_notify(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).
enum ServiceManager {
    /// Sends assignments such as `READY=1`, one per line. A failure to send is ignored: the service works without the
    /// manager.
    static func notify(_ state: String) {
        guard let name = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }), name.utf8.count > 1 else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var path = Array(name.utf8)
        guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        // Linux's abstract names begin with a zero byte.
        if path[0] == UInt8(ascii: "@") { path[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let size = socklen_t(MemoryLayout.offset(of: \sockaddr_un.sun_path).map { $0 + path.count } ?? 0)
        #if canImport(Glibc)
            let kind = CInt(SOCK_DGRAM.rawValue)
        #else
            let kind = SOCK_DGRAM
        #endif
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(state.utf8)
        _ = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bytes.withUnsafeBytes { sendto(descriptor, $0.baseAddress, $0.count, 0, address, size) }
            }
        }
    }

    /// The interval in which the manager expects a sign of life; nil when it expects none.
    static var watchdogInterval: Duration? {
        guard let text = getenv("WATCHDOG_USEC").map({ String(cString: $0) }), let microseconds = Int64(text),
            microseconds > 0
        else { return nil }
        if let owner = getenv("WATCHDOG_PID").map({ String(cString: $0) }), owner != String(getpid()) { return nil }
        return .microseconds(microseconds)
    }
}

/// Notifies systemd's watchdog as long as the watcher of the database makes progress.
struct Watchdog: Service {
    let service: TablecastService

    func run() async throws {
        guard let interval = ServiceManager.watchdogInterval else {
            // A service that returns ends the group. Cancellation ends it as well.
            try? await gracefulShutdown()
            return
        }
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                if service.watcherStatus.isMoving { ServiceManager.notify("WATCHDOG=1") }
                // Cancellation ends the sleep, and the loop with it.
                try? await Task.sleep(for: interval / 2)
            }
        }
    }
}
