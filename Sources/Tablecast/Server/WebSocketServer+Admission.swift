import NIOCore
import NIOHTTP1
package import WebSocketTransport

extension WebSocketServer {
    /// Judges whether the program behind an HTTP request may speak to this server at all: the host that it names, and the
    /// page that it says it comes from. Where the server listens is what ``ServerConfiguration/host`` says.
    package func admit(host: String?, origin: String?, isSecure: Bool) throws(UpgradeRefusal) {
        var headers = HTTPHeaders()
        if let host { headers.add(name: "Host", value: host) }
        if let origin { headers.add(name: "Origin", value: origin) }
        try mount.policy.check(headers, isSecure: isSecure)
    }
}
