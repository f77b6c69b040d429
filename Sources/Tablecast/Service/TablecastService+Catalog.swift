import NIOPosix

extension TablecastService {
    /// The tables, views and virtual tables as JSON: `{"tables":[{"name","kind","rowEstimate"?}]}`.
    package func tables() async throws -> [UInt8] {
        let path = configuration.path
        return try await NIOThreadPool.singleton.runIfActive { try TableCatalog(path: path).list() }
    }

    /// Columns, indexes, keys and triggers of one table as JSON; nil when there is none of that name.
    package func describeTable(_ name: String) async throws -> [UInt8]? {
        let path = configuration.path
        return try await NIOThreadPool.singleton.runIfActive { try TableCatalog(path: path).describe(name) }
    }
}
