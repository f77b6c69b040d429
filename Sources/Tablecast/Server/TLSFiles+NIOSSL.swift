package import NIOSSL

extension ServerConfiguration.TLSFiles {
    /// What a TLS handler is made from; TLS 1.2 and later, HTTP/1.1.
    package func context() throws -> NIOSSLContext {
        try NIOSSLContext(configuration: tlsConfiguration())
    }

    package func tlsConfiguration() throws -> TLSConfiguration {
        let chain = try NIOSSLCertificate.fromPEMFile(certificateChain).map { NIOSSLCertificateSource.certificate($0) }
        let key = try NIOSSLPrivateKey(file: privateKey, format: .pem)
        var result = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key))
        result.minimumTLSVersion = .tlsv12
        result.applicationProtocols = ["http/1.1"]
        return result
    }
}
