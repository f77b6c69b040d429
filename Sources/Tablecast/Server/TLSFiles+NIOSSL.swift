package import NIOCore
package import NIOSSL
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension ServerConfiguration.TLSFiles {
    /// Reads the files. TLS 1.2 and later, HTTP/1.1.
    package func tlsConfiguration() throws(TLSFilesError) -> TLSConfiguration {
        for file in [certificateChain, privateKey] where access(file, R_OK) != 0 {
            throw TLSFilesError(self, reason: "\(file): \(String(cString: strerror(errno)))")
        }
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(certificateChain)
            guard !chain.isEmpty else { throw TLSFilesError(self, reason: "the first file contains no certificate") }
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
            throw TLSFilesError(self, reason: "expected PEM, with the key that belongs to the certificate (\(error))")
        }
    }
}

/// A certificate and its key, which can be reloaded while the server runs. Thread-safe.
package final class ReloadableTLS: Sendable {
    private let files: ServerConfiguration.TLSFiles
    private let context: Mutex<NIOSSLContext>

    package init(_ files: ServerConfiguration.TLSFiles) throws {
        self.files = files
        context = Mutex(try Self.context(files))
    }

    /// Loads the files for new connections; if they cannot be used, the previous ones remain in use.
    package func reload() throws {
        let new = try Self.context(files)
        context.withLock { $0 = new }
    }

    /// Adds the TLS handler of a new connection to the end of its pipeline; call it on the event loop.
    package func install(on channel: any NIOCore.Channel) throws {
        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context.withLock { $0 }))
    }

    private static func context(_ files: ServerConfiguration.TLSFiles) throws -> NIOSSLContext {
        try NIOSSLContext(configuration: files.tlsConfiguration())
    }
}

/// The certificate or its key cannot be used.
public struct TLSFilesError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The files; one or both cannot be used.
    public let files: ServerConfiguration.TLSFiles
    /// NIOSSL's error.
    public let reason: String

    init(_ files: ServerConfiguration.TLSFiles, reason: String) {
        self.files = files
        self.reason = reason
    }

    public var description: String {
        "the certificate '\(files.certificateChain)' or its key '\(files.privateKey)' cannot be read: \(reason)"
    }
}
