// A process that writes to a database and does not know its watcher.
//
//     ForeignWriter DATABASE mode=create [page=4096] [autovacuum=0] [encoding=UTF-8] [journal=WAL]
//     ForeignWriter DATABASE mode=random seed=1 writer=0 transactions=100 […]
//     ForeignWriter DATABASE mode=checkpoint transactions=40
//     ForeignWriter DATABASE mode=tear
//     ForeignWriter DATABASE mode=pace transactions=1000 [rows=1] [interval=4000] [busy=0] [kind=insert]

import SQLiteConnection

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

guard let options = Options(CommandLine.arguments) else {
    complain("usage: ForeignWriter DATABASE key=value …")
    exit(2)
}

do {
    switch options.mode {
    case "create":
        let connection = try Connection(path: options.database, mode: .readWriteCreate)
        try connection.execute(
            """
            PRAGMA page_size=\(options.int("page", 4_096)); PRAGMA auto_vacuum=\(options.int("autovacuum", 0));
            PRAGMA encoding='\(options.string("encoding", "UTF-8"))';
            """
        )
        if options.int("reserve", 0) > 0 { try connection.reserveBytes(options.int("reserve", 0)) }
        try connection.execute(schemaSQL)
        try connection.execute("PRAGMA journal_mode=\(options.string("journal", "WAL"))")
    case "random":
        var workload = try Workload(options)
        try workload.run()
    case "tear":
        guard tear(options.database) else { exit(1) }
    case "checkpoint":
        try checkpoint(options)
    case "pace":
        try pace(options)
    default:
        complain("unknown mode \(options.mode), expected create, random or pace")
        exit(2)
    }
} catch {
    complain("\(options.writer): \(error)")
    exit(1)
}
