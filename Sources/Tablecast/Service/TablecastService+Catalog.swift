import NIOPosix

extension TablecastService {
    /// The tables, views and virtual tables that the identity may see as JSON:
    /// `{"tables":[{"name","kind","rowEstimate"?}]}`.
    package func tables(for identity: Identity) async throws -> [UInt8] {
        let path = configuration.path
        return try await NIOThreadPool.singleton.runIfActive {
            try TableCatalog(path: path).list { identity.allows(table: $0) }
        }
    }

    /// Columns, indexes, keys and triggers of one table as JSON; nil when there is none of that name.
    ///
    /// - Throws: `FORBIDDEN` for one that is not for the identity, whether there is one or not; ``UnusableTable`` for one that
    ///   is there and that SQLite cannot use.
    package func describeTable(_ name: String, for identity: Identity) async throws -> [UInt8]? {
        try identity.require(table: name)
        let path = configuration.path
        return try await NIOThreadPool.singleton.runIfActive {
            try TableCatalog(path: path).describe(
                name,
                isKnown: identity.tables.map { _ in { identity.allows(table: $0) } }
            )
        }
    }
}
