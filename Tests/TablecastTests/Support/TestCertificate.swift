import Foundation
import NIOCore
import NIOSSL
import Tablecast
import Testing
import WebSocketTransport
import WireProtocol

/// The self-signed certificate of Fixtures, and a client that trusts only it.
struct TestCertificate {
    private static let folder = URL(filePath: #filePath).appending(path: "../../../../Fixtures/tls").standardizedFileURL

    let files = ServerConfiguration.TLSFiles(
        certificateChain: folder.appending(path: "certificate.pem").path,
        privateKey: folder.appending(path: "key.pem").path
    )

    /// Connects over `wss` and waits for the acknowledgement.
    func expectAcknowledgement(on port: Int) async throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(files.certificateChain))
        let context = try NIOSSLContext(configuration: configuration)
        let client = WebSocketClient(makeTLS: { try NIOSSLClientHandler(context: context, serverHostname: $0) })
        let connection = try await client.connect(to: WebSocketURL("wss://localhost:\(port)/ws"))
        let text = try #require(await connection.messages.first { _ in true })
        let first = try Envelope(parsing: text.utf8)
        #expect(first.header.type == .connectionAck)
        await connection.close()
    }
}
