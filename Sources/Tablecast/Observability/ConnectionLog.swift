import Logging
import NIOHTTP1
import WebSocketTransport

/// Logs and counts connections that are not clients yet.
struct ConnectionLog: TransportObserver {
    let logger: Logger
    let metrics: ServiceMetrics

    func accepted(from address: ClientAddress?) {
        logger.trace("connection accepted", metadata: Self.metadata(address))
    }

    func turnedAway(from address: ClientAddress?) {
        metrics.connectionRefused(status: 0)
        logger.info("connection closed: too many without a token", metadata: Self.metadata(address))
    }

    func requested(_ head: HTTPRequestHead, from address: ClientAddress?) {
        guard logger.logLevel <= .debug else { return }
        var metadata = Self.metadata(address)
        metadata["method"] = "\(head.method)"
        // The query string can contain a token.
        metadata["path"] = "\(head.uri.prefix { $0 != "?" && $0 != "#" })"
        if let origin = head.headers.first(name: "Origin") { metadata["origin"] = "\(origin)" }
        logger.debug("request received", metadata: metadata)
    }

    func refused(_ refusal: UpgradeRefusal, from address: ClientAddress?) {
        metrics.connectionRefused(status: Int(refusal.status.code))
        var metadata = Self.metadata(address)
        metadata["status"] = "\(refusal.status.code)"
        metadata["reason"] = "\(refusal.reason)"
        logger.info("connection refused", metadata: metadata)
    }

    private static func metadata(_ address: ClientAddress?) -> Logger.Metadata {
        ["address": "\(address.map(\.description) ?? "none")"]
    }
}
