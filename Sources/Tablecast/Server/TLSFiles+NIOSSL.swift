package import NIOSSL

extension ServerConfiguration.TLSFiles {
    /// Reads the files. TLS 1.2 and later, HTTP/1.1.
    package func tlsConfiguration() throws(TLSFilesError) -> TLSConfiguration {
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(certificateChain)
            guard !chain.isEmpty else { throw TLSFilesError(self, reason: "there is no certificate in the first") }
            let key = try NIOSSLPrivateKey(file: privateKey, format: .pem)
            var result = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) },
                privateKey: .privateKey(key)
            )
            result.minimumTLSVersion = .tlsv12
            result.applicationProtocols = ["http/1.1"]
            return result
        } catch let error as TLSFilesError {
            throw error
        } catch {
            throw TLSFilesError(self, reason: "\(error)")
        }
    }
}

/// The certificate or its key cannot be used.
public struct TLSFilesError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The files of which one, or both, cannot be used.
    public let files: ServerConfiguration.TLSFiles
    /// What NIOSSL says about them.
    public let reason: String

    init(_ files: ServerConfiguration.TLSFiles, reason: String) {
        self.files = files
        self.reason = reason
    }

    public var description: String {
        "the certificate '\(files.certificateChain)' or its key '\(files.privateKey)' cannot be read: \(reason)"
    }
}
