import Foundation
import NIOSSL

/// TLS between a test's two ends, with the self-signed certificate of Fixtures.
struct TestTLS {
    let server: NIOSSLContext
    let client: NIOSSLContext

    init() throws {
        let files = URL(filePath: #filePath).appending(path: "../../../../Fixtures/tls").standardizedFileURL
        let chain = try NIOSSLCertificate.fromPEMFile(files.appending(path: "certificate.pem").path)
        let key = try NIOSSLPrivateKey(file: files.appending(path: "key.pem").path, format: .pem)
        server = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) },
                privateKey: .privateKey(key)
            )
        )
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(chain)
        client = try NIOSSLContext(configuration: configuration)
    }
}
