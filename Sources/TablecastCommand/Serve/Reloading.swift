import Logging
import ServiceLifecycle
import Tablecast
import UnixSignals

/// Reads tokens and the certificate again at SIGHUP. What cannot be used is logged, and what was in use before stays.
struct Reloading: Service {
    /// What is read again: its name in the plural, and how.
    let sources: [(name: String, reload: @Sendable () async throws -> Void)]
    let logger: Logger

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
            if sources.isEmpty { logger.notice("SIGHUP: there are no tokens and no certificate to read again") }
            for source in sources { await reload(source.name, source.reload) }
        }
    }

    private func reload(_ name: String, _ reload: () async throws -> Void) async {
        do {
            try await reload()
            logger.notice("SIGHUP: read the \(name) again")
        } catch {
            logger.error("SIGHUP: the \(name) stay as they were: \(error)")
        }
    }
}
