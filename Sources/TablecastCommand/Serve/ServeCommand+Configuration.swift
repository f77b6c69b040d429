import Tablecast

extension ServeCommand {
    /// How long a client has to answer a close frame: the whole of stopping has to fit into five seconds.
    static let closeTimeout = Duration.milliseconds(1500)

    var databaseConfiguration: DatabaseConfiguration { configuration(of: DatabaseConfiguration(path: file)) }

    /// What was asked for, of this database.
    func configuration(of database: DatabaseConfiguration) -> DatabaseConfiguration {
        var configuration = database
        configuration.isReadOnly = self.database.readOnly
        configuration.switchesToWAL = self.database.wal
        configuration.enforcesForeignKeys = self.database.foreignKeys
        if let readers = limits.readers { configuration.limits.readers = readers }
        if let timeout = limits.queryTimeout { configuration.limits.statementTime = timeout.duration }
        if let bytes = limits.maxValueBytes?.bytes { configuration.limits.maxValueBytes = bytes }
        if let bytes = limits.maxQueryMemory?.bytes { configuration.limits.maxQueryMemoryBytes = bytes }
        if let bytes = limits.maxTemporaryBytes?.bytes {
            configuration.limits.maxTemporaryBytes = bytes
            configuration.limits.maxTotalTemporaryBytes = bytes.multipliedReportingOverflow(by: 4).partialValue
        }
        return configuration
    }

    var serverConfiguration: ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.host = address.host
        configuration.port = address.port
        configuration.path = address.path
        configuration.maxConnections = limits.maxConnections
        configuration.trustedProxies = address.trustedProxies
        configuration.heartbeatInterval = limits.heartbeatInterval.duration
        configuration.limits.closeTimeout = Self.closeTimeout
        if let certificate = address.tlsCertificate, let key = address.tlsKey {
            configuration.tls = .init(certificateChain: certificate, privateKey: key)
        }
        if let bytes = limits.maxMessageBytes?.bytes { configuration.limits.maxMessageBytes = bytes }
        if let bytes = limits.maxQueuedBytes?.bytes { configuration.limits.maxQueuedBytes = bytes }
        if !address.allowedOrigins.isEmpty { configuration.origins = .sameAnd(address.allowedOrigins) }
        return configuration
    }
}
